/*
 * imagefile.h
 *		Images in files that all backends of a cluster map.
 */
#ifndef LBREC_IMAGEFILE_H
#define LBREC_IMAGEFILE_H

#include "image.h"

/* A file in this backend's address space. */
typedef struct ImageMap
{
	void	   *base;			/* NULL: nothing is mapped */
	Size		size;
} ImageMap;

extern const ImageHeader *lbrec_map_image(ImageMap *map, const ModelRow *row);
extern bool lbrec_write_image(const ImageHeader *image);
extern void lbrec_unmap_image(ImageMap *map);
extern void lbrec_lock_image(const ModelRow *row);
extern void lbrec_unlock_image(const ModelRow *row);
extern void lbrec_sweep_images(void);
extern void lbrec_forget_images_at_commit(int64 model);

#endif							/* LBREC_IMAGEFILE_H */
