/*
 * lbrec.c
 *		The module and its settings.
 *
 * Nothing here needs shared_preload_libraries: settings are defined when the
 * first lbrec function of a session is called.
 */
#include "pg/server/lbrec.h"

#include "utils/guc.h"

#include "pg/server/cpu.h"

PG_MODULE_MAGIC;

int			lbrec_threads = 0;
int			lbrec_max_threads = 0;
int			lbrec_spool_mem = 1048576;
static int	max_spool_mem = 0;
int			lbrec_max_model_memory = 0;
bool		lbrec_shared_images = true;

void		_PG_init(void);

void
_PG_init(void)
{
	DefineCustomIntVariable("lbrec.threads",
							"Sets the threads of a training, an evaluation, a batch of recommendations or the building of an image.",
							"0 uses all CPUs that the server may run on.",
							&lbrec_threads,
							0, 0, LBREC_MAX_THREADS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_threads",
							"Sets the maximum that unprivileged users can give lbrec.threads.",
							"0 sets no limit.",
							&lbrec_max_threads,
							0, 0, LBREC_MAX_THREADS,
							PGC_SUSET, 0, NULL, NULL, NULL);

	lbrec_define_cpu();
	DefineCustomIntVariable("lbrec.spool_mem",
							"Sets the memory for the listens of a training; the rest goes to temporary files.",
							"A listen takes 16 bytes.",
							&lbrec_spool_mem,
							1048576, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_spool_mem",
							"Sets the maximum that unprivileged users can give lbrec.spool_mem.",
							"0 sets no limit.",
							&max_spool_mem,
							0, 0, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_model_memory",
							"Sets the largest model that a session may load into memory to serve it.",
							"0 sets no limit.",
							&lbrec_max_model_memory,
							0, 0, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("lbrec.shared_images",
							 "Serves models from files that all sessions map.",
							 "The files are among the server's temporary files. If off, each session has its own copy in memory.",
							 &lbrec_shared_images,
							 true, PGC_SUSET, 0, NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("lbrec");
#else
	EmitWarningsOnPlaceholders("lbrec");
#endif
}

/* Returns the memory for the listens of a training run, in bytes. */
Size
lbrec_spool_bytes(void)
{
	int			kB = lbrec_spool_mem;

	/* the limit holds even if it is below the setting's minimum */
	if (max_spool_mem > 0)
		kB = Min(kB, max_spool_mem);
	return (Size) kB * 1024;
}
