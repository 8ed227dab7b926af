/*
 * cache.c
 *		The images that this backend has opened.
 *
 * The tables hold the truth; an image is derived from them.  Every call first
 * looks up the model's row, as its transaction sees it, and uses an image only
 * if it was built from a row with the same id and checksum.  So training,
 * activation, rollback and DROP need no invalidation.  Every call also checks
 * SELECT on lbrec.tensor: a role without it must not get an image that another
 * role's call opened here.
 *
 * Images come from files that all backends map (file.c), or are built in this
 * backend's memory.  An image in use stays until the memory context in which
 * it was opened is reset: a query given as an argument may open any number of
 * other models meanwhile.
 */
#include "pg/image/cache.h"

#include <time.h>

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "pg/image/build.h"
#include "pg/image/file.h"
#include "pg/image/locks.h"
#include "pg/image/marks.h"
#include "pg/image/image.h"
#include "pg/image/sweep.h"
#include "pg/server/kernels.h"
#include "pg/store/versions.h"

#define MAX_CACHED 4

/* Seconds until a request for a version by number is noted again. */
#define ASKED_AGAIN 3600

typedef struct CacheEntry
{
	ServingModel serving;
	ModelRow	row;			/* a copy, because the image's own may be
								 * unreadable */
	MemoryContext self;			/* holds this entry, and an image outside of
								 * files; its reset unmaps one in a file */
	ImageMap	map;
	MemoryContextCallback unmap;
	uint64		used;			/* larger is more recent */
	time_t		asked;			/* time of the last note; 0: not requested by
								 * number */
	int			pins;
	bool		cached;			/* true if the entry is in entries[] */
} CacheEntry;

typedef struct Pin
{
	MemoryContextCallback callback;
	CacheEntry *entry;
} Pin;

static CacheEntry *entries[MAX_CACHED];
static uint64 clock_hand;

static void
unpin(void *arg)
{
	CacheEntry *e = ((Pin *) arg)->entry;

	if (--e->pins == 0 && !e->cached)
		MemoryContextDelete(e->self);
}

static const ServingModel *
pin(CacheEntry *e, MemoryContext context)
{
	Pin		   *p = MemoryContextAlloc(context, sizeof(Pin));

	p->entry = e;
	p->callback.func = unpin;
	p->callback.arg = p;
	MemoryContextRegisterResetCallback(context, &p->callback);
	e->pins++;
	e->used = ++clock_hand;
	return &e->serving;
}

/*
 * Finds a free place.  An older version of the model leaves first, unless it
 * was requested by number; otherwise the least recently used leaves.
 */
static int
free_place(const char *name, bool by_number)
{
	int			oldest = 0;

	for (int i = 0; !by_number && i < MAX_CACHED; i++)
		if (entries[i] != NULL && entries[i]->asked == 0 &&
			strcmp(entries[i]->row.name, name) == 0)
			return i;
	for (int i = 0; i < MAX_CACHED; i++)
		if (entries[i] == NULL)
			return i;
	for (int i = 1; i < MAX_CACHED; i++)
		if (entries[i]->used < entries[oldest]->used)
			oldest = i;
	return oldest;
}

static void
empty_place(int place)
{
	CacheEntry *e = entries[place];

	if (e == NULL)
		return;
	entries[place] = NULL;
	e->cached = false;
	if (e->pins == 0)
		MemoryContextDelete(e->self);
}

static void
unmap(void *arg)
{
	lbrec_unmap_image(&((CacheEntry *) arg)->map);
}

