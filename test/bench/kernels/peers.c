/*
 * peers.c
 *		See peers.h.  Compiled with -O3 -march=native -ffast-math, so that the
 *		compiler's vectors and libmvec's expf are at their best.
 */
#include "peers.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILE 64
#define COLUMNS 4096

/* logits to gradient in place; the rows' loss */
static double
softmax_rows(float *tile, int row0, int rows, int N)
{
	double		loss = 0;

	for (int i = 0; i < rows; i++)
	{
		float	   *s = tile + (size_t) i * N;
		float		own = s[row0 + i];
		float		max = s[0];
		float		sum = 0;

		for (int j = 1; j < N; j++)
			max = s[j] > max ? s[j] : max;
		for (int j = 0; j < N; j++)
		{
			s[j] = expf(s[j] - max);
			sum += s[j];
		}
		for (int j = 0; j < N; j++)
			s[j] *= 1 / sum;
		s[row0 + i] -= 1;
		loss += logf(sum) + max - own;
	}
	return loss;
}

void
peer_step_blas(void *arg, int worker, int n_workers)
{
	PeerStep   *x = arg;
	int			from = (int) ((int64_t) x->B * worker / n_workers);
	int			to = (int) ((int64_t) x->B * (worker + 1) / n_workers);
	float	   *tile = x->tile + (size_t) worker * TILE * x->B;
	float	   *dc = x->dc + (size_t) worker * x->B * x->D;

	x->loss[worker] = 0;
	for (int i = from; i < to; i += TILE)
	{
		int			rows = to - i < TILE ? to - i : TILE;
		const float *q = x->q + (size_t) i * x->D;

		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, x->B, x->D,
					1, q, x->D, x->c, x->D, 0, tile, x->B);
		x->loss[worker] += softmax_rows(tile, i, rows, x->B);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, x->D,
					x->B, 1, tile, x->B, x->c, x->D, 0,
					x->dq + (size_t) i * x->D, x->D);
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, x->B, x->D, rows,
					1, tile, x->B, q, x->D, i == from ? 0 : 1, dc, x->D);
	}
}

/*
 * The same by hand: loops that the compiler turns into vectors and registers,
 * the width a constant, columns four at a time, logits against c transposed in
 * panels of 64.
 */
#define PANEL 64

static inline __attribute__((always_inline)) void
step_plain(PeerStep *x, int worker, int n_workers, int D)
{
	int			from = (int) ((int64_t) x->B * worker / n_workers);
	int			to = (int) ((int64_t) x->B * (worker + 1) / n_workers);
	int			N = x->B;
	float	   *tile = x->tile + (size_t) worker * TILE * N;
	float	   *dc = x->dc + (size_t) worker * N * D;
	float		ct[256][PANEL];

	x->loss[worker] = 0;
	memset(dc, 0, (size_t) N * D * sizeof(float));
	for (int i0 = from; i0 < to; i0 += TILE)
	{
		int			rows = to - i0 < TILE ? to - i0 : TILE;
		const float *restrict q = x->q + (size_t) i0 * D;
		const float *restrict c = x->c;

		for (int j0 = 0; j0 < N; j0 += PANEL)
		{
			for (int j = 0; j < PANEL; j++)
			{
				for (int d = 0; d < D; d++)
					ct[d][j] = c[(size_t) (j0 + j) * D + d];
			}
			for (int i = 0; i < rows; i++)
			{
				float		acc[PANEL] = {0};

				for (int d = 0; d < D; d++)
				{
					for (int j = 0; j < PANEL; j++)
						acc[j] += q[(size_t) i * D + d] * ct[d][j];
				}
				memcpy(tile + (size_t) i * N + j0, acc, sizeof(acc));
			}
		}
		x->loss[worker] += softmax_rows(tile, i0, rows, N);
		for (int i = 0; i < rows; i++)
		{
			const float *restrict p = tile + (size_t) i * N;
			float	   *restrict h = x->dq + (size_t) (i0 + i) * D;

			for (int d = 0; d < D; d++)
				h[d] = 0;
			for (int j = 0; j < N; j += 4)
			{
				const float *restrict r = c + (size_t) j * D;

				for (int d = 0; d < D; d++)
					h[d] += p[j] * r[d] + p[j + 1] * r[D + d] +
						p[j + 2] * r[2 * D + d] + p[j + 3] * r[3 * D + d];
			}
		}
		for (int i = 0; i < rows; i += 4)
		{
			const float *restrict p = tile + (size_t) i * N;
			const float *restrict r = q + (size_t) i * D;

			for (int j = 0; j < N; j++)
			{
				float	   *restrict g = dc + (size_t) j * D;

				for (int d = 0; d < D; d++)
					g[d] += p[j] * r[d] + p[N + j] * r[D + d] +
						p[2 * N + j] * r[2 * D + d] +
						p[3 * N + j] * r[3 * D + d];
			}
		}
	}
}

