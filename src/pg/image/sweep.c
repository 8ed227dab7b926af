/*
 * sweep.c
 *		Removes image files that nobody needs.
 *
 * Only disk space depends on this: if an older snapshot still needs a removed
 * image, it is built again, and backends that have mapped it keep their
 * mapping.
 *
 * Until this transaction commits, others may need the files that it sees as
 * superfluous, so they are removed at commit.  The files that it made for new
 * versions, which nobody else can see yet, are removed if it is rolled back.
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

/* An image that is removed when this transaction ends. */
typedef struct ImageRemoval
{
	int64		model;
	XactEvent	when;			/* XACT_EVENT_COMMIT or XACT_EVENT_ABORT */
} ImageRemoval;

static ImageRemoval *removals;
static int	n_removals;
static int	max_removals;

/*
 * Parses a file's name; returns false if it is no image.  The names of an
 * image's seal and of an unfinished file begin with the image's name, and they
 * are removed with it.
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
 * True if a process that no longer exists was building this file: a crash
 * leaves it if the server does not restart all (remove_temp_files_after_crash
 * = off).
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
 * True if the newest snapshot sees the version as the active one of its name,
 * or if it was requested by number.
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
 * Removes images of versions in this database that are neither active nor
 * requested by number, when this transaction commits, and images of dropped
 * databases.  Images that a transaction builds or keeps stay.  Called within
 * SPI after an image was built, which is rare.
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
	 * Acts as the table's owner, as checks of foreign keys do: a policy may
	 * hide models from the calling role, but their images still have owners.
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

/* Removes the images of these models. Nothing here may fail. */
static void
remove_images(XactEvent event, void *arg)
{
	DIR		   *dir;
	struct dirent *entry;
	int			n = n_removals;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	n_removals = 0;
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
			if (removals[i].model == model && removals[i].when == event)
				remove_file(entry->d_name);
	}
	closedir(dir);
}

/*
 * Registers a model whose image is removed at commit, or at rollback.
 * Subtransactions do not matter: an image removed too early is built again,
 * and the next sweep removes a leftover.
 */
void
lbrec_forget_images(int64 model, XactEvent when)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(remove_images, NULL);
		registered = true;
	}
	if (n_removals == max_removals)
	{
		int			more = Max(16, max_removals * 2);

		removals = removals ? repalloc(removals, more * sizeof(ImageRemoval)) :
			MemoryContextAlloc(TopMemoryContext, more * sizeof(ImageRemoval));
		max_removals = more;
	}
	removals[n_removals].model = model;
	removals[n_removals++].when = when;
}

/*
 * Removes the images of versions that this transaction drops, at its commit.
 */
void
lbrec_forget_all_images(const int64 *models, int n)
{
	for (int i = 0; i < n; i++)
		lbrec_forget_images(models[i], XACT_EVENT_COMMIT);
}
