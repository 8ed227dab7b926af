/*
 * peers.h
 *		Peers of the kernels in a benchmark: the same work by OpenBLAS on
 *		tiles, and in plain C that the compiler vectorises.
 */
#ifndef PEERS_H
#define PEERS_H

#include <stdint.h>

typedef struct PeerStep
{
	int			B;				/* N = B */
	int			D;
	const float *q;
	const float *c;
	float	   *dq;				/* (B,D) */
	float	   *dc;				/* (n_workers,B,D): a share each, then the sum
								 * in the first */
	float	   *tile;			/* (n_workers,64,B) */
	double		loss[64];
} PeerStep;

/* tasks for lb_threads_run(): the rows' part; and the sum of the shares */
extern void peer_step_blas(void *step, int worker, int n_workers);
extern void peer_step_plain(void *step, int worker, int n_workers);
extern void peer_step_sum(void *step, int worker, int n_workers);

/* scores = c q, then the k best by threshold and heap; returns the k-th */
extern float peer_topk_blas(float *scores, const float *q, const float *c,
							int64_t n, int D, int k);

typedef struct PeerCount
{
	int64_t		n_queries;
	int64_t		n;
	int			D;
	const float *q;
	const float *c;
	const int32_t *truth;
	int64_t    *counts;
	float	   *tile;			/* (n_workers, 64, 4096) */
} PeerCount;

extern void peer_count_blas(void *count, int worker, int n_workers);

#endif							/* PEERS_H */
