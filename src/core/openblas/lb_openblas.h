/*
 * lb_openblas.h
 *		Loads OpenBLAS for the set of kernels blas.
 */
#ifndef LB_OPENBLAS_H
#define LB_OPENBLAS_H

#include "core/lb_core.h"

typedef enum LbOpenblasState
{
	LB_OPENBLAS_NOT_TRIED,
	LB_OPENBLAS_LOADED,
	LB_OPENBLAS_BUSY,			/* the process has other threads: load it
								 * later */
	LB_OPENBLAS_ABSENT,			/* no such library */
	LB_OPENBLAS_UNFIT,			/* not the pthread build, or it has no cblas */
	LB_OPENBLAS_THREADS,		/* it would run threads of its own */
	LB_OPENBLAS_WRONG			/* its products are wrong */
} LbOpenblasState;

typedef struct LbOpenblas
{
	LbOpenblasState state;
	char		file[4096];		/* path of the library, "" if there is none */
	char		version[128];	/* its version, such as "0.3.21" */
	char		core[64];		/* the kernels that it chose, such as
								 * "Haswell" */
} LbOpenblas;

/*
 * Loads the library once, and gives it to the set blas if it is fit; returns
 * the result.  Call this from the process' only thread.
 */
extern const LbOpenblas *lb_openblas_load(void);

/* Returns the result without loading. */
extern const LbOpenblas *lb_openblas(void);

#endif							/* LB_OPENBLAS_H */
