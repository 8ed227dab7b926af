/*
 * sweep.c
 *		Removes files of images that nobody needs.
 *
 * Only disk space depends on it: an image that is removed while an older
 * snapshot still uses the model is built again, and backends that have mapped it
 * keep their mapping.
 *
 * Others may need until this transaction's commit the files that it sees as
 * superfluous; so they go at the commit.  Those that it made for versions that
 * nobody else can see yet go when it is rolled back.
 */
#include "pg/image/sweep.h"

#include <dirent.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "pg/image/locks.h"
#include "pg/image/marks.h"
#include "pg/image/names.h"

/* Models whose images go when this transaction ends. */
typedef struct Doomed
{
	int64		model;
	XactEvent	when;			/* XACT_EVENT_COMMIT or XACT_EVENT_ABORT */
} Doomed;

static Doomed *doomed;
static int	n_doomed;
static int	max_doomed;

/*
 * Reads a file's name; false when it is no image.  An image's seal and an
 * unfinished part have names that begin like it, and go with it.
 */
static bool
parse_name(const char *name, Oid *database, int64 *model, int64 *checksum)
{
	unsigned int d;
	long long	m;
	unsigned long long c;

	if (strncmp(name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)) != 0 ||
		sscanf(name + strlen(IMAGE_PREFIX), "%u.%lld.%llx", &d, &m, &c) != 3)
		return false;
	*database = d;
	*model = m;
	*checksum = (int64) c;
	return true;
}

/*
 * True if that is a file that was being built by a process that is no more: a
 * crash leaves it where the server does not restart all
 * (remove_temp_files_after_crash = off).
 */
static bool
is_orphan(const char *name)
{
	const char *part = strstr(name, IMAGE_PART);
	int			pid = part ? atoi(part + strlen(IMAGE_PART)) : 0;

	return part != NULL && pid != MyProcPid && BackendPidGetProc(pid) == NULL;
}

static void
remove_file(const char *name)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), IMAGE_DIR "/%s", name);
	unlink(path);
}

static Oid
owner_of_models(void)
{
	Oid			table = get_relname_relid("model",
										  get_namespace_oid("lbrec", false));
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find table lbrec.model");
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * True if the version, as the newest snapshot sees it, is the active one of
 * its name, or is asked by its number.
 */
static bool
is_needed(int64 model, int64 checksum)
{
	static SPIPlanPtr plan = NULL;
	Datum		values[] = {Int64GetDatum(model), Int64GetDatum(checksum)};
	bool		isnull;

	if (plan == NULL)
	{
		Oid			types[] = {INT8OID, INT8OID};
		SPIPlanPtr	made = SPI_prepare("SELECT m.activation OPERATOR(pg_catalog.>) 0 "
									   "AND m.activation OPERATOR(pg_catalog.=) "
									   "(SELECT pg_catalog.max(o.activation) FROM lbrec.model AS o "
									   "WHERE o.name OPERATOR(pg_catalog.=) m.name) "
									   "FROM lbrec.model AS m "
									   "WHERE m.id OPERATOR(pg_catalog.=) $1 "
									   "AND m.checksum OPERATOR(pg_catalog.=) $2",
									   2, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the look-up of active models");
		plan = made;
	}
	if (SPI_execute_plan(plan, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up active models");
	if (SPI_processed == 0)
		return false;
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull)) ||
		lbrec_was_asked(model, checksum);
}

/*
 * Removes images of this database whose version is neither the active one of
 * its name nor asked by its number, when this transaction commits, and those
 * of databases that are gone.  An image that is being built, or kept by a
 * transaction, stays.  Called within SPI when an image has been built, which
 * is seldom.
 */
void
lbrec_sweep_images(void)
{
	DIR		   *dir;
	struct dirent *entry;
	List	   *names = NIL;
	ListCell   *cell;
	Oid			user;
	int			security;

	/* a parallel query may not take a new snapshot */
	if (IsInParallelMode() || (dir = opendir(IMAGE_DIR)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)) == 0)
			names = lappend(names, pstrdup(entry->d_name));
	closedir(dir);

	/*
	 * As the owner of the table, like the checks of foreign keys: a policy
	 * hides models from the asking role, but their images still have owners.
	 */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(owner_of_models(), security |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	PushActiveSnapshot(GetLatestSnapshot());
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		Oid			database;
		int64		model;
		int64		checksum;

		if (!parse_name(name, &database, &model, &checksum))
			continue;
		if (database == MyDatabaseId)
		{
			if (is_orphan(name))
				remove_file(name);
			else if (!is_needed(model, checksum) && !lbrec_is_kept(model))
				lbrec_forget_images(model, XACT_EVENT_COMMIT);
		}
		else if (!SearchSysCacheExists1(DATABASEOID,
										ObjectIdGetDatum(database)))
			remove_file(name);
	}
	PopActiveSnapshot();
	/* an error restores this with the (sub)transaction */
	SetUserIdAndSecContext(user, security);
	list_free_deep(names);
}

/* Removes the images of those models.  Nothing here may fail. */
static void
remove_doomed(XactEvent event, void *arg)
{
	DIR		   *dir;
	struct dirent *entry;
	int			n = n_doomed;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	n_doomed = 0;
	if (n == 0 || (dir = opendir(IMAGE_DIR)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		Oid			database;
		int64		model;
		int64		checksum;

		if (!parse_name(entry->d_name, &database, &model, &checksum) ||
			database != MyDatabaseId)
			continue;
		for (int i = 0; i < n; i++)
			if (doomed[i].model == model && doomed[i].when == event)
				remove_file(entry->d_name);
	}
	closedir(dir);
}

/*
 * A model's images go when the transaction commits, or when it is rolled
 * back.  Subtransactions do not matter: an image that went too early is built
 * again, one that was left goes with the next sweep.
 */
void
lbrec_forget_images(int64 model, XactEvent when)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(remove_doomed, NULL);
		registered = true;
	}
	if (n_doomed == max_doomed)
	{
		int			more = Max(16, max_doomed * 2);

		doomed = doomed ? repalloc(doomed, more * sizeof(Doomed)) :
			MemoryContextAlloc(TopMemoryContext, more * sizeof(Doomed));
		max_doomed = more;
	}
	doomed[n_doomed].model = model;
	doomed[n_doomed++].when = when;
}

/* Images of versions that this transaction drops are not needed after it. */
void
lbrec_forget_all_images(const int64 *models, int n)
{
	for (int i = 0; i < n; i++)
		lbrec_forget_images(models[i], XACT_EVENT_COMMIT);
}
