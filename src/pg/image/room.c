/*
 * room.c
 *		Reserves disk space for an image.
 */
#include "pg/image/room.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/guc.h"

/* Bytes allocated between two checks for interrupts. */
#define ALLOCATED_BYTES ((off_t) 16 << 20)

/*
 * Disk space that an image must leave free: this fraction of the disk, up to 1
 * GB.
 */
#define DISK_SHARE 64
#define DISK_RESERVE (UINT64CONST(1) << 30)

/*
 * Allocates the file, so that no page of the mapping can lack disk space.  If
 * the file system cannot do that, a full disk raises SIGBUS, which
 * src/pg/server/fault.c turns into an error.
 */
int
lbrec_set_aside(int fd, off_t size)
{
	for (off_t done = 0; done < size; done += ALLOCATED_BYTES)
	{
		int			failure;

		/* a file system may write zeros here, which takes a while */
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
 * Images obey the administrator's limit for temporary files, and leave disk
 * space for the server.  Returns 0, or the error number if such a file must
 * not be made.
 */
int
lbrec_check_room(int fd, Size size)
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
