/*
 * file.c
 *		Images in files that all backends of a cluster map.
 *
 * A file is base/pgsql_tmp/pgsql_tmp_lbrec.DATABASE.MODEL.CHECKSUM.LAYOUT.
 * The server removes files that begin with pgsql_tmp whenever it starts, also
 * after a crash, and base backups leave them out; so a backend of this server
 * has written the file since the last start.  The tables hold the truth: a
 * backend that cannot use a file builds the image from them.
 *
 * Building: the backend that finds no file takes a lock on (database, model),
 * looks again, creates a file under a temporary name, allocates its full size,
 * so that a full disk fails at once, and builds the image in the mapping.
 * Building in memory and then writing would cost more than all other steps:
 * gigabytes of pages zeroed, filled and copied.  The finished file is made
 * read-only and renamed.
 *
 * Verification happens
 *	- each time that a file is mapped: its size, its header's checksum, and that
 *	  the header names this system, database, model, checksum and layout;
 *	- by the first backend that maps it: its whole content.  That reads all
 *	  of it, 10 to 20 ms per 100 MB, so a small file beside it, the seal, keeps
 *	  the result: the number of the inode, and the time of its last change.
 *	  A backend that finds a seal of the present inode reads no more.  The
 *	  kernel itself sets the time of a change (ctime) with every write,
 *	  truncation, rename and utime, so one session reads a touched file once
 *	  more and finds any damage;
 *	- before each call to a mapped model: that the inode has not changed
 *	  (lbrec_image_intact), for a few hundred nanoseconds.
 * One case remains: a file is truncated during a call, or a
 * disk fails under the mapping.  src/pg/server/fault.c makes an error of it.
 *
 * A file that fails is condemned (its mode becomes 0, which backends that have
 * mapped it notice) and removed; a new one replaces it.
 *
 * Nothing here needs WAL, a transaction id or shared memory, so it works on a
 * hot standby and without shared_preload_libraries.
 */
#include "pg/image/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#include "core/scan/lb_scan.h"

#include "pg/image/build.h"
#include "pg/image/image.h"
#include "pg/image/marks.h"
#include "pg/image/names.h"
#include "pg/image/room.h"
#include "pg/server/crc32c.h"
#include "pg/server/fault.h"
#include "pg/server/kernels.h"
#include "pg/store/versions.h"

#define FILE_MAGIC UINT64CONST(0x33656c6966626c6c)	/* "llbfile3" */

/* The image begins at this offset, a page, because mappings need that. */
#define IMAGE_OFFSET 4096

/*
 * Size of a block, each with a checksum, so that several threads can compute
 * them.  A block fits a core's cache, so that building and summing read it
 * once.
 */
#define BLOCK_BYTES ((Size) 256 << 10)

typedef struct FileHeader
{
	uint64		magic;
	uint64		system;			/* the cluster's system identifier */
	uint64		layout;			/* of ImageHeader */
	int64		model;
	int64		checksum;
	uint64		size;			/* of the image */
	uint32		database;
	uint32		image_crc;		/* CRC-32C over the checksums of the image's
								 * blocks */
	uint32		padding;
	uint32		header_crc;		/* of all fields above */
} FileHeader;

/* True if this is the header of the model's file. */
static bool
is_header(const FileHeader *h, const struct stat *st, const ModelRow *row)
{
	return h->magic == FILE_MAGIC &&
		h->header_crc == lbrec_crc32c(h, offsetof(FileHeader, header_crc)) &&
		h->system == GetSystemIdentifier() && h->layout == lbrec_image_layout() &&
		h->database == MyDatabaseId && h->model == row->id &&
		h->checksum == row->checksum &&
		(uint64) st->st_size == IMAGE_OFFSET + h->size;
}

/* The image's checksum is one over the checksums of its blocks. */
static int64
n_blocks(uint64 size)
{
	return (int64) ((size + BLOCK_BYTES - 1) / BLOCK_BYTES);
}

/*
 * Compares the content with its checksum.  It reads instead of mapping, so
 * that a truncated file or a bad block is an error, not a signal.
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
		block_crc = lbrec_crc32c(buffer, got);
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

/* True if all bytes of the opened file are intact and the model's. */
static bool
is_good(const char *path, FileHeader *h, struct stat *st, int fd,
		const ModelRow *row)
{
	struct stat after;

	if (fstat(fd, st) != 0 || pread(fd, h, sizeof(*h), 0) != sizeof(*h) ||
		!is_header(h, st, row))
		return false;
	if (lbrec_is_sealed(path, st))
		return true;
	if (!is_whole(fd, h) || fstat(fd, &after) != 0 ||
		!same_time(&after.st_ctim, &st->st_ctim))
		return false;
	lbrec_write_seal(path, st);
	return true;
}

