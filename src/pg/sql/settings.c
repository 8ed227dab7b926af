/*
 * settings.c
 *		lbrec.settings(): returns the table of settings, for the view
 *		lbrec_settings.
 */
#include "pg/server/lbrec.h"

#include "utils/builtins.h"

#include "pg/server/srf.h"
#include "pg/train/options.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"

PG_FUNCTION_INFO_V1(lbrec_list_settings);

#define N_COLUMNS 6

static Datum
json_value(const Setting *setting, const TrainOptions *options)
{
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(lbrec_setting_json(setting,
																  options)));
}

/* lbrec.settings() */
Datum
lbrec_list_settings(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 0, N_COLUMNS);
	TrainOptions by_default;
	TrainOptions paper;
	const Setting *settings;
	int			n;

	lbrec_preset(&by_default, "default");
	lbrec_preset(&paper, "paper");
	settings = lbrec_settings(&n);
	for (int i = 0; i < n; i++)
	{
		const Setting *s = &settings[i];
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};

		values[0] = CStringGetTextDatum(s->name);
		values[1] = CStringGetTextDatum(lbrec_setting_type(s));
		values[2] = json_value(s, &by_default);
		values[3] = json_value(s, &paper);
		values[4] = CStringGetTextDatum(lbrec_setting_values(s));
		values[5] = CStringGetTextDatum(s->meaning);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
