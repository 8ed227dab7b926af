/*
 * build.h
 *		Shared by the files that build serving images.
 */
#ifndef LBREC_IMAGE_BUILD_H
#define LBREC_IMAGE_BUILD_H

#include "pg/image/image.h"
#include "pg/model/load.h"
#include "pg/store/versions.h"

#include "core/lb_threads.h"

/* A model with an image under construction. */
typedef struct ImageBuilder
{
	LoadedModel loaded;
	ImageHeader *header;		/* the block; while planning, a header alone */
	Size		used;
	LbThreads  *pool;			/* threads for a large image, or NULL */
	ImageHeader planned;
} ImageBuilder;

/* build.c */
extern void lbrec_check_model_memory(const ModelRow *row, Size size);
extern void lbrec_plan_image(ImageBuilder *b, const ModelRow *row);
extern void lbrec_build_image(ImageBuilder *b, void *block);
extern int64 lbrec_reserve_part(ImageBuilder *b, Size bytes);

/*
 * Derived parts: planned while only sizes are known, made when the arrays are
 * loaded.
 */

/* build_keys.c */
extern void lbrec_plan_keys(ImageBuilder *b);
extern void lbrec_make_keys(ImageBuilder *b, ServingModel *serving);

/* build_items.c */
extern void lbrec_plan_items(ImageBuilder *b);
extern void lbrec_make_items(ImageBuilder *b, ServingModel *serving);

#endif							/* LBREC_IMAGE_BUILD_H */
