/*
 * cache.c
 *		Images that this backend has at hand.
 *
 * An image is derived, never the truth: every call looks up the model's row
 * in the tables first, as the transaction sees it, and uses an image only if
 * the row's id and checksum are those that it was built from.  So training,
 * activation, rollback and DROP need no invalidation.
 */
#include "image.h"

#include "executor/spi.h"
#include "utils/memutils.h"

#define MAX_CACHED 4

typedef struct CacheEntry
{
	MemoryContext context;		/* NULL: free */
	uint64		used;			/* larger is more recent */
	ServingModel serving;
} CacheEntry;

static CacheEntry entries[MAX_CACHED];
static uint64 clock_hand;

static void
no_such_model(const char *name)
{
	if (name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active", name),
				 errdetail("A model is visible to others when the transaction that trained it has committed."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no active model"),
			 errdetail("No model has been trained in this database, or none is visible yet."),
			 errhint("Train one with SELECT * FROM lbrec_train('weekly').")));
}

/*
 * The active version of the model, ready to serve.  The result is valid until
 * the next call.  SPI must not be connected.
 */
const ServingModel *
lbrec_open_model(const char *name)
{
	ModelRow	row;
	CacheEntry *victim = &entries[0];
	MemoryContext context;
	ImageHeader *image;

	memset(&row, 0, sizeof(row));
	SPI_connect();
	if (!lbrec_find_model(&row, name))
		no_such_model(name);
	for (int i = 0; i < MAX_CACHED; i++)
	{
		CacheEntry *e = &entries[i];

		if (e->context != NULL && e->serving.image->row.id == row.id &&
			e->serving.image->row.checksum == row.checksum)
		{
			SPI_finish();
			e->used = ++clock_hand;
			return &e->serving;
		}
		if (e->context == NULL || e->used < victim->used)
			victim = e;
	}

	/* the old image goes first, so that two need not fit in memory */
	if (victim->context != NULL)
	{
		context = victim->context;
		victim->context = NULL;
		victim->used = 0;
		MemoryContextDelete(context);
	}
	/* an error while building frees the context with the statement */
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec image",
									ALLOCSET_DEFAULT_SIZES);
	image = lbrec_build_image(&row, context);
	MemoryContextSetParent(context, CacheMemoryContext);
	lbrec_attach_image(&victim->serving, image);
	victim->context = context;
	victim->used = ++clock_hand;
	SPI_finish();
	return &victim->serving;
}
