/*
 * build.c
 *		Builds serving images.
 *
 * First the image is planned: which stored arrays it has, which parts are made
 * of them, where each lies, and how large it all is.  Then, in a block of that
 * size, the arrays are loaded, each checked as it comes, and held against each
 * other before anything of them is an index; then the other parts are made.
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

/* Sets aside bytes of the image. */
int64
lbrec_reserve_part(ImageBuilder *b, Size bytes)
{
	int64		at = (int64) b->used;

	b->used += LB_ALIGN_UP(bytes);
	return at;
}

/*
 * The places of all parts, from what the tables say of their shapes; b->used
 * is then the bytes that lbrec_build_image() needs.  An error where serving
 * would not find the arrays that the configuration needs.  Called within SPI.
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

/* An error where serving would not find the arrays that the model needs. */
void
lbrec_check_image(const ModelRow *row)
{
	ImageBuilder *b = palloc(sizeof(ImageBuilder));

	lbrec_plan_image(b, row);
	lbrec_check_sum(row);
	pfree(b);
}

/* Builds the image that was planned in block.  Called within SPI. */
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

	/* others will take it for what the row with this checksum tells */
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

/* Fails if an image of that size may not go into a session's memory. */
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
