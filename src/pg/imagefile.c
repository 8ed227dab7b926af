/*
 * imagefile.c
 *		Images in files that all backends of a cluster map.
 *
 * A file is base/pgsql_tmp/pgsql_tmp_lbrec.DATABASE.MODEL.CHECKSUM.  The
 * server removes what begins with pgsql_tmp whenever it starts, also after a
 * crash, and base backups leave it out; so a file was written by a backend of
 * this server since its last start.  It is never the truth: who cannot use it
 * builds the image from the tables.
 *
 * Writing: the backend that finds no file takes a lock on (database, model),
 * looks again, builds the image in its own memory, and writes it to a name of
 * its own with write(), never through a mapping: a full disk is then an error
 * and not a SIGBUS.  The file is sealed, made read-only, and renamed.
 *
 * What is verified when:
 *	- each time that a file is mapped: its size, that its modification time is
 *	  the one that it was sealed with (so nobody has written to it since, and
 *	  it is no copy), its header's checksum, and that the header names this
 *	  system, database, model, checksum and layout;
 *	- the checksum of its whole content is in the header, for whoever wants
 *	  to compare it.  Mapping does not: that would read all of it (10 ms per
 *	  100 MB), while a query reads the index and some rows.
 * A file that fails is removed, and a new one takes its place; who has mapped
 * it keeps what is mapped.
 *
 * No WAL, no transaction id, no shared memory: all of it works on a hot
 * standby and without shared_preload_libraries.
 */
#include "imagefile.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/file_perm.h"
#include "common/file_utils.h"	/* PG_TEMP_FILES_DIR, from 16 on */
#include "executor/spi.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "core/lb_scan.h"

#define IMAGE_DIR "base/" PG_TEMP_FILES_DIR
#define IMAGE_PREFIX PG_TEMP_FILE_PREFIX "_lbrec."

/* Fourth field of our lock tags; SQL's advisory locks have 1 or 2 there. */
#define LOCK_FIELD 0x6c62		/* "lb" */

#define FILE_MAGIC UINT64CONST(0x31656c6966626c6c)	/* "llbfile1" */

/* The image follows at this offset: a page, as mapping wants it. */
#define IMAGE_OFFSET 4096

#define WRITE_BYTES ((Size) 4 << 20)

typedef struct FileHeader
{
	uint64		magic;
	uint64		system;			/* the cluster's identifier */
	uint64		layout;			/* of ImageHeader */
	int64		model;
	int64		checksum;
	uint64		size;			/* of the image */
	int64		sealed;			/* modification time of the file, seconds */
	uint32		database;
	uint32		image_crc;		/* CRC-32C of the image */
	uint32		padding;
	uint32		header_crc;		/* of all fields above */
} FileHeader;

/* Models whose images go when this transaction commits. */
static int64 *doomed;
static int	n_doomed;
static int	max_doomed;

static uint64
layout(void)
{
	return ((uint64) IMAGE_VERSION << 32) | sizeof(ImageHeader);
}

static void
image_path(char *path, int64 model, int64 checksum)
{
	snprintf(path, MAXPGPATH, IMAGE_DIR "/" IMAGE_PREFIX "%u.%lld.%llx",
			 MyDatabaseId, (long long) model, (unsigned long long) checksum);
}

static uint32
header_crc(const FileHeader *h)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, h, offsetof(FileHeader, header_crc));
	FIN_CRC32C(crc);
	return crc;
}

static void
set_tag(struct LOCKTAG *tag, int64 model)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, LOCK_FIELD);
}

