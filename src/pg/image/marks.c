/*
 * marks.c
 *		Small files beside an image: the seal of a verification, and the time
 *		of the last request by number.
 */
#include "pg/image/marks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "storage/fd.h"

#include "pg/image/names.h"
#include "pg/server/crc32c.h"

/* An inactive version keeps its image for this long after a request. */
#define ASKED_SECONDS 86400

#define SEAL_MAGIC UINT64CONST(0x316c616573626c6c)	/* "llbseal1" */

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
	seal->crc = lbrec_crc32c(seal, offsetof(Seal, crc));
}

static void
seal_path(char *out, const char *path)
{
	snprintf(out, MAXPGPATH, "%s.seal", path);
}

/* True if the content was verified after the inode's last change. */
bool
lbrec_is_sealed(const char *path, const struct stat *st)
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

/* If the disk has no room for a seal, each session verifies for itself. */
void
lbrec_write_seal(const char *path, const struct stat *st)
{
	char		name[MAXPGPATH];
	Seal		seal;
	int			fd;

	seal_path(name, path);
	fd = OpenTransientFile(name, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (fd < 0)
		return;
	make_seal(&seal, st);
	/* an incomplete seal is none */
	if (write(fd, &seal, sizeof(seal)) != sizeof(seal))
		unlink(name);
	CloseTransientFile(fd);
}

void
lbrec_remove_seal(const char *path)
{
	char		name[MAXPGPATH];

	seal_path(name, path);
	unlink(name);
}

/*
 * The modification time of an empty file beside an image tells when its
 * version was last requested by number.  It only saves time: without it the
 * image is built again.
 */
static void
asked_path(char *out, int64 model, int64 checksum)
{
	lbrec_image_path(out, model, checksum);
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

/* True if the version was requested by number within the last day. */
bool
lbrec_was_asked(int64 model, int64 checksum)
{
	char		name[MAXPGPATH];
	struct stat st;

	asked_path(name, model, checksum);
	return stat(name, &st) == 0 && time(NULL) - st.st_mtime < ASKED_SECONDS;
}
