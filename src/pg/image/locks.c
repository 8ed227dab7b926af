/*
 * locks.c
 *		Locks on a model's image: one for building it, one for keeping it.
 */
#include "pg/image/locks.h"

#include "miscadmin.h"
#include "storage/lock.h"

/* Fourth fields of our lock tags; SQL's advisory locks have 1 or 2 there. */
#define LOCK_BUILDING 0x6c62	/* "lb" */
#define LOCK_KEEPING 0x6c6b		/* "lk" */

static bool
take_lock(int64 model, uint16 field, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, field);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static void
give_lock(int64 model, uint16 field, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, field);
	LockRelease(&tag, mode, false);
}

/*
 * The session that builds a model's image takes this lock and holds it only
 * while building.  An error releases it.
 */
void
lbrec_lock_image(int64 model)
{
	(void) take_lock(model, LOCK_BUILDING, ExclusiveLock, true);
}

void
lbrec_unlock_image(int64 model)
{
	give_lock(model, LOCK_BUILDING, ExclusiveLock);
}

/*
 * Keeps the model's image from sweeps until the end of this transaction, which
 * may activate the model.
 */
void
lbrec_keep_image(int64 model)
{
	(void) take_lock(model, LOCK_KEEPING, ShareLock, true);
}

/* True if another transaction keeps or builds the model's image. */
bool
lbrec_is_kept(int64 model)
{
	if (!take_lock(model, LOCK_KEEPING, ExclusiveLock, false))
		return true;
	give_lock(model, LOCK_KEEPING, ExclusiveLock);
	if (!take_lock(model, LOCK_BUILDING, ExclusiveLock, false))
		return true;
	give_lock(model, LOCK_BUILDING, ExclusiveLock);
	return false;
}
