/*
 * imagefile.h
 *		Images in files that all backends of a cluster map.
 */
#ifndef LBREC_IMAGEFILE_H
#define LBREC_IMAGEFILE_H

#include "image.h"

#include <signal.h>
#include <sys/stat.h>

#include "access/xact.h"
#include "common/file_utils.h"	/* PG_TEMP_FILES_DIR, from 16 on */
#include "storage/fd.h"

#define IMAGE_DIR "base/" PG_TEMP_FILES_DIR
#define IMAGE_PREFIX PG_TEMP_FILE_PREFIX "_lbrec."

/* A file in this backend's address space; all zeros: none. */
typedef struct ImageMap
{
	bool		open;
	int			fd;
	char	   *base;			/* NULL: nothing is mapped */
	Size		size;
	struct timespec changed;	/* the inode, when it was verified */
	struct timespec written;
	volatile sig_atomic_t lost; /* a part of it could not be read */
	char		part[MAXPGPATH];	/* the file's name until it is whole, or
									 * "" */
	struct ImageMap *volatile next; /* guarded */
} ImageMap;

/* imagefile.c */
extern const ImageHeader *lbrec_map_image(ImageMap *map, const ModelRow *row);
extern void *lbrec_begin_image(ImageMap *map, const ModelRow *row, Size size);
extern const ImageHeader *lbrec_finish_image(ImageMap *map,
											 const ModelRow *row);
extern void lbrec_unmap_image(ImageMap *map);
extern bool lbrec_image_intact(const ImageMap *map, const ModelRow *row);
extern void lbrec_lock_image(int64 model);
extern bool lbrec_try_lock_image(int64 model);
extern void lbrec_unlock_image(int64 model);

/* imagefault.c */
extern void lbrec_guard_image(ImageMap *map);
extern void lbrec_unguard_image(ImageMap *map);

/* imagesweep.c */
extern void lbrec_sweep_images(void);
extern void lbrec_forget_images(int64 model, XactEvent when);

/* imageready.c */
extern void lbrec_prepare_image(const char *name);

#endif							/* LBREC_IMAGEFILE_H */
