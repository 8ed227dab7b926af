/*
 * file.c
 *		Images in files that all backends of a cluster map.
 *
 * A file is base/pgsql_tmp/pgsql_tmp_lbrec.DATABASE.MODEL.CHECKSUM.LAYOUT.  The
 * server removes what begins with pgsql_tmp whenever it starts, also after a
 * crash, and base backups leave it out; so a file was written by a backend of
 * this server since its last start.  It is never the truth: a backend that
 * cannot use it builds the image from the tables.
 *
 * Building: the backend that finds no file takes a lock on (database, model),
 * looks again, makes a file under a name of its own, sets aside room for all
 * of it, so that a full disk is told at once, and builds the image in the
 * mapping.  A copy in memory that is then written costs more than all else:
 * gigabytes of pages that are zeroed, filled and copied.  The file is made
 * read-only, and renamed.
 *
 * Verification happens
 *	- each time that a file is mapped: its size, its header's checksum, and that
 *	  the header names this system, database, model, checksum and layout;
 *	- by the first backend that maps it: its whole content.  That reads all
 *	  of it, 10 to 20 ms per 100 MB, so the result is kept in a small file
 *	  beside it, the seal: which inode it was, and when that was last changed.
 *	  A backend that finds a seal of the present inode reads no more.  The
 *	  kernel sets the time of a change (ctime) itself with every write,
 *	  truncation, rename and utime, so a file that anybody touched is read once
 *	  more, by one session, and is well or is found out.
 *	- before each question to a model that is mapped: that the inode has not
 *	  been changed (lbrec_image_intact), for a few hundred nanoseconds.
 * One case remains: a file is cut while a question is being answered, or a
 * disk fails under the mapping.  src/pg/server/fault.c makes an error of it.
 *
 * A file that fails is condemned (its mode becomes 0, which backends that
 * have mapped it see) and removed, and a new one takes its place.
 *
 * No WAL, no transaction id, no shared memory: all of it works on a hot
 * standby and without shared_preload_libraries.
 */
#include "pg/image/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "core/scan/lb_scan.h"

#include "pg/image/build.h"
#include "pg/image/image.h"
#include "pg/server/fault.h"
#include "pg/server/kernels.h"
#include "pg/store/versions.h"

/* Fourth field of our lock tags; SQL's advisory locks have 1 or 2 there. */
#define LOCK_BUILDING 0x6c62	/* "lb" */
#define LOCK_KEEPING 0x6c6b		/* "lk" */

#define FILE_MAGIC UINT64CONST(0x33656c6966626c6c)	/* "llbfile3" */

/* The image follows at this offset: a page, as mapping wants it. */
#define IMAGE_OFFSET 4096

/*
 * A block, which has a checksum of its own: they can be made by several
 * threads.  It fits the cache of a core, so that one costs no second reading.
 */
#define BLOCK_BYTES ((Size) 256 << 10)

/* Bytes of a file that are set aside between two checks for interrupts. */
#define ALLOCATED_BYTES ((off_t) 16 << 20)

/* Room that an image leaves on the disk: a share of it, up to 1 GB. */
#define DISK_SHARE 64
#define DISK_RESERVE (UINT64CONST(1) << 30)

/* How long a version that is not active keeps its image after a question. */
#define ASKED_SECONDS 86400

#define SEAL_MAGIC UINT64CONST(0x316c616573626c6c)	/* "llbseal1" */

typedef struct FileHeader
{
	uint64		magic;
	uint64		system;			/* the cluster's identifier */
	uint64		layout;			/* of ImageHeader */
	int64		model;
	int64		checksum;
	uint64		size;			/* of the image */
	uint32		database;
	uint32		image_crc;		/* CRC-32C of those of the image's blocks */
	uint32		padding;
	uint32		header_crc;		/* of all fields above */
} FileHeader;

/* The state of an inode in which its whole content was verified. */
typedef struct Seal
{
	uint64		magic;
	uint64		device;
	uint64		inode;
	int64		size;
	int64		changed;		/* ctime, seconds */
	int64		changed_nsec;
	uint32		padding;
	uint32		crc;			/* of all fields above */
} Seal;

