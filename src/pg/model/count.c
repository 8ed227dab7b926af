/*
 * count.c
 *		Makes all arrays that a model counts in the listens.
 */
#include "pg/model/count.h"

#include "pg/listens/histories.h"
#include "pg/model/follow.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"

/* Returns a model's stored histories as lists to continue. */
UserLists
lbrec_histories_of(const TwoTower *model)
{
	const Counted *c = &model->counted;

	return (UserLists)
	{
		.n_users = model->n_users,
			.offsets = unconstify(int64 *, c->history_offsets),
			.codes = unconstify(int32 *, c->history_codes),
			.plays = unconstify(float *, c->history_plays),
			.recency = unconstify(float *, c->history_recency),
			.power = c->history_power,
			.last = unconstify(int64 *, c->history_last)
	};
}

/* Makes the histories alone, and also returns them as lists. */
static UserLists *
count_histories(Counted *counted, const CountRequest *q)
{
	ListRequest request = {.held_out = q->held_out, .power = q->repeat_power,
		};
	UserLists	older;
	UserLists  *lists;

	if (q->older)
	{
		older = lbrec_histories_of(q->older);
		request.older = &older;
	}
	lists = lbrec_make_lists(q->data, &request, q->context);
	counted->history_offsets = lists->offsets;
	counted->history_codes = lists->codes;
	counted->history_plays = lists->plays;
	counted->history_recency = lists->recency;
	counted->history_last = lists->last;
	counted->history_power = lists->power;
	return lists;
}

/* Makes all counted arrays; returns the histories as lists. */
UserLists *
lbrec_count_listens(Counted *counted, const CountRequest *q)
{
	MemSet(counted, 0, sizeof(Counted));
	if (q->neighbours > 0)
	{
		lbrec_count_neighbours(counted, q);
		lbrec_count_followers(counted, q);
	}
	return count_histories(counted, q);
}

/* Stores the counted arrays in a model. */
void
lbrec_set_counted(TwoTower *model, const Counted *counted)
{
	model->counted = *counted;
	model->mixed = counted->history_recency || counted->neighbours.offsets;
}