/* Adds a hint: the role lacks a reader's grants. */
static void
explain_rights(void *arg)
{
	if (geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
		errhint("Grant the role USAGE on schema lbrec and SELECT on its tables.");
}

/* A role without SELECT on lbrec.tensor must not get its image. */
static void
check_rights(void)
{
	Oid			tensor = get_relname_relid("tensor",
										   get_namespace_oid("lbrec", false));
	AclResult	result = pg_class_aclcheck(tensor, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, "tensor");
}

/* Builds the model's image, in a file if possible. */
static const ImageHeader *
build_image(CacheEntry *e, const ModelRow *row)
{
	ImageBuilder *b = palloc(sizeof(ImageBuilder));
	MemoryContext context;
	void	   *block = NULL;

	lbrec_plan_image(b, row);
	lbrec_check_model_memory(row, b->used);
	if (lbrec_shared_images)
		block = lbrec_begin_image(&e->map, row, b->used);
	if (block != NULL)
	{
		const ImageHeader *image;

		lbrec_build_image(b, block);
		image = lbrec_finish_image(&e->map, row);
		if (image != NULL)
		{
			lbrec_sweep_images();
			return image;
		}
	}
	context = AllocSetContextCreate(e->self, "lbrec image memory",
									ALLOCSET_DEFAULT_SIZES);
	block = lbrec_alloc_aligned(context, b->used, "model");
	lbrec_build_image(b, block);
	return block;
}

/* Maps the model's image, or builds it.  Called within SPI. */
static const ImageHeader *
get_image(CacheEntry *e, const ModelRow *row)
{
	const ImageHeader *image = NULL;

	if (!lbrec_shared_images)
		return build_image(e, row);
	image = lbrec_map_image(&e->map, row);
	if (image != NULL)
		return image;
	/* one backend builds; the others wait, then find its file */
	lbrec_lock_image(row->id);
	image = lbrec_map_image(&e->map, row);
	if (image == NULL)
		image = build_image(e, row);
	lbrec_unlock_image(row->id);
	return image;
}

/*
 * Notes now and then that a version was requested by number, so that sweeps
 * keep its image although it may not be active.
 */
static void
note_asked(CacheEntry *e)
{
	time_t		now = time(NULL);

	if (lbrec_shared_images && now - e->asked >= ASKED_AGAIN)
	{
		lbrec_mark_asked(&e->row);
		e->asked = now;
	}
}

/*
 * Returns that version of the model, or the active one for 0, ready to serve
 * until the current memory context is reset.
 */
const ServingModel *
lbrec_open_model(const char *name, int32 version)
{
	MemoryContext caller = CurrentMemoryContext;
	ModelRow	row;
	CacheEntry *e;
	MemoryContext self;
	ErrorContextCallback explain = {error_context_stack, explain_rights};
	int			place;

	memset(&row, 0, sizeof(row));
	SPI_connect();
	error_context_stack = &explain;
	lbrec_find_version(&row, name, version);
	check_rights();
	error_context_stack = explain.previous;
	for (int i = 0; i < MAX_CACHED; i++)
	{
		e = entries[i];
		if (e != NULL && e->row.id == row.id &&
			e->row.checksum == row.checksum &&
			lbrec_image_intact(&e->map, &row))
		{
			if (version != 0)
				note_asked(e);
			SPI_finish();
			return pin(e, caller);
		}
	}

	/* drop the old image first, so that both need not fit in memory */
	place = free_place(row.name, version != 0);
	empty_place(place);
	/* an error while building frees the context with the statement */
	self = AllocSetContextCreate(CurrentMemoryContext, "lbrec image",
								 ALLOCSET_SMALL_SIZES);
	e = MemoryContextAllocZero(self, sizeof(CacheEntry));
	e->self = self;
	e->row = row;
	/* note it before building the image, because building sweeps */
	if (version != 0)
		note_asked(e);
	e->unmap.func = unmap;
	e->unmap.arg = e;
	MemoryContextRegisterResetCallback(self, &e->unmap);
	lbrec_attach_image(&e->serving, get_image(e, &row));
	/* a policy on lbrec.tensor may have opened a model meanwhile */
	empty_place(place);
	MemoryContextSetParent(self, CacheMemoryContext);
	e->cached = true;
	entries[place] = e;
	SPI_finish();
	return pin(e, caller);
}