static uint64
layout(void)
{
	return ((uint64) IMAGE_VERSION << 32) | sizeof(ImageHeader);
}

static void
image_path(char *path, int64 model, int64 checksum)
{
	/* libraries of two versions, in sessions side by side, have two files */
	snprintf(path, MAXPGPATH, IMAGE_DIR "/" IMAGE_PREFIX "%u.%lld.%llx.%llx",
			 MyDatabaseId, (long long) model, (unsigned long long) checksum,
			 (unsigned long long) layout());
}

static uint32
crc_of(const void *data, Size size)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size);
	FIN_CRC32C(crc);
	return crc;
}

static bool
take_lock(int64 model, uint16 field, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, field);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static void
give_lock(int64 model, uint16 field, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, field);
	LockRelease(&tag, mode, false);
}

/*
 * Taken by the session that builds a model's image, and held no longer than
 * that: others wait for nothing else.  An error releases it.
 */
void
lbrec_lock_image(int64 model)
{
	(void) take_lock(model, LOCK_BUILDING, ExclusiveLock, true);
}

void
lbrec_unlock_image(int64 model)
{
	give_lock(model, LOCK_BUILDING, ExclusiveLock);
}

/*
 * Until the end of this transaction, which may activate the model, sweeps
 * leave its image alone.
 */
void
lbrec_keep_image(int64 model)
{
	(void) take_lock(model, LOCK_KEEPING, ShareLock, true);
}

/* True if a transaction keeps the model's image, or builds it now. */
bool
lbrec_is_kept(int64 model)
{
	if (!take_lock(model, LOCK_KEEPING, ExclusiveLock, false))
		return true;
	give_lock(model, LOCK_KEEPING, ExclusiveLock);
	if (!take_lock(model, LOCK_BUILDING, ExclusiveLock, false))
		return true;
	give_lock(model, LOCK_BUILDING, ExclusiveLock);
	return false;
}

/* True if that is the header of this model's file. */
static bool
is_header(const FileHeader *h, const struct stat *st, const ModelRow *row)
{
	return h->magic == FILE_MAGIC &&
		h->header_crc == crc_of(h, offsetof(FileHeader, header_crc)) &&
		h->system == GetSystemIdentifier() && h->layout == layout() &&
		h->database == MyDatabaseId && h->model == row->id &&
		h->checksum == row->checksum &&
		(uint64) st->st_size == IMAGE_OFFSET + h->size;
}

static void
make_seal(Seal *seal, const struct stat *st)
{
	memset(seal, 0, sizeof(Seal));
	seal->magic = SEAL_MAGIC;
	seal->device = st->st_dev;
	seal->inode = st->st_ino;
	seal->size = st->st_size;
	seal->changed = st->st_ctim.tv_sec;
	seal->changed_nsec = st->st_ctim.tv_nsec;
	seal->crc = crc_of(seal, offsetof(Seal, crc));
}

static void
seal_path(char *out, const char *path)
{
	snprintf(out, MAXPGPATH, "%s.seal", path);
}

