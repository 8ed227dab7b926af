/*
 * fault.h
 *		Mapped files of which a page cannot be read.
 */
#ifndef LBREC_SERVER_FAULT_H
#define LBREC_SERVER_FAULT_H

#include "pg/server/lbrec.h"

#include <signal.h>

typedef struct GuardedMap
{
	char	   *base;			/* NULL: nothing is mapped */
	Size		size;
	bool		writable;
	volatile sig_atomic_t lost; /* a part of it could not be read */
	struct GuardedMap *volatile next;
} GuardedMap;

/* Pools of helper threads that run: an error must wait for them. */
extern int	lbrec_running_pools;

extern void lbrec_guard(GuardedMap *map);
extern void lbrec_unguard(GuardedMap *map);
extern void lbrec_check_maps(void);

#endif							/* LBREC_SERVER_FAULT_H */
