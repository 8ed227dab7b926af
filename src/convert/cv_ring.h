/*
 * cv_ring.h
 *		The blocks between the reading thread and the rest; the reading thread's own.
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
	int			head;			/* next block that the reader fills */
	int			count;			/* blocks filled and not yet given back */
	bool		lent;			/* the consumer holds blocks[head - count] */
	bool		stop;
	bool		can_stall;		/* an input is a pipe or a device */
	bool		ended;			/* the last block was given: the thread ends */

	char	  **paths;
	int			n_paths;
	CvBlock    *filling;		/* DATA block that has room, or NULL */

	atomic_int_least64_t done_before;
	atomic_int_least64_t position;
	atomic_int_least64_t total;
	atomic_int_least64_t skipped;
};

/* These return false if the consumer wants no more. */
extern bool cv_ring_data(CvReader *reader, const char *data, size_t len);

/* Any block that is no data.  Takes name and hint, which were allocated. */
extern bool cv_ring_send(CvReader *reader, CvBlockType type, char *name,
						 char *hint, bool archive, int64_t size,
						 int64_t mtime);

#endif							/* CV_RING_H */
