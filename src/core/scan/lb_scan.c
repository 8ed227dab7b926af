/*
 * lb_scan.c
 *		Scores, and the best candidates of one query.
 *
 * With an index that pays, lb_index.c finds the few candidates that matter;
 * without it all are scored (lb_scan_plain.c).  The answer is the same.  A
 * narrow bitmap is turned into rows: reading few rows by number is cheaper
 * than reading all codes.
 */
#include "core/scan/lb_scan.h"

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_scan_plain.h"

float
lb_score(const float *q, const float *c, int D)
{
	float		raw;

	lb_kernels()->scan.score_range(&raw, q, c, D, 1, -INFINITY);
	return lb_score_finish(raw);
}

void
lb_score_rows(float *out, const float *q, const float *c, int D,
			  const int32_t *rows, int n)
{
	lb_kernels()->scan.score_rows(out, q, c, D, rows, n);
	for (int i = 0; i < n; i++)
		out[i] = lb_score_finish(out[i]);
}

size_t
lb_topk_bytes(const LbCandidates *set, int64_t k)
{
	int64_t		most = lb_candidates_most(set);

	if (k > most)
		k = most;
	return LB_ALIGN_UP(lb_top_room(k, most) * sizeof(uint64_t)) +
		(set->index != NULL ? lb_index_scan_bytes(set->n, k) : 0);
}

static LbStatus
scan_index(LbIndexScan *scan, const LbCandidates *set, LbCancel cancel)
{
	int64_t		n_groups = (set->n + LB_GROUP - 1) / LB_GROUP;

	for (int64_t g = 0; g < n_groups; g += LB_GROUPS_PER_BLOCK)
	{
		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		lb_index_block(scan, g);
	}
	lb_index_end(scan);
	return LB_OK;
}

LbStatus
lb_topk(const LbBest *best, const float *q, const LbCandidates *set,
		void *scratch, LbCancel cancel)
{
	int64_t		most = lb_candidates_most(set);
	int64_t		k = best->k;
	LbIndexScan *scan = NULL;
	LbTop		top;
	LbStatus	status;
	LbArena		arena = {scratch};

	*best->found = 0;
	if (k < 1 || !lb_candidates_sound(set))
		return LB_BAD_ARGUMENT;
	if (k > most)
		k = most;
	if (k == 0)
		return LB_OK;
	lb_top_init(&top, lb_arena_cut(&arena, lb_top_room(k, most) *
								   sizeof(uint64_t)), k,
				lb_top_room(k, most));
	if (lb_index_pays(set, k))
		scan = lb_index_begin(&top, q, set,
							  lb_arena_cut(&arena,
										   lb_index_scan_bytes(set->n, k)));
	status = scan != NULL ? scan_index(scan, set, cancel) :
		lb_scan_plain(&top, q, set, cancel);
	if (status == LB_OK)
		*best->found = lb_top_finish(&top, best->ids, best->scores);
	return status;
}
