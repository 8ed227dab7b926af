/*
 * ranking.c
 *		Evaluation by counting, as TFRS's score-based FactorizedTopK means it.
 *
 * The rank of a listen is the number of candidates that score strictly higher
 * than its own recording, so ties count for the recording, and top-K accuracy
 * is the share of listens whose rank is below K.  TFRS scores the true
 * candidate by another routine than the rest, so there a candidate can be
 * beaten by itself; here every score comes from the same chain of operations.
 */
#include "ranking.h"

#include "utils/memutils.h"

#include "core/lb_scan.h"

/* Queries whose vectors are held at a time. */
#define QUERY_BLOCK 16384

/*
 * Ranks of n listens, each from 0.  truth is the index of a listen's
 * recording among the candidates, or -1 for one that is none: its rank is
 * PG_INT64_MAX, a miss at every K.  Ranks of most and beyond are told as
 * most, which saves the better part of the work; 0 sets no limit.  candidates (n_recordings, D), or NULL to
 * compute them here.
 */
int64 *
lbrec_rank_listens(const TwoTower *model, const float *candidates,
				   const int32 *users, const int64 *times,
				   const int32 *truth, int64 n, int64 most, LbThreads *pool,
				   MemoryContext context)
{
	int			D = lb_tower_width(&model->core.query);
	int			block = (int) Min(n, QUERY_BLOCK);
	int64	   *ranks = MemoryContextAllocHuge(context, n * sizeof(int64));
	float	   *queries = lbrec_alloc_aligned(context,
											  (Size) block * D * sizeof(float),
											  "block of queries");
	int32	   *known = MemoryContextAlloc(context, block * sizeof(int32));
	int32	   *block_users = MemoryContextAlloc(context,
												 block * sizeof(int32));
	int64	   *block_times = MemoryContextAlloc(context,
												 block * sizeof(int64));
	int64	   *at = MemoryContextAlloc(context, block * sizeof(int64));
	int64	   *block_ranks = MemoryContextAlloc(context,
												 block * sizeof(int64));
	void	   *scratch;

	if (candidates == NULL)
	{
		float	   *vectors;

		vectors = lbrec_alloc_aligned(context,
									  (Size) model->n_recordings * D *
									  sizeof(float), "candidate vectors");
		lbrec_candidate_vectors(vectors, model, pool, context);
		candidates = vectors;
	}
	scratch = lbrec_alloc_aligned(context,
								  lb_rank_counts_bytes(block,
													   model->n_recordings,
													   D,
													   lb_threads_count(pool)),
								  "ranking");
	for (int64 next = 0; next < n;)
	{
		int			m = 0;
		LbStatus	status;

		for (; next < n && m < block; next++)
		{
			ranks[next] = PG_INT64_MAX;
			if (truth[next] < 0)
				continue;
			known[m] = truth[next];
			block_users[m] = users[next];
			block_times[m] = times[next];
			at[m++] = next;
		}
		if (m == 0)
			break;
		lbrec_query_vectors(queries, model, block_users, block_times, m, pool,
							context);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_rank_counts_within(block_ranks, queries, m, known,
										   most, candidates,
										   model->n_recordings, D, scratch,
										   pool, lbrec_cancel_flag());
		} while (status == LB_CANCELLED);
		lbrec_check_status(status, "ranks");
		for (int i = 0; i < m; i++)
			ranks[at[i]] = block_ranks[i];
	}
	return ranks;
}
