/*
 * names.c
 *		The names of images' files.
 */
#include "pg/image/names.h"

#include "miscadmin.h"

#include "pg/image/image.h"

/* Images of two layouts do not fit. */
uint64
lbrec_image_layout(void)
{
	return ((uint64) IMAGE_VERSION << 32) | sizeof(ImageHeader);
}

/* path has room for MAXPGPATH bytes */
void
lbrec_image_path(char *path, int64 model, int64 checksum)
{
	/* libraries of two versions, in sessions side by side, have two files */
	snprintf(path, MAXPGPATH, IMAGE_DIR "/" IMAGE_PREFIX "%u.%lld.%llx.%llx",
			 MyDatabaseId, (long long) model, (unsigned long long) checksum,
			 (unsigned long long) lbrec_image_layout());
}