/* True if the content was verified after the inode's last change. */
static bool
is_sealed(const char *path, const struct stat *st)
{
	char		name[MAXPGPATH];
	Seal		want;
	Seal		found;
	int			fd;
	bool		same;

	seal_path(name, path);
	fd = OpenTransientFile(name, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return false;
	make_seal(&want, st);
	same = read(fd, &found, sizeof(found)) == sizeof(found) &&
		memcmp(&found, &want, sizeof(Seal)) == 0;
	CloseTransientFile(fd);
	return same;
}

/* Without a seal, for want of room, each session verifies for itself. */
static void
write_seal(const char *path, const struct stat *st)
{
	char		name[MAXPGPATH];
	Seal		seal;
	int			fd;

	seal_path(name, path);
	fd = OpenTransientFile(name, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (fd < 0)
		return;
	make_seal(&seal, st);
	/* half a seal is none */
	if (write(fd, &seal, sizeof(seal)) != sizeof(seal))
		unlink(name);
	CloseTransientFile(fd);
}

/*
 * An empty file beside an image tells when its version was last asked by its
 * number.  It only saves time: without it the image is built again.
 */
static void
asked_path(char *out, int64 model, int64 checksum)
{
	image_path(out, model, checksum);
	strlcat(out, ".asked", MAXPGPATH);
}

void
lbrec_mark_asked(const ModelRow *row)
{
	char		name[MAXPGPATH];
	int			fd;

	asked_path(name, row->id, row->checksum);
	fd = OpenTransientFile(name, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
	{
		(void) MakePGDirectory(IMAGE_DIR);
		fd = OpenTransientFile(name, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	}
	if (fd < 0)
		return;
	(void) futimens(fd, NULL);
	CloseTransientFile(fd);
}

/* True if the version was asked by its number within the last day. */
bool
lbrec_was_asked(int64 model, int64 checksum)
{
	char		name[MAXPGPATH];
	struct stat st;

	asked_path(name, model, checksum);
	return stat(name, &st) == 0 && time(NULL) - st.st_mtime < ASKED_SECONDS;
}

/* The image's checksum is one over the checksums of its blocks. */
static int64
n_blocks(uint64 size)
{
	return (int64) ((size + BLOCK_BYTES - 1) / BLOCK_BYTES);
}

/*
 * Compares the content with its checksum.  By reading, not through a mapping:
 * a file that is cut meanwhile, or a bad block, is then no signal.
 */
static bool
is_whole(int fd, const FileHeader *h)
{
	char	   *buffer = palloc(BLOCK_BYTES);
	uint32		block_crc;
	pg_crc32c	crc;
	bool		whole = true;

	INIT_CRC32C(crc);
	for (uint64 done = 0; whole && done < h->size; done += BLOCK_BYTES)
	{
		Size		size = Min(h->size - done, BLOCK_BYTES);
		Size		got = 0;

		CHECK_FOR_INTERRUPTS();
		while (got < size)
		{
			ssize_t		n = pread(fd, buffer + got, size - got,
								  (off_t) (IMAGE_OFFSET + done + got));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				break;
			got += n;
		}
		whole = got == size;
		block_crc = crc_of(buffer, got);
		COMP_CRC32C(crc, &block_crc, sizeof(block_crc));
	}
	FIN_CRC32C(crc);
	pfree(buffer);
	return whole && crc == h->image_crc;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* True if the opened file is this model's in every bit. */
static bool
is_good(const char *path, FileHeader *h, struct stat *st, int fd,
		const ModelRow *row)
{
	struct stat after;

	if (fstat(fd, st) != 0 || pread(fd, h, sizeof(*h), 0) != sizeof(*h) ||
		!is_header(h, st, row))
		return false;
	if (is_sealed(path, st))
		return true;
	if (!is_whole(fd, h) || fstat(fd, &after) != 0 ||
		!same_time(&after.st_ctim, &st->st_ctim))
		return false;
	write_seal(path, st);
	return true;
}

/* True if the file's image is this row's, in this server's layout. */
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

/* Nobody is to use this file any more. */
static void
condemn(ImageMap *map, const char *path)
{
	char		seal[MAXPGPATH];

	ereport(LOG,
			(errmsg("image \"%s\" of a model cannot be used and is built anew",
					path),
			 errdetail("It is truncated, damaged, or was written to.")));
	(void) fchmod(map->fd, 0);
	unlink(path);
	seal_path(seal, path);
	unlink(seal);
	lbrec_unmap_image(map);
}

/* Maps size bytes of the open file. */
static void
map_file(ImageMap *map, const ModelRow *row, Size size, int protection)
{
	void	   *base = mmap(NULL, size, protection, MAP_SHARED, map->fd, 0);

	if (base == MAP_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map the image of version %d of model \"%s\": %m",
						row->version, row->name),
				 errdetail("It needs %zu MB of address space.",
						   (size_t) (size >> 20)),
				 errhint("Raise the limit of the server's processes (ulimit -v), or serve a smaller model.")));
	map->map.base = base;
	map->map.size = size;
	lbrec_guard(&map->map);
}

/*
 * Maps a model's file.  NULL when there is none that can be used: one that
 * cannot is removed.  What map holds, lbrec_unmap_image() gives back, also
 * after an error here.
 */
const ImageHeader *
lbrec_map_image(ImageMap *map, const ModelRow *row)
{
	char		path[MAXPGPATH];
	FileHeader	header;
	struct stat st;
	const ImageHeader *image;

	lbrec_unmap_image(map);
	image_path(path, row->id, row->checksum);
	map->fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (map->fd < 0)
		return NULL;
	ReserveExternalFD();
	map->open = true;
	if (!is_good(path, &header, &st, map->fd, row))
	{
		condemn(map, path);
		return NULL;
	}
	lbrec_check_model_memory(row, header.size);
	map_file(map, row, st.st_size, PROT_READ);
	map->changed = st.st_ctim;
	map->written = st.st_mtim;
	image = (const ImageHeader *) (map->map.base + IMAGE_OFFSET);
	if (!is_image(image, header.size, row))
	{
		condemn(map, path);
		return NULL;
	}
	return image;
}

void
lbrec_unmap_image(ImageMap *map)
{
	if (map->map.base != NULL)
	{
		lbrec_unguard(&map->map);
		munmap(map->map.base, map->map.size);
	}
	if (map->part[0])
		unlink(map->part);
	if (map->open)
	{
		close(map->fd);
		ReleaseExternalFD();
	}
	memset(map, 0, sizeof(ImageMap));
}

/*
 * True if the mapped file is as it was verified.  A removed file (its model is
 * no longer active) serves on, a condemned one does not.
 */
bool
lbrec_image_intact(const ImageMap *map, const ModelRow *row)
{
	struct stat st;
	char		path[MAXPGPATH];

	if (map->map.base == NULL)
		return true;			/* in this backend's own memory */
	if (map->map.lost)
	{
		image_path(path, row->id, row->checksum);
		unlink(path);
		return false;
	}
	if (fstat(map->fd, &st) != 0 || (Size) st.st_size != map->map.size)
		return false;
	if (same_time(&st.st_ctim, &map->changed))
		return true;
	return st.st_nlink == 0 && (st.st_mode & S_IRUSR) != 0 &&
		same_time(&st.st_mtim, &map->written);
}

/*
 * Sets aside room on the disk, so that no page of the mapping can lack it.
 * Where the file system cannot do that, a full disk raises SIGBUS, which is
 * an error then (src/pg/server/fault.c).
 */
static int
set_aside(int fd, off_t size)
{
	for (off_t done = 0; done < size; done += ALLOCATED_BYTES)
	{
		int			failure;

		/* a file system may fill it with zeros, which takes its time */
		do
		{
			CHECK_FOR_INTERRUPTS();
			failure = posix_fallocate(fd, done,
									  Min(size - done, ALLOCATED_BYTES));
		} while (failure == EINTR);
		if (failure == EINVAL || failure == EOPNOTSUPP)
			return ftruncate(fd, size) == 0 ? 0 : errno;
		if (failure != 0)
			return failure;
	}
	return 0;
}

/*
 * Images are temporary files, and keep to what the administrator allows of
 * those; and they leave room on the disk for the server itself, which needs
 * it more.  Returns 0, or why there can be no file of that size.
 */
static int
check_room(int fd, Size size)
{
	struct statvfs disk;
	uint64		reserve;

	if (temp_file_limit >= 0 && size / 1024 > (Size) temp_file_limit)
		return EDQUOT;
	if (fstatvfs(fd, &disk) != 0)
		return 0;
	reserve = Min((uint64) disk.f_blocks * disk.f_frsize / DISK_SHARE,
				  DISK_RESERVE);
	return size + reserve > (uint64) disk.f_bavail * disk.f_frsize ?
		ENOSPC : 0;
}

/* There can be no file.  A session that goes on without says so once. */
static void
no_file(ImageMap *map, const char *file, Size size, int failure)
{
	static bool warned = false;

	lbrec_unmap_image(map);
	if (warned)
		return;
	warned = true;
	errno = failure;
	ereport(WARNING,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", file),
			 errdetail("The model is kept in this session's own memory, %zu MB.",
					   (size_t) (size >> 20)),
			 errhint("Other sessions need as much each until there is room in the folder of temporary files, and temp_file_limit allows it; or set lbrec.shared_images to off.")));
}

/*
 * A block of zeros to build an image in that needs size bytes: a new file,
 * mapped.  NULL, and a warning once a session, when there can be no file; the
 * image is to be built in memory then.  Until lbrec_finish_image() the file
 * has a name of its own, and lbrec_unmap_image() removes it.
 */
void *
lbrec_begin_image(ImageMap *map, const ModelRow *row, Size size)
{
	char		path[MAXPGPATH];
	char		part[MAXPGPATH + 16];
	int			failure = 0;

	lbrec_unmap_image(map);
	image_path(path, row->id, row->checksum);
	snprintf(part, sizeof(part), "%s" IMAGE_PART "%d", path, MyProcPid);
	unlink(part);				/* of an earlier process with this number */
	map->fd = BasicOpenFile(part, O_CREAT | O_EXCL | O_RDWR | PG_BINARY);
	if (map->fd < 0 && errno == ENOENT)
	{
		/* the server makes the folder when it first needs it, as we do */
		(void) MakePGDirectory(IMAGE_DIR);
		map->fd = BasicOpenFile(part, O_CREAT | O_EXCL | O_RDWR | PG_BINARY);
	}
	if (map->fd < 0)
		failure = errno;
	else
	{
		ReserveExternalFD();
		map->open = true;
		strlcpy(map->part, part, sizeof(map->part));
		failure = check_room(map->fd, IMAGE_OFFSET + size);
		if (failure == 0)
			failure = set_aside(map->fd, (off_t) (IMAGE_OFFSET + size));
	}
	if (failure == 0)
	{
		map_file(map, row, IMAGE_OFFSET + size, PROT_READ | PROT_WRITE);
		return map->map.base + IMAGE_OFFSET;
	}
	no_file(map, part, size, failure);
	return NULL;
}

/* The checksums of an image's blocks. */
typedef struct Summing
{
	const char *image;
	uint64		size;
	uint32	   *crcs;
} Summing;

static bool
sum_blocks(void *arg, int worker, int64 from, int64 to)
{
	Summing    *s = arg;

	for (int64 i = from; i < to; i++)
		s->crcs[i] = crc_of(s->image + i * BLOCK_BYTES,
							Min(s->size - i * BLOCK_BYTES, BLOCK_BYTES));
	return true;
}

/*
 * The image is built: its file gets its header, its seal and its name.  Its
 * content was summed up through the mapping, so its builder need not verify
 * it.  NULL when that is not possible.
 */
const ImageHeader *
lbrec_finish_image(ImageMap *map, const ModelRow *row)
{
	const ImageHeader *image = (const ImageHeader *) (map->map.base + IMAGE_OFFSET);
	FileHeader *h = (FileHeader *) map->map.base;
	Summing		s = {.image = (const char *) image, .size = image->size};
	LbStatus	status;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec image checksum",
												  ALLOCSET_DEFAULT_SIZES);
	LbThreads  *pool = NULL;
	char		path[MAXPGPATH];
	struct stat st;

	s.crcs = MemoryContextAlloc(context, n_blocks(s.size) * sizeof(uint32));
	if (s.size >= THREADED_BYTES)
		pool = lbrec_start_threads(context);
	LBREC_RUN((status = lb_threads_for(pool, n_blocks(s.size), 1, 1,
									   sum_blocks, &s,
									   lbrec_cancel_flag())) == LB_CANCELLED);
	h->magic = FILE_MAGIC;
	h->system = GetSystemIdentifier();
	h->layout = layout();
	h->model = row->id;
	h->checksum = row->checksum;
	h->size = image->size;
	h->database = MyDatabaseId;
	h->image_crc = crc_of(s.crcs, n_blocks(s.size) * sizeof(uint32));
	h->header_crc = crc_of(h, offsetof(FileHeader, header_crc));
	MemoryContextDelete(context);
	lbrec_check_maps();

	image_path(path, row->id, row->checksum);
	if (mprotect(map->map.base, map->map.size, PROT_READ) != 0 ||
		fchmod(map->fd, pg_file_create_mode & ~0222) != 0 ||
		rename(map->part, path) != 0 || fstat(map->fd, &st) != 0)
	{
		no_file(map, path, s.size, errno);
		return NULL;
	}
	map->part[0] = '\0';
	write_seal(path, &st);
	map->changed = st.st_ctim;
	map->written = st.st_mtim;
	return image;
}