/* B is a multiple of PANEL, a worker's rows of four */
void
peer_step_plain(void *arg, int worker, int n_workers)
{
	PeerStep   *x = arg;

	switch (x->D)
	{
		case 32:
			step_plain(x, worker, n_workers, 32);
			break;
		case 64:
			step_plain(x, worker, n_workers, 64);
			break;
		case 128:
			step_plain(x, worker, n_workers, 128);
			break;
		case 256:
			step_plain(x, worker, n_workers, 256);
			break;
		default:
			abort();
	}
}

void
peer_step_sum(void *arg, int worker, int n_workers)
{
	PeerStep   *x = arg;
	size_t		all = (size_t) x->B * x->D;
	size_t		from = all * worker / n_workers;
	size_t		to = all * (worker + 1) / n_workers;

	for (int w = 1; w < n_workers; w++)
	{
		const float *share = x->dc + w * all;

		for (size_t i = from; i < to; i++)
			x->dc[i] += share[i];
	}
}

/* a min-heap of the k best */
static void
sink(float *heap, int k, float value)
{
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < k && heap[child + 1] < heap[child])
			child++;
		if (child >= k || heap[child] >= value)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = value;
}

float
peer_topk_blas(float *scores, const float *q, const float *c, int64_t n, int D,
			   int k)
{
	float	   *heap = malloc(k * sizeof(float));
	float		worst;

	cblas_sgemv(CblasRowMajor, CblasNoTrans, (int) n, D, 1, c, D, q, 1, 0,
				scores, 1);
	for (int i = 0; i < k; i++)
		heap[i] = -HUGE_VALF;
	for (int64_t j = 0; j < n; j++)
	{
		if (scores[j] > heap[0])
			sink(heap, k, scores[j]);
	}
	worst = heap[0];
	free(heap);
	return worst;
}

void
peer_count_blas(void *arg, int worker, int n_workers)
{
	PeerCount  *x = arg;
	int64_t		from = x->n_queries * worker / n_workers;
	int64_t		to = x->n_queries * (worker + 1) / n_workers;
	float	   *tile = x->tile + (size_t) worker * TILE * COLUMNS;

	for (int64_t i = from; i < to; i += TILE)
	{
		int			rows = to - i < TILE ? (int) (to - i) : TILE;
		float		floor[TILE];

		for (int r = 0; r < rows; r++)
		{
			floor[r] = cblas_sdot(x->D, x->q + (i + r) * x->D, 1,
								  x->c + (size_t) x->truth[i + r] * x->D, 1);
			x->counts[i + r] = 0;
		}
		for (int64_t j = 0; j < x->n; j += COLUMNS)
		{
			int			columns = x->n - j < COLUMNS ? (int) (x->n - j) :
			COLUMNS;

			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows,
						columns, x->D, 1, x->q + i * x->D, x->D,
						x->c + j * x->D, x->D, 0, tile, COLUMNS);
			for (int r = 0; r < rows; r++)
			{
				const float *s = tile + (size_t) r * COLUMNS;
				int			above = 0;

				for (int k = 0; k < columns; k++)
					above += s[k] > floor[r];
				x->counts[i + r] += above;
			}
		}
	}
}
