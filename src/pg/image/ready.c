/*
 * ready.c
 *		Builds the image of a version before anybody can request it.
 *
 * The transaction that trains, activates or imports a version builds its
 * image, too, so that no page view waits for it.  The file has its final name,
 * which contains the version's id and checksum, and no session looks for a
 * version that it cannot see.  So other sessions use the file only after
 * COMMIT, a rollback removes it, and after a crash it is gone like all
 * temporary files.  On a standby, and after a restart, the first session that
 * asks builds the image.
 *
 * A failure here must not lose a model that was trained for hours.  So the
 * image is built in a subtransaction, and an error only goes to the server's
 * log.
 */
#include "pg/image/ready.h"

#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "pg/image/build.h"
#include "pg/image/file.h"
#include "pg/image/locks.h"
#include "pg/image/sweep.h"
#include "pg/store/versions.h"

static void
unmap(void *arg)
{
	lbrec_unmap_image((ImageMap *) arg);
}

/* Called within SPI. */
static void
prepare(const ModelRow *row)
{
	ImageMap   *map = palloc0(sizeof(ImageMap));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	ImageBuilder *b = palloc(sizeof(ImageBuilder));
	void	   *block;

	callback->func = unmap;
	callback->arg = map;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	lbrec_plan_image(b, row);
	if (lbrec_max_model_memory > 0 &&
		b->used > (Size) lbrec_max_model_memory * 1024)
		return;

	/*
	 * until this transaction ends, others do not see that the version is
	 * active
	 */
	lbrec_keep_image(row->id);
	lbrec_lock_image(row->id);
	if (lbrec_map_image(map, row) == NULL &&
		(block = lbrec_begin_image(map, row, b->used)) != NULL)
	{
		lbrec_build_image(b, block);
		if (lbrec_finish_image(map, row) != NULL)
			lbrec_forget_images(row->id, XACT_EVENT_ABORT);
	}
	lbrec_unmap_image(map);
	lbrec_unlock_image(row->id);
	lbrec_sweep_images();
}

/*
 * Makes the image of the version that this transaction sees as the active one
 * of the name, and that others will see.
 */
void
lbrec_prepare_image(const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (!lbrec_shared_images)
		return;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		ModelRow	row;

		/* make the rows of this very command visible */
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		SPI_connect();
		if (lbrec_find_model(&row, name))
			prepare(&row);
		SPI_finish();
		PopActiveSnapshot();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		ereport(LOG,
				(errmsg("could not make the image of model \"%s\" ready: %s",
						name, error->message),
				 errdetail("The first session that asks the model tries again.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}