/* At the end of the (sub)transaction the lock is gone, also by an error. */
void
lbrec_lock_image(const ModelRow *row)
{
	LOCKTAG		tag;

	set_tag(&tag, row->id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
lbrec_unlock_image(const ModelRow *row)
{
	LOCKTAG		tag;

	set_tag(&tag, row->id);
	LockRelease(&tag, ExclusiveLock, false);
}

/* Is that the file that was sealed for this model? */
static bool
is_sealed(const FileHeader *h, const struct stat *st, const ModelRow *row)
{
	return h->magic == FILE_MAGIC && h->header_crc == header_crc(h) &&
		h->system == GetSystemIdentifier() && h->layout == layout() &&
		h->database == MyDatabaseId && h->model == row->id &&
		h->checksum == row->checksum &&
		(uint64) st->st_size == IMAGE_OFFSET + h->size &&
		st->st_mtim.tv_sec == h->sealed && st->st_mtim.tv_nsec == 0;
}

/* Is the image within the file that of this row, as this server reads it? */
static bool
is_image(const ImageHeader *image, uint64 size, const ModelRow *row)
{
	return size >= sizeof(ImageHeader) && image->magic == IMAGE_MAGIC &&
		image->image_version == IMAGE_VERSION && image->size == size &&
		image->row.id == row->id && image->row.checksum == row->checksum &&
		image->row.version == row->version &&
		strcmp(image->row.name, row->name) == 0 &&
		image->row.n_users == row->n_users &&
		image->row.n_recordings == row->n_recordings &&
		image->index >= 0 && (uint64) image->index < size &&
		lb_index_check((const char *) image + image->index,
					   size - image->index, row->n_recordings, image->D);
}

/*
 * Maps a model's file.  NULL when there is none that can be used: one that
 * cannot is removed.
 */
const ImageHeader *
lbrec_map_image(ImageMap *map, const ModelRow *row)
{
	char		path[MAXPGPATH];
	FileHeader	header;
	struct stat st;
	bool		good = false;
	void	   *base = MAP_FAILED;
	const ImageHeader *image;
	int			fd;

	map->base = NULL;
	image_path(path, row->id, row->checksum);
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 &&
		pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
		is_sealed(&header, &st, row))
		base = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CloseTransientFile(fd);
	image = (const ImageHeader *) ((const char *) base + IMAGE_OFFSET);
	if (base != MAP_FAILED)
		good = is_image(image, header.size, row);
	if (!good)
	{
		ereport(LOG,
				(errmsg("image \"%s\" of a model cannot be used and is built anew",
						path),
				 errdetail("It is truncated, damaged, or was written to after it was sealed.")));
		if (base != MAP_FAILED)
			munmap(base, st.st_size);
		unlink(path);
		return NULL;
	}
	map->base = base;
	map->size = st.st_size;
	lbrec_check_model_memory(row, header.size);
	return image;
}

void
lbrec_unmap_image(ImageMap *map)
{
	if (map->base != NULL)
		munmap(map->base, map->size);
	map->base = NULL;
}

/* Writes all, or false with errno; stops early when there is an interrupt. */
static bool
write_all(int fd, const char *data, Size size)
{
	while (size > 0)
	{
		ssize_t		done;

		if (InterruptPending)
			return false;
		done = write(fd, data, Min(size, WRITE_BYTES));
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
		{
			if (done == 0)
				errno = ENOSPC;
			return false;
		}
		data += done;
		size -= done;
	}
	return true;
}

static bool
write_sealed(int fd, const ImageHeader *image)
{
	char		page[IMAGE_OFFSET] = {0};
	FileHeader *h = (FileHeader *) page;
	pg_crc32c	crc;
	struct timespec times[2];

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, image, image->size);
	FIN_CRC32C(crc);
	h->magic = FILE_MAGIC;
	h->system = GetSystemIdentifier();
	h->layout = layout();
	h->model = image->row.id;
	h->checksum = image->row.checksum;
	h->size = image->size;
	/* whole seconds: every file system can store them */
	h->sealed = (int64) time(NULL);
	h->database = MyDatabaseId;
	h->image_crc = crc;
	h->header_crc = header_crc(h);
	times[0].tv_sec = times[1].tv_sec = h->sealed;
	times[0].tv_nsec = times[1].tv_nsec = 0;
	return write_all(fd, page, sizeof(page)) &&
		write_all(fd, (const char *) image, image->size) &&
		fchmod(fd, pg_file_create_mode & ~0222) == 0 &&
		futimens(fd, times) == 0;
}

/*
 * Writes an image to its file.  False, and a warning once a session, when
 * that is not possible; the caller's memory has the image all the same.
 */
