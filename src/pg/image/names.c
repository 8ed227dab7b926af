/*
 * names.c
 *		The names of image files.
 */
#include "pg/image/names.h"

#include "miscadmin.h"

#include "pg/image/image.h"

/* Identifies the layout: images of two layouts are incompatible. */
uint64
lbrec_image_layout(void)
{
	return ((uint64) IMAGE_VERSION << 32) | sizeof(ImageHeader);
}

/* path has room for MAXPGPATH bytes */
void
lbrec_image_path(char *path, int64 model, int64 checksum)
{
	/*
	 * the layout in the name lets two versions of the library run side by
	 * side
	 */
	snprintf(path, MAXPGPATH, IMAGE_DIR "/" IMAGE_PREFIX "%u.%lld.%llx.%llx",
			 MyDatabaseId, (long long) model, (unsigned long long) checksum,
			 (unsigned long long) lbrec_image_layout());
}
