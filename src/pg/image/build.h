/*
 * build.h
 *		What the files that build serving images share.
 *
 * A function that takes a part runs twice: first, while nothing is loaded, to
 * learn the part's size and place, then with the block at hand.  What it
 * writes to the header must be the same both times.
 */
#ifndef LBREC_IMAGE_BUILD_H
#define LBREC_IMAGE_BUILD_H

#include "pg/image/image.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"

typedef struct ImageBuilder
{
	const ModelRow *row;
	ImageHeader *header;		/* the block, or a header alone while sizing */
	bool		loading;
	Size		used;
	LbThreads  *pool;			/* while loading a large image, or NULL */
	ImageHeader sizing;
} ImageBuilder;

/* A part, while loading. */
static inline void *
lbrec_part(const ImageBuilder *b, int64 offset)
{
	return (char *) b->header + offset;
}

/* build.c */
extern void lbrec_check_model_memory(const ModelRow *row, Size size);
extern void lbrec_plan_image(ImageBuilder *b, const ModelRow *row);
extern void lbrec_build_image(ImageBuilder *b, void *block);
extern void lbrec_bad_part(const ImageBuilder *b, const char *tensor);
extern int64 lbrec_reserve_part(ImageBuilder *b, Size bytes);
extern int64 lbrec_take_tensor(ImageBuilder *b, const char *name,
							   TensorType type, int64 rows, int cols,
							   TensorShape *shape);
extern void lbrec_select_config(const ImageBuilder *b, const char *sql);
extern char *lbrec_config_text(const ImageBuilder *b, uint64 row, int column);

/* build_query.c */
extern void lbrec_take_inputs(ImageBuilder *b);
extern void lbrec_take_layers(ImageBuilder *b);
extern void lbrec_take_users(ImageBuilder *b);
extern void lbrec_take_history(ImageBuilder *b);

/* build_items.c */
extern void lbrec_take_neighbours(ImageBuilder *b);
extern void lbrec_take_groupings(ImageBuilder *b);
extern void lbrec_take_recordings(ImageBuilder *b);
extern void lbrec_take_popularity(ImageBuilder *b);

#endif							/* LBREC_IMAGE_BUILD_H */