/* True if the file holds this row's image in this server's layout. */
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

/* Makes all backends stop using this file. */
static void
condemn(ImageMap *map, const char *path)
{
	ereport(LOG,
			(errmsg("image \"%s\" of a model cannot be used and is built anew",
					path),
			 errdetail("It is truncated, damaged, or was written to.")));
	(void) fchmod(map->fd, 0);
	unlink(path);
	lbrec_remove_seal(path);
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
 * Maps a model's file.  Returns NULL if there is no usable one; an unusable
 * one is removed.  The caller releases map with lbrec_unmap_image(), also
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
	lbrec_image_path(path, row->id, row->checksum);
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
 * True if the mapped file is as it was when verified.  A removed file (of a
 * model no longer active) still serves, a condemned one does not.
 */
bool
lbrec_image_intact(const ImageMap *map, const ModelRow *row)
{
	struct stat st;
	char		path[MAXPGPATH];

	if (map->map.base == NULL)
		return true;			/* the image is in this backend's own memory */
	if (map->map.lost)
	{
		lbrec_image_path(path, row->id, row->checksum);
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

/* Warns, once a session, that no file can be used. */
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
			 errhint("Make room in the folder of temporary files or raise temp_file_limit; until then each session needs as much memory. To do without shared images, set lbrec.shared_images to off.")));
}

/*
 * Returns size zero bytes to build an image in: a new file, mapped.  Returns
 * NULL, with a warning once a session, if there can be no file; then build in
 * memory.  Until lbrec_finish_image() the file has a temporary name, and
 * lbrec_unmap_image() removes it.
 */
void *
lbrec_begin_image(ImageMap *map, const ModelRow *row, Size size)
{
	char		path[MAXPGPATH];
	char		part[MAXPGPATH + 16];
	int			failure = 0;

	lbrec_unmap_image(map);
	lbrec_image_path(path, row->id, row->checksum);
	snprintf(part, sizeof(part), "%s" IMAGE_PART "%d", path, MyProcPid);
	unlink(part);				/* a leftover of an earlier process with this
								 * pid */
	map->fd = BasicOpenFile(part, O_CREAT | O_EXCL | O_RDWR | PG_BINARY);
	if (map->fd < 0 && errno == ENOENT)
	{
		/* like the server, create the folder when it is first needed */
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
		failure = lbrec_check_room(map->fd, IMAGE_OFFSET + size);
		if (failure == 0)
			failure = lbrec_set_aside(map->fd, (off_t) (IMAGE_OFFSET + size));
	}
	if (failure == 0)
	{
		map_file(map, row, IMAGE_OFFSET + size, PROT_READ | PROT_WRITE);
		return map->map.base + IMAGE_OFFSET;
	}
	no_file(map, part, size, failure);
	return NULL;
}

/* Threads that sum up an image's blocks. */
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
		s->crcs[i] = lbrec_crc32c(s->image + i * BLOCK_BYTES,
								  Min(s->size - i * BLOCK_BYTES, BLOCK_BYTES));
	return true;
}

/*
 * Finishes a built image: gives its file the header, the seal and its final
 * name.  The content was summed through the mapping, so the builder need not
 * verify it.  Returns NULL if that fails.
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
	h->layout = lbrec_image_layout();
	h->model = row->id;
	h->checksum = row->checksum;
	h->size = image->size;
	h->database = MyDatabaseId;
	h->image_crc = lbrec_crc32c(s.crcs, n_blocks(s.size) * sizeof(uint32));
	h->header_crc = lbrec_crc32c(h, offsetof(FileHeader, header_crc));
	MemoryContextDelete(context);
	lbrec_check_maps();

	lbrec_image_path(path, row->id, row->checksum);
	if (mprotect(map->map.base, map->map.size, PROT_READ) != 0 ||
		fchmod(map->fd, pg_file_create_mode & ~0222) != 0 ||
		rename(map->part, path) != 0 || fstat(map->fd, &st) != 0)
	{
		no_file(map, path, s.size, errno);
		return NULL;
	}
	map->part[0] = '\0';
	lbrec_write_seal(path, &st);
	map->changed = st.st_ctim;
	map->written = st.st_mtim;
	return image;
}
