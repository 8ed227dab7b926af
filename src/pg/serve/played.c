/*
 * played.c
 *		A user's recordings: those in the model, and those played since.
 *
 * The lists are the same as training makes (src/pg/listens/histories.c), from
 * listens read during the call, from the model's lists, or from both.
 */
#include "pg/serve/played.h"

#include <float.h>

#include "port/pg_bitutils.h"

#include "pg/model/candidates.h"

/* Listens whose recordings are looked up together. */
#define BLOCK 256

/* State while a list is made. */
typedef struct Gathering
{
	const ServingModel *serving;
	int			n;
	int32	   *codes;
	float	   *plays;
	float	   *recency;		/* holds the weight itself at first; or NULL */
	int32	   *slots;			/* index plus one of each code, by hash; 0 is
								 * empty */
	uint32		mask;
} Gathering;

/* Returns the user's recordings as of the training. */
Played
lbrec_stored_plays(const TwoTower *model, int32 user)
{
	int64		from = model->counted.history_offsets[user];

	return (Played)
	{
		.n = (int) (model->counted.history_offsets[user + 1] - from),
			.codes = model->counted.history_codes + from,
			.plays = model->counted.history_plays + from,
			.recency = model->counted.history_recency ?
				model->counted.history_recency + from : NULL
		};
}

/* Returns the slot of a code, or the empty slot for it. */
static inline uint32
slot_of(const Gathering *g, int32 code)
{
	uint32		slot = (uint32) ((uint32) code * UINT64CONST(0x9e3779b97f4a7c15) >> 32) & g->mask;

	while (g->slots[slot] != 0 && g->codes[g->slots[slot] - 1] != code)
		slot = (slot + 1) & g->mask;
	return slot;
}

static void
add_play(Gathering *g, int32 code, double days)
{
	uint32		slot = slot_of(g, code);
	int			at;

	if (g->slots[slot] == 0)
	{
		g->codes[g->n] = code;
		g->plays[g->n] = 0;
		if (g->recency)
			g->recency[g->n] = 0;
		g->slots[slot] = ++g->n;
	}
	at = g->slots[slot] - 1;
	g->plays[at]++;
	if (g->recency)
		g->recency[at] +=
			lb_mix_decay(days, g->serving->image->config.repeat_power);
}

/* Returns those of n listens whose recordings the model knows, in order. */
LbPlay *
lbrec_known_plays(int64 *n, const ServingModel *serving,
				  const ListenList *listens)
{
	LbPlay	   *plays = palloc_extended((listens->n + 1) * sizeof(LbPlay),
										MCXT_ALLOC_HUGE);
	int32		candidates[BLOCK];

	*n = 0;
	for (int64 from = 0; from < listens->n; from += BLOCK)
	{
		int			m = (int) Min(BLOCK, listens->n - from);

		CHECK_FOR_INTERRUPTS();
		lbrec_candidates_of(candidates, serving, listens->keys + from, m);
		for (int i = 0; i < m; i++)
			if (candidates[i] >= 0)
				plays[(*n)++] = (LbPlay)
			{
				lbrec_code_of(candidates[i]), listens->times[from + i]
			};
	}
	return plays;
}

/*
 * Adds the recordings of a list that ended days before.  It may have tens of
 * thousands, and a call takes a fraction of a millisecond in all: a small
 * bitmap of the new recordings skips most look-ups, and ages are computed in a
 * separate loop.
 */
static void
add_older(Gathering *g, const Played *older, double days)
{
	double		power = g->serving->image->config.repeat_power;
	int			first = g->n;
	int			n = first;
	uint64		bits = 0;

	for (int i = 0; i < first; i++)
		bits |= UINT64CONST(1) << (g->codes[i] & 63);
	for (int i = 0; i < older->n; i++)
	{
		int32		code = older->codes[i];
		int32		place = 0;

		if (bits >> (code & 63) & 1)
			place = g->slots[slot_of(g, code)];
		if (place > 0)
		{
			g->plays[place - 1] += older->plays[i];
			if (g->recency)
				g->recency[place - 1] +=
					(float) lb_exp(lb_mix_aged(older->recency[i],
											   older->plays[i], days, power));
			continue;
		}
		g->codes[n] = code;
		g->plays[n] = older->plays[i];
		if (g->recency)
			g->recency[n] = older->recency[i];
		n++;
	}
	g->n = n;
	CHECK_FOR_INTERRUPTS();
	if (g->recency == NULL || days <= 0)
		return;
	for (int i = first; i < n; i++)
		g->recency[i] = lb_mix_aged(g->recency[i], g->plays[i], days, power);
}

/*
 * Makes the list from plays (n), latest first, none after time, and from an
 * older list of the same user, or NULL, which is as of older_time, before all
 * plays.  Decay is measured at time.  Allocated in the current memory context.
 */
Played
lbrec_gather_plays(const ServingModel *serving, const LbPlay *plays, int64 n,
				   const Played *older, int64 older_time, int64 time)
{
	Gathering	g = {.serving = serving};
	int64		room = n + (older ? older->n : 0) + 1;
	int			new;

	g.codes = palloc_extended(room * sizeof(int32), MCXT_ALLOC_HUGE);
	g.plays = palloc_extended(room * sizeof(float), MCXT_ALLOC_HUGE);
	if (serving->image->config.repeat_power > 0)
		g.recency = palloc_extended(room * sizeof(float), MCXT_ALLOC_HUGE);
	if (n > 0)
	{
		g.mask = pg_nextpower2_32((uint32) (2 * n)) - 1;
		g.slots = palloc0(((Size) g.mask + 1) * sizeof(int32));
	}
	for (int64 i = 0; i < n; i++)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		add_play(&g, plays[i].code,
				 (double) (time - plays[i].time) / USECS_PER_DAY);
	}
	new = g.n;
	if (older)
		add_older(&g, older, (double) (time - older_time) / USECS_PER_DAY);
	for (int i = 0; g.recency && i < new; i++)
		g.recency[i] = (float) lb_log(Max(g.recency[i], FLT_MIN));
	if (g.slots)
		pfree(g.slots);
	return (Played)
	{
		.n = g.n, .codes = g.codes, .plays = g.plays, .recency = g.recency
	};
}
