/*
 * room.c
 *		Room on the disk for an image.
 */
#include "pg/image/room.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/guc.h"

/* Bytes of a file that are set aside between two checks for interrupts. */
#define ALLOCATED_BYTES ((off_t) 16 << 20)

/* Room that an image leaves on the disk: a share of it, up to 1 GB. */
#define DISK_SHARE 64
#define DISK_RESERVE (UINT64CONST(1) << 30)

/*
 * Sets aside room on the disk, so that no page of the mapping can lack it.
 * Where the file system cannot do that, a full disk raises SIGBUS, which is
 * an error then (src/pg/server/fault.c).
 */
int
lbrec_set_aside(int fd, off_t size)
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
