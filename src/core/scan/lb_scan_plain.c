/*
 * lb_scan_plain.c
 *		The scan of one query without the index.
 *
 * It works in blocks: it computes the chains of a block, compares all with the
 * k-th best so far, and looks at single candidates only if one is better.
 */
#include "core/scan/lb_scan_plain.h"

#include "core/kernels/lb_kernels.h"

/* adds the chains of one block to the collector */
static void
take_block(LbTop *top, const float *chains, int n, const int32_t *rows,
		   int64_t first)
{
	float		floor = top->floor_score;
	uint32_t	any = 0;

	for (int i = 0; i < n; i++)
		any |= !(chains[i] < floor);
	if (!any)
		return;
	for (int i = 0; i < n; i++)
	{
		if (!(chains[i] < top->floor_score))
			lb_top_push(top, chains[i],
						(uint32_t) (rows != NULL ? rows[i] : first + i));
	}
	/* sets a threshold as early as possible */
	if (top->floor == LB_KEY_NONE && top->n >= top->k)
		lb_top_sift(top);
}

static LbStatus
scan_all(LbTop *top, const float *q, const LbCandidates *set, LbCancel cancel)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	float		chains[LB_SCAN_BLOCK];

	for (int64_t j = 0; j < set->n; j += LB_SCAN_BLOCK)
	{
		int64_t		left = set->n - j;
		int			n = left < LB_SCAN_BLOCK ? (int) left : LB_SCAN_BLOCK;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		kernel->score_range(chains, q, set->c + (size_t) j * set->D, set->D,
							n, top->floor_score);
		take_block(top, chains, n, NULL, j);
	}
	return LB_OK;
}

static LbStatus
scan_list(LbTop *top, const float *q, const LbCandidates *set, LbCancel cancel)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	float		chains[LB_SCAN_BLOCK];

	for (int64_t j = 0; j < set->n_list; j += LB_SCAN_BLOCK)
	{
		int64_t		left = set->n_list - j;
		int			n = left < LB_SCAN_BLOCK ? (int) left : LB_SCAN_BLOCK;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		kernel->score_rows(chains, q, set->c, set->D, set->list + j, n);
		take_block(top, chains, n, set->list + j, 0);
	}
	return LB_OK;
}

/* scans the bits of a bitmap, a block of row numbers at a time */
static LbStatus
scan_allowed(LbTop *top, const float *q, const LbCandidates *set,
			 LbCancel cancel)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	float		chains[LB_SCAN_BLOCK];
	int32_t		rows[LB_SCAN_BLOCK];
	int64_t		n_words = (set->n + 63) / 64;
	int			n = 0;

	for (int64_t w = 0; w < n_words; w++)
	{
		uint64_t	bits = set->allow[w];

		if (w == n_words - 1 && set->n % 64 != 0)
			bits &= (UINT64_C(1) << set->n % 64) - 1;
		while (bits != 0)
		{
			rows[n++] = (int32_t) (w * 64 + __builtin_ctzll(bits));
			bits &= bits - 1;
			if (n == LB_SCAN_BLOCK)
			{
				if (LB_CANCEL_REQUESTED(cancel))
					return LB_CANCELLED;
				kernel->score_rows(chains, q, set->c, set->D, rows, n);
				take_block(top, chains, n, rows, 0);
				n = 0;
			}
		}
	}
	if (LB_CANCEL_REQUESTED(cancel))
		return LB_CANCELLED;
	kernel->score_rows(chains, q, set->c, set->D, rows, n);
	take_block(top, chains, n, rows, 0);
	return LB_OK;
}

LbStatus
lb_scan_plain(LbTop *top, const float *q, const LbCandidates *set,
			  LbCancel cancel)
{
	if (set->list != NULL)
		return scan_list(top, q, set, cancel);
	if (set->allow != NULL)
		return scan_allowed(top, q, set, cancel);
	return scan_all(top, q, set, cancel);
}
