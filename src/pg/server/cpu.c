/*
 * cpu.c
 *		Chooses the kernels: the setting lbrec.cpu.
 *
 * core/kernels/lb_kernels.c lists the sets; a new one needs no change here.
 * OpenBLAS is loaded if a session selects its set, or if the CPU supports none
 * of our sets except the portable one.
 */
#include "postgres.h"

#include "pg/server/cpu.h"

#include "utils/guc.h"

#include "core/kernels/lb_kernels.h"

#define MAX_SETS 16

/* Value 0 is "auto"; n is the n-th of lb_kernel_sets, counted from 1. */
static struct config_enum_entry values[MAX_SETS + 2];
static int	chosen = 0;

const char *
lbrec_blas_problem(const LbOpenblas *blas)
{
	switch (blas->state)
	{
		case LB_OPENBLAS_LOADED:
			return NULL;
		case LB_OPENBLAS_NOT_TRIED:
			return "it has not been loaded";
		case LB_OPENBLAS_BUSY:
			return "other threads are running in this session";
		case LB_OPENBLAS_ABSENT:
			return "it is not installed";
		case LB_OPENBLAS_UNFIT:
			return "the library found is not its build for pthreads";
		case LB_OPENBLAS_THREADS:
			return "it runs threads of its own";
		case LB_OPENBLAS_WRONG:
			return "its products are wrong";
	}
	return NULL;
}

static bool
is_blas(const LbKernels *set)
{
	return strcmp(set->name, "blas") == 0;
}

static bool
check_cpu(int *value, void **extra, GucSource source)
{
	const LbKernels *set = *value > 0 ? lb_kernel_sets[*value - 1] : NULL;

	if (set == NULL)
		return true;
	if (is_blas(set))
	{
		const LbOpenblas *blas = lb_openblas_load();

		if (blas->state == LB_OPENBLAS_LOADED)
			return true;
		GUC_check_errdetail("OpenBLAS cannot be used: %s.",
							lbrec_blas_problem(blas));
		GUC_check_errhint("Install OpenBLAS' build for pthreads (Debian: libopenblas0-pthread).");
		return false;
	}
	if (set->usable())
		return true;
	GUC_check_errdetail("This machine cannot run the kernels \"%s\".",
						set->name);
	return false;
}

static void
assign_cpu(int value, void *extra)
{
	lb_kernels_use(value > 0 ? lb_kernel_sets[value - 1] : NULL);
}

/* True if neither the configuration nor this session has chosen a set. */
static bool
left_to_us(void)
{
	const char *asked = GetConfigOption("lbrec.cpu", true, false);

	return asked == NULL || pg_strcasecmp(asked, "auto") == 0;
}

/*
 * Loads OpenBLAS if the CPU supports none of our sets except the portable one.
 */
static void
try_blas(void)
{
	const LbOpenblas *blas = lb_openblas_load();

	if (blas->state != LB_OPENBLAS_LOADED)
		ereport(WARNING,
				(errmsg("lbrec computes in portable C, which is slow"),
				 errdetail("This machine has no instruction set that lbrec has kernels for, and OpenBLAS cannot be used: %s.",
						   lbrec_blas_problem(blas)),
				 errhint("Install OpenBLAS' build for pthreads (Debian: libopenblas0-pthread), or set lbrec.cpu to portable.")));
	lb_kernels_use(NULL);
}

void
lbrec_define_cpu(void)
{
	int			n = 0;

	values[n++] = (struct config_enum_entry)
	{
		"auto", 0, false
	};
	for (int i = 0; lb_kernel_sets[i] != NULL && i < MAX_SETS; i++)
		values[n++] = (struct config_enum_entry)
	{
		lb_kernel_sets[i]->name, i + 1, false
	};
	if (lb_kernels() == lb_kernels_named("portable") && left_to_us())
		try_blas();
	DefineCustomEnumVariable("lbrec.cpu",
							 "Chooses the set of kernels: one for an instruction set, or blas.",
							 "auto chooses the best that this machine can run.",
							 &chosen,
							 0, values,
							 PGC_SUSET, 0,
							 check_cpu, assign_cpu, NULL);
}
