/*
 * layout.c
 *		Lays out a model in memory by its configuration.
 */
#include "pg/model/layout.h"

#include "pg/model/config.h"
#include "pg/model/parts.h"

/* Adds the inputs of one tower. */
static void
lay_inputs(TwoTower *model, const ModelConfig *c, bool query,
		   const StoredParts *parts)
{
	const ConfigInput *inputs = query ? c->query : c->candidate;
	int			n = query ? c->n_query : c->n_candidate;

	for (int i = 0; i < n; i++)
	{
		char		table[LB_NAME_LEN];
		int			part = -1;
		int			feature = -1;

		lbrec_table_name(table, &inputs[i]);
		if (!lbrec_input_is_number(c, &inputs[i]))
			part = lbrec_find_part(parts, table);
		for (int f = 0; f < model->n_features; f++)
			if (inputs[i].source == SOURCE_FEATURE &&
				strcmp(model->features[f].name, inputs[i].column) == 0)
				feature = f;
		lbrec_add_input(model, query, inputs[i].source, feature, table,
						part < 0 ? 0 : parts->part[part].shape.rows,
						lbrec_table_width(c), 0);
	}
}

static void
lay_columns(TwoTower *model, const ModelConfig *c, bool query)
{
	const ConfigInput *inputs = query ? c->query : c->candidate;
	int			n = query ? c->n_query : c->n_candidate;

	for (int i = 0; i < n; i++)
	{
		FeatureValues *f = &model->features[model->n_features];

		if (inputs[i].source != SOURCE_FEATURE)
			continue;
		model->n_features++;
		strlcpy(f->name, inputs[i].column, NAMEDATALEN);
		f->kind = inputs[i].kind;
		f->bucketed = inputs[i].bucketed;
		f->of_user = query;
		f->n = (query ? model->n_users : model->n_recordings) + 1;
		f->mean = inputs[i].mean;
		f->deviation = inputs[i].deviation;
	}
}

/*
 * Lays out a model by its configuration: its query tower or both towers, and
 * its columns.  lbrec_part_place() then tells where the arrays go.
 */
void
lbrec_lay_out(TwoTower *model, const ModelConfig *c, bool both_towers,
			  const StoredParts *parts, int64 n_users, int64 n_recordings)
{
	LbTower    *towers[] = {&model->core.query, &model->core.candidate};

	memset(model, 0, sizeof(TwoTower));
	model->n_users = n_users;
	model->n_recordings = n_recordings;
	model->time = c->time;
	model->summed = c->n_layers == 0;
	model->history_mean = c->history_pooling == POOL_MEAN;
	model->history_length = c->history_length;
	model->mixed = c->mixed;
	model->mix = c->mix;
	model->moment = c->moment;
	lay_columns(model, c, true);
	lay_columns(model, c, false);
	for (int t = 0; t < (both_towers ? 2 : 1); t++)
	{
		lay_inputs(model, c, t == 0, parts);
		if (lb_model_add_layers(&model->core, towers[t],
								t == 0 ? "query" : "candidate", c->layers,
								c->n_layers) != LB_OK)
			elog(ERROR, "could not lay out the towers");
		towers[t]->normalize = c->normalize;
		towers[t]->groups = c->ensemble;
	}
}
