/*
 * cv_ring.h
 *		Hands blocks from the reading thread to the consumer. Only the reading
 *		thread's files include this.
 */
#ifndef CV_RING_H
#define CV_RING_H

#include "cv_reader.h"

#include <pthread.h>
#include <stdatomic.h>

struct CvReader
{
	pthread_t	thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_cond_t freed;
	CvBlock		blocks[CV_BLOCKS];
	int			head;			/* next block to fill */
	int			count;			/* blocks filled and not yet given back */
	bool		lent;			/* the consumer holds blocks[head - count] */
	bool		stop;
	bool		can_stall;		/* an input is a pipe or a device */
	bool		ended;			/* the last block was sent: the thread ends */

	char	  **paths;
	int			n_paths;
	CvBlock    *filling;		/* DATA block with room, or NULL */

	atomic_int_least64_t done_before;
	atomic_int_least64_t position;
	atomic_int_least64_t total;
	atomic_int_least64_t skipped;
};

/* These return false if the consumer has stopped. */
extern bool cv_ring_data(CvReader *reader, const char *data, size_t len);

/*
 * Sends a block of any type but DATA.  Takes name and hint, which the caller
 * allocated.
 */
extern bool cv_ring_send(CvReader *reader, CvBlockType type, char *name,
						 char *hint, bool archive, int64_t size,
						 int64_t mtime);

#endif							/* CV_RING_H */
