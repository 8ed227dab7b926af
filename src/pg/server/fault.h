/*
 * fault.h
 *		Turns an unreadable page of an image into an error, not a crash.
 */
#ifndef LBREC_SERVER_FAULT_H
#define LBREC_SERVER_FAULT_H

#include "pg/server/lbrec.h"

#include <signal.h>

typedef struct GuardedMap
{
	char	   *base;			/* NULL: no file is mapped */
	Size		size;
	bool		writable;
	volatile sig_atomic_t lost; /* part of the mapping could not be read */
	struct GuardedMap *volatile next;
} GuardedMap;

/* Number of running thread pools: an error must wait for them. */
extern int	lbrec_running_pools;

extern void lbrec_guard(GuardedMap *map);
extern void lbrec_unguard(GuardedMap *map);
extern void lbrec_check_maps(void);

#endif							/* LBREC_SERVER_FAULT_H */
