/*
 * file.h
 *		Images in files that all backends of a cluster map.
 */
#ifndef LBREC_IMAGE_FILE_H
#define LBREC_IMAGE_FILE_H

#include "pg/image/image.h"
#include "pg/server/fault.h"
#include "pg/store/versions.h"

#include <signal.h>
#include <sys/stat.h>

#include "access/xact.h"
#include "storage/fd.h"

/* A file in this backend's address space, or all zeros. */
typedef struct ImageMap
{
	GuardedMap	map;
	bool		open;
	int			fd;
	struct timespec changed;	/* the inode's ctime when it was verified */
	struct timespec written;
	char		part[MAXPGPATH];	/* the temporary name of an unfinished
									 * file, or "" */
} ImageMap;

extern const ImageHeader *lbrec_map_image(ImageMap *map, const ModelRow *row);
extern void *lbrec_begin_image(ImageMap *map, const ModelRow *row, Size size);
extern const ImageHeader *lbrec_finish_image(ImageMap *map,
											 const ModelRow *row);
extern void lbrec_unmap_image(ImageMap *map);
extern bool lbrec_image_intact(const ImageMap *map, const ModelRow *row);

#endif							/* LBREC_IMAGE_FILE_H */