bool
lbrec_write_image(const ImageHeader *image)
{
	static bool warned = false;
	char		path[MAXPGPATH];
	char		part[MAXPGPATH + 16];
	int			fd;
	int			failure = 0;

	image_path(path, image->row.id, image->row.checksum);
	snprintf(part, sizeof(part), "%s.%d", path, MyProcPid);
	unlink(part);				/* of an earlier process with this number */
	fd = OpenTransientFile(part, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
	{
		/* the server makes the folder when it first needs it, as we do */
		(void) MakePGDirectory(IMAGE_DIR);
		fd = OpenTransientFile(part, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY);
	}
	if (fd < 0)
		failure = errno;
	else
	{
		errno = 0;
		if (!write_sealed(fd, image))
			failure = errno ? errno : EINTR;
		if (CloseTransientFile(fd) != 0 && failure == 0)
			failure = errno;
		if (failure == 0 && rename(part, path) != 0)
			failure = errno;
		if (failure != 0)
			unlink(part);
		CHECK_FOR_INTERRUPTS();
	}
	if (failure == 0)
		return true;
	if (!warned)
	{
		warned = true;
		errno = failure;
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", part),
				 errdetail("The model is kept in this session's own memory, %zu MB.",
						   (size_t) (image->size >> 20)),
				 errhint("Other sessions need as much each until there is room in the folder of temporary files; or set lbrec.shared_images to off.")));
	}
	return false;
}

/*
 * Removing what nobody needs
 */

/* What a file's name tells; false when it is no image. */
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

/* Is the model, as the newest snapshot sees it, the active one of its name? */
static bool
is_active(int64 model, int64 checksum)
{
	static SPIPlanPtr plan = NULL;
	Datum		values[] = {Int64GetDatum(model), Int64GetDatum(checksum)};

	if (plan == NULL)
	{
		Oid			types[] = {INT8OID, INT8OID};
		SPIPlanPtr	made = SPI_prepare("SELECT FROM lbrec.model AS m "
									   "WHERE m.id OPERATOR(pg_catalog.=) $1 "
									   "AND m.checksum OPERATOR(pg_catalog.=) $2 "
									   "AND m.activation OPERATOR(pg_catalog.>) 0 "
									   "AND m.activation OPERATOR(pg_catalog.=) "
									   "(SELECT pg_catalog.max(o.activation) FROM lbrec.model AS o "
									   "WHERE o.name OPERATOR(pg_catalog.=) m.name)",
									   2, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the look-up of active models");
		plan = made;
	}
	if (SPI_execute_plan(plan, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up active models");
	return SPI_processed > 0;
}

/*
 * Removes images of this database whose model is not the active one of its
 * name any more, and those of databases that are gone.  Called within SPI
 * when an image has been written, which is seldom.  A file that somebody
 * still needs, because of an older snapshot, is built again.
 */
void
lbrec_sweep_images(void)
{
	DIR		   *dir;
	struct dirent *entry;
	List	   *names = NIL;
	ListCell   *cell;

	/* a parallel query may not take a new snapshot */
	if (IsInParallelMode() || (dir = opendir(IMAGE_DIR)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)) == 0)
			names = lappend(names, pstrdup(entry->d_name));
	closedir(dir);

	PushActiveSnapshot(GetLatestSnapshot());
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		char		path[MAXPGPATH];
		Oid			database;
		int64		model;
		int64		checksum;

		if (!parse_name(name, &database, &model, &checksum))
			continue;
		if (database == MyDatabaseId ? is_active(model, checksum) :
			SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database)))
			continue;
		snprintf(path, sizeof(path), IMAGE_DIR "/%s", name);
		unlink(path);
	}
	PopActiveSnapshot();
	list_free_deep(names);
}

/* Removes the images of dropped models.  Nothing here may fail. */
static void
remove_doomed(XactEvent event, void *arg)
{
	DIR		   *dir;
	struct dirent *entry;
	int			n = n_doomed;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	n_doomed = 0;
	if (n == 0 || event != XACT_EVENT_COMMIT ||
		(dir = opendir(IMAGE_DIR)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		char		path[MAXPGPATH];
		Oid			database;
		int64		model;
		int64		checksum;

		if (!parse_name(entry->d_name, &database, &model, &checksum) ||
			database != MyDatabaseId)
			continue;
		for (int i = 0; i < n; i++)
			if (doomed[i] == model)
			{
				snprintf(path, sizeof(path), IMAGE_DIR "/%s", entry->d_name);
				unlink(path);
			}
	}
	closedir(dir);
}

/*
 * A model is dropped: its image goes when the transaction commits.  If only a
 * subtransaction is rolled back, the image goes too and is built again.
 */
void
lbrec_forget_images_at_commit(int64 model)
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

		doomed = doomed ? repalloc(doomed, more * sizeof(int64)) :
			MemoryContextAlloc(TopMemoryContext, more * sizeof(int64));
		max_doomed = more;
	}
	doomed[n_doomed++] = model;
}
