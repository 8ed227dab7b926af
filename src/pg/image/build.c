/*
 * build.c
 *		Builds serving images.
 *
 * The first step plans the image: its stored arrays, the parts derived from
 * them, their offsets and the total size.  The second step loads the arrays
 * into a block of that size, checks each one, and compares them with each
 * other before any value is used as an index.  The third step makes the
 * derived parts.
 */
#include "pg/image/build.h"

#include "executor/spi.h"
#include "utils/memutils.h"

#include "pg/image/image.h"
#include "pg/model/load.h"
#include "pg/model/parts.h"
#include "pg/server/fault.h"
#include "pg/server/kernels.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* Reserves bytes of the image; returns their offset. */
int64
lbrec_reserve_part(ImageBuilder *b, Size bytes)
{
	int64		at = (int64) b->used;

	b->used += LB_ALIGN_UP(bytes);
	return at;
}

/*
 * Assigns offsets to all parts, from the shapes in the tables; b->used is then
 * the size that lbrec_build_image() needs.  Raises an error if an array that
 * the configuration needs is missing.  Called within SPI.
 */
void
lbrec_plan_image(ImageBuilder *b, const ModelRow *row)
{
	ImageHeader *h = &b->planned;

	memset(b, 0, sizeof(ImageBuilder));
	b->header = h;
	b->used = LB_ALIGN_UP(sizeof(ImageHeader));
	lbrec_find_arrays(&b->loaded, row, PART_SERVES);
	h->magic = IMAGE_MAGIC;
	h->image_version = IMAGE_VERSION;
	h->row = *row;
	h->config = b->loaded.config;
	h->D = lbrec_vector_width(&h->config);
	for (int i = 0; i < b->loaded.parts->n; i++)
	{
		const StoredPart *p = &b->loaded.parts->part[i];

		if (!(p->uses & PART_SERVES))
			continue;
		if (h->n_parts == MAX_SERVING_PARTS)
			elog(ERROR, "an image has more than %d arrays", MAX_SERVING_PARTS);
		h->part_rows[h->n_parts] = p->shape.rows;
		h->parts[h->n_parts++] =
			lbrec_reserve_part(b, lbrec_tensor_size(&p->shape));
	}
	lbrec_plan_keys(b);
	lbrec_plan_items(b);
	h->size = b->used;
}

/* Raises an error if an array that serving needs is missing. */
void
lbrec_check_image(const ModelRow *row)
{
	ImageBuilder *b = palloc(sizeof(ImageBuilder));

	lbrec_plan_image(b, row);
	lbrec_check_sum(row);
	pfree(b);
}

/* Builds the planned image in block. Called within SPI. */
void
lbrec_build_image(ImageBuilder *b, void *block)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec image builder",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ServingModel *serving = palloc(sizeof(ServingModel));
	int			n = 0;

	if (b->used >= THREADED_BYTES)
		b->pool = lbrec_start_threads(context);
	b->header = block;
	*b->header = b->planned;
	for (int i = 0; i < b->loaded.parts->n; i++)
		if (b->loaded.parts->part[i].uses & PART_SERVES)
			lbrec_load_array(&b->loaded, i,
							 (char *) block + b->header->parts[n++]);
	lbrec_check_arrays(&b->loaded, PART_SERVES);

	/* other sessions trust this checksum, so compare it with the row's */
	lbrec_check_sum(b->loaded.row);
	MemoryContextSwitchTo(context);
	lbrec_attach_image(serving, b->header);
	lbrec_make_keys(b, serving);
	lbrec_make_items(b, serving);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	b->pool = NULL;
	lbrec_check_maps();
}

/* Fails if an image of that size exceeds the limit for a session's memory. */
void
lbrec_check_model_memory(const ModelRow *row, Size size)
{
	if (lbrec_max_model_memory == 0 ||
		size <= (Size) lbrec_max_model_memory * 1024)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("version %d of model \"%s\" needs %zu kB to be served",
					row->version, row->name, (size_t) (size + 1023) / 1024),
			 errdetail("lbrec.max_model_memory allows %d kB.",
					   lbrec_max_model_memory),
			 errhint("Raise lbrec.max_model_memory, or train with min_listens or a smaller embedding_dim.")));
}
