/*
 * report.c
 *		lbrec_report(): a version of a model as one page for a browser.
 *
 * The page is self-contained, and its content security policy enforces that:
 * it allows one style sheet, by its checksum, and no script, picture or
 * request.  All data, such as names of recordings, passes
 * lbrec_append_escaped().
 *
 * The recommendations come from the public SQL calls, so that the page shows
 * what an application gets; the calls are in the schema of this function.
 * Facts about the model come from its image (report_image.c).  Everything runs
 * with the caller's rights and only reads.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "pg/sql/bars.h"
#include "pg/sql/map.h"
#include "pg/sql/svg.h"
#include "pg/image/cache.h"
#include "pg/listens/query.h"
#include "pg/server/declaration.h"
#include "pg/sql/calls.h"
#include "pg/sql/report_image.h"
#include "pg/serve/arguments.h"

PG_FUNCTION_INFO_V1(lbrec_report);

/* Lengths of the lists that the page shows. */
#define LIST_LENGTH 8
#define FIRST_LENGTH 3			/* the first entries, whatever they are; then
								 * new recordings */
#define SPREAD_LENGTH 10

static const char style[] =
	"body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:62rem;background:#fff;color:#222}"
	"h1{font-size:1.6rem;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}"
	"h3{font-size:1rem;margin:0 0 .3rem}p,ol,dl,figure{margin:.5rem 0}"
	".note{opacity:.75;font-size:.9rem}.facts,.figures,.cards{display:grid;gap:1rem}"
	".facts{grid-template-columns:repeat(auto-fit,minmax(8rem,1fr))}.facts div{border-left:3px solid #0072b2;padding-left:.6rem}"
	".facts dt{font-size:.85rem;opacity:.75}.facts dd{margin:0;font-size:1.2rem;font-weight:bold}"
	".figures{grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr))}"
	".cards{grid-template-columns:repeat(auto-fit,minmax(min(18rem,100%),1fr))}"
	".cards section{border:1px solid #8886;border-radius:.4rem;padding:.7rem 1rem;min-width:0}"
	"ol{padding-left:1.4rem}li{overflow-wrap:anywhere}small{display:block;opacity:.75}"
	"svg{display:block;max-width:100%;height:auto;color:inherit}.paper{fill:none}"
	".wide{overflow-x:auto}.wide svg{min-width:36rem}"
	"table{border-collapse:collapse;font-size:.9rem;width:100%}td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top;overflow-wrap:anywhere}"
	"pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}"
	"@media(prefers-color-scheme:dark){body{background:#14171a;color:#e8e8e8}svg [fill=\"#0072b2\"]{fill:#4aa8e0}svg [stroke=\"#0072b2\"]{stroke:#4aa8e0}}";

/* A recording's title, by its key. */
typedef struct Title
{
	pg_uuid_t	key;
	char	   *text;			/* NULL: unknown */
} Title;

typedef struct Report
{
	StringInfoData out;
	const char *schema;			/* schema of our functions, quoted for SQL */
	const char *recordings;		/* table or query of titles, or NULL */
	ModelRow	row;
	int64		before;			/* id of the previous version; 0: none */
	int32		before_version;
	ReportImage image;
	Title	   *titles;
	int			n_titles;
	int			room;
} Report;

/* Runs a query that only reads; its rows are in SPI_tuptable. */
static uint64
ask(const char *sql, int n, Oid *types, Datum *values)
{
	if (SPI_execute_with_args(sql, n, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read for the report: %s", sql);
	return SPI_processed;
}

/* Returns a value of SPI_tuptable as text, never NULL. */
static char *
value(uint64 row, int column)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[row],
									SPI_tuptable->tupdesc, column);

	return text ? text : "";
}

static bool
is_null(uint64 row, int column)
{
	bool		isnull;

	SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column,
				  &isnull);
	return isnull;
}

static double
number(uint64 row, int column)
{
	return is_null(row, column) ? 0 : atof(value(row, column));
}

/* Appends an escaped text between two pieces of markup. */
static void
put(Report *r, const char *before, const char *text, const char *after)
{
	appendStringInfoString(&r->out, before);
	lbrec_append_escaped(&r->out, text);
	appendStringInfoString(&r->out, after);
}

/* Formats a whole number with groups of thousands. */
static char *
count_text(int64 n)
{
	char		digits[32];
	StringInfoData s;
	int			len = snprintf(digits, sizeof(digits), "%lld", (long long) n);

	initStringInfo(&s);
	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0)
			appendStringInfoChar(&s, ',');
		appendStringInfoChar(&s, digits[i]);
	}
	return s.data;
}

static char *
age_text(TimestampTz since)
{
	int64		minutes = (GetCurrentTransactionStartTimestamp() - since) /
		USECS_PER_MINUTE;

	if (minutes < 120)
		return psprintf("%lld minutes", (long long) Max(minutes, 0));
	if (minutes < 48 * 60)
		return psprintf("%lld hours", (long long) minutes / 60);
	return psprintf("%lld days", (long long) minutes / (24 * 60));
}

/*
 * Titles
 */

/* Requests a recording's title; returns its index. */
static int
want_title(Report *r, const pg_uuid_t *key)
{
	for (int i = 0; i < r->n_titles; i++)
		if (memcmp(&r->titles[i].key, key, sizeof(pg_uuid_t)) == 0)
			return i;
	if (r->n_titles == r->room)
	{
		r->room = Max(64, 2 * r->room);
		r->titles = r->titles ?
			repalloc(r->titles, r->room * sizeof(Title)) :
			palloc(r->room * sizeof(Title));
	}
	r->titles[r->n_titles] = (Title)
	{
		*key, NULL
	};
	return r->n_titles++;
}

static char *
title(const Report *r, int place)
{
	const Title *t = &r->titles[place];

	return t->text ? t->text :
		psprintf("recording %.8s...",
				 DatumGetCString(DirectFunctionCall1(uuid_out,
													 UUIDPGetDatum(&t->key))));
}

/* Reads the titles of all requested recordings. */
static void
read_titles(Report *r)
{
	Datum	   *keys = palloc(Max(r->n_titles, 1) * sizeof(Datum));
	Oid			types[] = {UUIDARRAYOID};
	Datum		values[1];
	uint64		n;
	bool		was_read_only = XactReadOnly;

	if (r->recordings == NULL)
		return;
	for (int i = 0; i < r->n_titles; i++)
		keys[i] = UUIDPGetDatum(&r->titles[i].key);
	values[0] = PointerGetDatum(construct_array(keys, r->n_titles, UUIDOID,
												UUID_LEN, false, TYPALIGN_CHAR));
	/* covers functions in the query, too; an error restores this */
	XactReadOnly = true;
	n = ask(psprintf("SELECT q.recording_msid::pg_catalog.uuid, q.artist_name::pg_catalog.text, q.track_name::pg_catalog.text "
					 "FROM (%s\n) AS q WHERE q.recording_msid OPERATOR(pg_catalog.=) ANY ($1)",
					 lbrec_listens_columns(r->recordings, "recordings",
										   "recording_msid, artist_name, track_name")),
			1, types, values);
	XactReadOnly = was_read_only;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		key = SPI_getbinval(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 1, &isnull);
		const char *artist = value(i, 2);

		CHECK_FOR_INTERRUPTS();
		r->titles[want_title(r, DatumGetUUIDP(key))].text =
			psprintf("%s%s%s", artist, *artist ? " - " : "",
					 value(i, 3));
	}
}

/*
 * Finds the first relation "recording" of the search path that is not
 * temporary and that the caller may read; NULL if there is none, or if its
 * columns differ.
 */
static char *
default_recordings(void)
{
	int			n = fetch_search_path_array(NULL, 0);
	Oid		   *schemas = palloc(Max(n, 1) * sizeof(Oid));

	n = Min(fetch_search_path_array(schemas, n), n);
	for (int i = 0; i < n; i++)
	{
		Oid			relation = get_relname_relid("recording", schemas[i]);

		if (!OidIsValid(relation))
			continue;
		if (get_attnum(relation, "recording_msid") == InvalidAttrNumber ||
			get_attnum(relation, "artist_name") == InvalidAttrNumber ||
			get_attnum(relation, "track_name") == InvalidAttrNumber ||
			pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return NULL;
		return quote_qualified_identifier(get_namespace_name(schemas[i]),
										  "recording");
	}
	return NULL;
}

/*
 * Sections
 */

/* Appends one fact at the head of the page. */
static void
put_fact(Report *r, const char *name, const char *text)
{
	put(r, "<div><dt>", name, "</dt>");
	put(r, "<dd>", text, "</dd></div>\n");
}

/*
 * Appends the facts about the model: its row, and the share of later listens.
 */
static void
put_head(Report *r)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(r->row.id)};
	ModelRow	other;
	bool		active;
	bool		standard;
	bool		isnull;
	TimestampTz created;

	active = lbrec_find_model(&other, r->row.name) && other.id == r->row.id;
	standard = lbrec_find_model(&other, NULL) && other.id == r->row.id;
	ask("SELECT m.owner, pg_catalog.date_trunc('second', m.created), m.n_listens, m.n_users, m.n_recordings, m.comment, m.query, "
		"(SELECT pg_catalog.count(*) FROM lbrec.epoch AS e WHERE e.model OPERATOR(pg_catalog.=) m.id), "
		"lbrec.listens_since(least(m.created, pg_catalog.to_timestamp("
		"(m.config OPERATOR(pg_catalog.#>>) '{time,last}')::pg_catalog.float8))) "
		"FROM lbrec.model AS m WHERE m.id OPERATOR(pg_catalog.=) $1", 1, types,
		values);
	created = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0],
												SPI_tuptable->tupdesc, 2,
												&isnull));
	put(r, "<h1>Model <bdi>", r->row.name, "</bdi>");
	appendStringInfo(&r->out, ", version %d</h1>\n", r->row.version);
	appendStringInfo(&r->out, "<p>%s. Trained by <bdi>",
					 standard ? "The default: it answers calls that name no model" :
					 active ? "Active: it answers for its name" :
					 "Not active: it answers only where its version is named");
	put(r, "", value(0, 1), "</bdi> on ");
	put(r, "", value(0, 2), ".");
	if (*value(0, 6))
		put(r, " <q><bdi>", value(0, 6), "</bdi></q>");
	appendStringInfoString(&r->out, "</p>\n<dl class=\"facts\">\n");
	put_fact(r, "age", age_text(created));
	if (!is_null(0, 9))
		put_fact(r, "listens since", psprintf("%.1f %%", 100 * number(0, 9)));
	put_fact(r, "users", count_text(atoll(value(0, 4))));
	put_fact(r, "recordings", count_text(atoll(value(0, 5))));
	put_fact(r, "listens", count_text(atoll(value(0, 3))));
	put_fact(r, "epochs", value(0, 8));
	appendStringInfoString(&r->out, "</dl>\n");
	put(r, "<details><summary>The listens it was trained on</summary><pre>",
		value(0, 7), "</pre></details>\n");
}

/* Measures at 10 and 20 in the newest evaluation of a version, as bars. */
typedef struct Measures
{
	Bar			found[4];		/* top-10 accuracy */
	Bar			fresh[4];		/* recall@20 of new recordings */
	int			n_found;
	int			n_fresh;
	char	   *what;			/* the listens that it was measured on */
} Measures;

/* Reads the rows of a version, and of the baselines if wanted. */
static void
read_measures(Measures *m, int64 model, const char *label, int series,
			  bool baselines)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model)};
	uint64		n;

	n = ask("SELECT e.recommender, e.k, e.top_k_accuracy, e.new_recall, e.kind, pg_catalog.date_trunc('second', e.measured), e.listens_evaluated "
			"FROM lbrec.evaluation AS e WHERE e.model OPERATOR(pg_catalog.=) $1 "
			"AND e.k OPERATOR(pg_catalog.=) ANY ('{10,20}'::pg_catalog.int4[]) "
			"AND e.recommender OPERATOR(pg_catalog.=) ANY ('{model,popular,most_played}'::pg_catalog.text[]) "
			"AND e.measured OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(l.measured) FROM lbrec.evaluation AS l "
			"WHERE l.model OPERATOR(pg_catalog.=) $1) "
			"ORDER BY e.recommender, e.k", 1, types, values);
	for (uint64 i = 0; i < n; i++)
	{
		bool		own = strcmp(value(i, 1), "model") == 0;
		bool		popular = strcmp(value(i, 1), "popular") == 0;
		bool		ten = atoi(value(i, 2)) == 10;
		Bar			bar = {.label = own ? label : popular ?
			"the most popular recordings" : "the user's own most played",
			.value = number(i, ten ? 3 : 4),
		.series = own ? series : popular ? 4 : 2};

		if (!own && !baselines)
			continue;
		if (ten && !is_null(i, 3) && m->n_found < lengthof(m->found))
			m->found[m->n_found++] = bar;
		if (!ten && !is_null(i, 4) && m->n_fresh < lengthof(m->fresh))
			m->fresh[m->n_fresh++] = bar;
		if (own)
			m->what = psprintf("%s listens, %s on %s",
							   count_text(atoll(value(i, 7))),
							   strcmp(value(i, 5), "training") == 0 ?
							   "held out of its training" : "evaluated",
							   value(i, 6));
	}
}

static void
put_bars(Report *r, const char *name, const Bar *bars, int n)
{
	if (n == 0)
		return;
	put(r, "<figure><figcaption>", name, "</figcaption>");
	lbrec_append_bars(&r->out, name, bars, n);
	appendStringInfoString(&r->out, "</figure>\n");
}

static void
put_quality(Report *r)
{
	Measures	m = {0};
	char	   *what;

	read_measures(&m, r->row.id, psprintf("this version, %d", r->row.version),
				  0, false);
	what = m.what;
	if (what && r->before)
		read_measures(&m, r->before, psprintf("version %d, on its own listens",
											  r->before_version), 5, false);
	if (what)
	{
		Measures	all = {0};

		read_measures(&all, r->row.id, "", 0, true);
		for (int i = 0; i < all.n_found; i++)
			if (*all.found[i].label && m.n_found < lengthof(m.found))
				m.found[m.n_found++] = all.found[i];
		for (int i = 0; i < all.n_fresh; i++)
			if (*all.fresh[i].label && m.n_fresh < lengthof(m.fresh))
				m.fresh[m.n_fresh++] = all.fresh[i];
	}
	appendStringInfoString(&r->out, "<h2>How good it is</h2>\n");
	if (m.n_found + m.n_fresh == 0)
	{
		appendStringInfoString(&r->out, "<p>Nothing was measured: the training held nothing out. "
							   "<code>lbrec_record_evaluation</code> measures it on later listens.</p>\n");
		return;
	}
	put(r, "<p class=\"note\">Measured on ", what, ".</p>\n<div class=\"figures\">\n");
	put_bars(r, "Recordings new to their users: share found among the first 20",
			 m.fresh, m.n_fresh);
	put_bars(r, "All listens: share found among the first 10", m.found,
			 m.n_found);
	appendStringInfoString(&r->out, "</div>\n");
}

/* Appends a figure of lbrec_curves_svg, if it has a value to draw. */
static void
put_curve(Report *r, const char *figure)
{
	Oid			types[] = {TEXTOID, INT4OID, INT4OID, INT8OID};
	Datum		values[] = {CStringGetTextDatum(r->row.name),
		Int32GetDatum(r->row.version), Int32GetDatum(r->before_version),
	Int64GetDatum(r->row.id)};

	if (ask(psprintf("SELECT %s.lbrec_curves_svg(CASE WHEN $3 OPERATOR(pg_catalog.>) 0 THEN ARRAY[$1, $1] ELSE ARRAY[$1] END, '%s', "
					 "CASE WHEN $3 OPERATOR(pg_catalog.>) 0 THEN ARRAY[$2, $3] ELSE ARRAY[$2] END) "
					 "WHERE EXISTS (SELECT FROM lbrec.epoch AS e WHERE e.model OPERATOR(pg_catalog.=) $4 "
					 "AND pg_catalog.abs(e.%s) OPERATOR(pg_catalog.<) '1e298'::pg_catalog.float8)", r->schema, figure,
					 figure), 4, types, values) == 0)
		return;
	appendStringInfo(&r->out, "<figure class=\"wide\">%s</figure>\n",
					 value(0, 1));
}

static void
put_curves(Report *r)
{
	appendStringInfoString(&r->out, "<h2>How it was trained</h2>\n<div>\n");
	put_curve(r, "ndcg_100");
	put_curve(r, "loss");
	appendStringInfoString(&r->out, "</div>\n");
}

/* Compares the lists of a sample of users with the listens. */
static void
put_spread(Report *r)
{
	ReportImage *image = &r->image;
	Oid			types[] = {TEXTOID, INT8ARRAYOID, INT4OID};
	Datum	   *users = palloc(image->n_sample * sizeof(Datum));
	Datum		values[] = {CStringGetTextDatum(r->row.name), 0,
		Int32GetDatum(r->row.version)};
	pg_uuid_t  *keys;
	uint64		n;
	Spread		spread;
	Bar			bars[2 * N_GROUPS];
	int			n_bars = 0;

	for (int i = 0; i < image->n_sample; i++)
		users[i] = Int64GetDatum(image->sample[i].key);
	values[1] = PointerGetDatum(construct_array(users, image->n_sample,
												INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	n = ask(psprintf("SELECT r.recording_msid FROM %s.lbrec_recommend_all(%d, $1, users => $2, version => $3) AS r",
					 r->schema, SPREAD_LENGTH), 3, types, values);
	keys = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;

		keys[i] = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[i],
											   SPI_tuptable->tupdesc, 1,
											   &isnull));
	}
	lbrec_report_spread(&spread, lbrec_open_model(r->row.name, r->row.version),
						keys, n);
	appendStringInfo(&r->out, "<h2>What it recommends</h2>\n"
					 "<p>The first %d recordings of %s users' lists are %s different ones, %.1f %% of all%s. "
					 "Recordings in these lists have %s listens in the mean, the recordings of all listens %s.</p>\n",
					 SPREAD_LENGTH, count_text(image->n_sample),
					 count_text(spread.distinct),
					 100.0 * spread.distinct / Max(r->row.n_recordings, 1),
					 image->n_sample < r->row.n_users ? " (a sample)" : "",
					 count_text((int64) rint(spread.mean_listed)),
					 count_text((int64) rint(spread.mean_listened)));
	for (int g = 0; g < N_GROUPS; g++)
	{
		char	   *range;

		if (spread.listens[g] == 0)
			continue;
		range = spread.ends[g] == 0 ?
			psprintf("%s listens or more", count_text(spread.begins[g])) :
			psprintf("%s to %s listens", count_text(spread.begins[g]),
					 count_text(spread.ends[g]));
		bars[n_bars++] = (Bar)
		{
			psprintf("%s: of what is listened to", range), spread.listens[g],
				4, n_bars > 0
		};
		bars[n_bars++] = (Bar)
		{
			psprintf("%s: of what is recommended", range), spread.listed[g], 0
		};
	}
	appendStringInfoString(&r->out, "<div class=\"figures\">\n");
	put_bars(r, "Popular and rare recordings", bars, n_bars);
	appendStringInfoString(&r->out, "</div>\n");
}

static void
put_map(Report *r)
{
	const ReportImage *image = &r->image;
	MapPoint   *points = palloc(Max(image->n_points, 1) * sizeof(MapPoint));
	int			named = Min(image->n_points, NAMED_POINTS);

	for (int i = 0; i < image->n_points; i++)
	{
		const ReportPoint *p = &image->points[i];

		points[i] = (MapPoint)
		{
			{
				p->place[0], p->place[1]
			},
				p->listens, i < named ? title(r, want_title(r, &p->key)) : NULL
		};
	}
	appendStringInfo(&r->out, "<h2>A map of the catalogue</h2>\n"
					 "<p>The %s most played recordings: those that the model takes for alike lie close together. "
					 "The two axes hold %.0f %% of the differences. Hover over a dot for its name.</p>\n"
					 "<figure class=\"wide\">",
					 count_text(image->n_points),
					 100 * (image->shares[0] + image->shares[1]));
	lbrec_append_map(&r->out, "A map of the most played recordings",
					 "Each dot is a recording, by the two principal axes of the recordings' vectors. "
					 "A larger dot is played more. The list that follows has the most played.",
					 points, image->n_points);
	appendStringInfoString(&r->out, "</figure>\n<details><summary>The most played</summary><ol>\n");
	for (int i = 0; i < Min(named, 20); i++)
	{
		put(r, "<li><bdi>", points[i].name, "</bdi>");
		appendStringInfo(&r->out, "<small>%s listens</small></li>\n",
						 count_text(image->points[i].listens));
	}
	appendStringInfoString(&r->out, "</ol></details>\n");
}

/* A row of a user's list. */
typedef struct Entry
{
	int			title;
	int			because;		/* index of the recording that explains it;
								 * -1: none */
	char	   *part;
} Entry;

typedef struct UserList
{
	Entry		entries[LIST_LENGTH];
	int			n;
} UserList;

/* Describes a part of a score in words. */
static const char *
reason(const char *part)
{
	if (strcmp(part, "history") == 0)
		return "like ";
	if (strcmp(part, "neighbour") == 0)
		return "played next to ";
	if (strcmp(part, "repeat") == 0)
		return "played before";
	if (strcmp(part, "popularity") == 0)
		return "popular";
	return "this user's taste";
}

/*
 * Reads the first recordings of a user's list, and the first that are new to
 * the user: these are among as many rows as the user has recordings, plus a
 * few.
 */
static void
read_user(Report *r, UserList *list, const ReportUser *user)
{
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, UUIDARRAYOID};
	Datum		values[4];
	Datum	   *played = palloc(Max(user->recordings, 1) * sizeof(Datum));
	uint64		n;

	for (int64 i = 0; i < user->recordings; i++)
		played[i] = UUIDPGetDatum(&user->played[i]);
	values[0] = Int64GetDatum(user->key);
	values[1] = CStringGetTextDatum(r->row.name);
	values[2] = Int32GetDatum(r->row.version);
	values[3] = PointerGetDatum(construct_array(played, user->recordings,
												UUIDOID, UUID_LEN, false,
												TYPALIGN_CHAR));
	n = ask(psprintf("SELECT l.recording_msid, x.because, x.part FROM ("
					 "SELECT r.rank, r.recording_msid, pg_catalog.count(*) FILTER (WHERE r.rank OPERATOR(pg_catalog.>) %d) OVER (ORDER BY r.rank) AS fresh "
					 "FROM %s.lbrec_recommend($1, %lld, $2, version => $3) AS r "
					 "WHERE r.rank OPERATOR(pg_catalog.<=) %d OR r.recording_msid OPERATOR(pg_catalog.<>) ALL ($4)) AS l "
					 "LEFT JOIN LATERAL (SELECT e.part, e.because FROM %s.lbrec_explain($1, l.recording_msid, $2, version => $3) AS e "
					 "WHERE e.value OPERATOR(pg_catalog.>) 0 ORDER BY e.value DESC LIMIT 1) AS x ON true "
					 "WHERE l.fresh OPERATOR(pg_catalog.<=) %d ORDER BY l.rank",
					 FIRST_LENGTH, r->schema,
					 (long long) user->recordings + LIST_LENGTH, FIRST_LENGTH,
					 r->schema, LIST_LENGTH - FIRST_LENGTH), 4, types, values);
	for (uint64 i = 0; i < Min(n, LIST_LENGTH); i++)
	{
		Entry	   *e = &list->entries[list->n++];
		bool		isnull;
		Datum		key;

		key = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
							&isnull);
		e->title = want_title(r, DatumGetUUIDP(key));
		key = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2,
							&isnull);
		e->because = isnull ? -1 : want_title(r, DatumGetUUIDP(key));
		e->part = value(i, 3);
	}
}

static void
put_users(Report *r, const UserList *lists)
{
	appendStringInfo(&r->out, "<h2>What %d users get</h2>\n<div class=\"cards\">\n",
					 r->image.n_users);
	for (int u = 0; u < r->image.n_users; u++)
	{
		appendStringInfo(&r->out, "<section><h3>User %lld, who has played %s recordings</h3>\n<ol>\n",
						 (long long) r->image.users[u].key,
						 count_text(r->image.users[u].recordings));
		for (int i = 0; i < lists[u].n; i++)
		{
			const Entry *e = &lists[u].entries[i];
			const char *because = reason(e->part);

			if (i == FIRST_LENGTH)
				appendStringInfo(&r->out, "</ol><small>New to this user:</small><ol start=\"%d\">\n",
								 i + 1);
			put(r, "<li><bdi>", title(r, e->title), "</bdi><small>");
			appendStringInfoString(&r->out, because);
			if (because[strlen(because) - 1] == ' ')
			{
				if (e->because >= 0)
					put(r, "<bdi>", title(r, e->because), "</bdi>");
				else
					appendStringInfoString(&r->out, "others");
			}
			appendStringInfoString(&r->out, "</small></li>\n");
		}
		appendStringInfoString(&r->out, "</ol></section>\n");
	}
	appendStringInfoString(&r->out, "</div>\n");
}

/* Lists the settings, those that differ from the preset first. */
static void
put_settings(Report *r)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(r->row.id)};
	uint64		n;

	n = ask("SELECT o.key, o.value, s.default_value, s.meaning FROM lbrec.model AS m, "
			"pg_catalog.jsonb_each(m.config OPERATOR(pg_catalog.->) 'options') AS o "
			"LEFT JOIN lbrec.settings() AS s ON s.name OPERATOR(pg_catalog.=) o.key "
			"WHERE m.id OPERATOR(pg_catalog.=) $1 ORDER BY o.key", 1, types,
			values);
	appendStringInfoString(&r->out, "<h2>Settings</h2>\n");
	for (int others = 0; others < 2; others++)
	{
		appendStringInfo(&r->out, "<details%s><summary>%s</summary><table><tr><th>setting</th><th>value</th><th>is</th></tr>\n",
						 others ? "" : " open=\"open\"",
						 others ? "Those that the preset default has" :
						 "Those that differ from the preset default");
		for (uint64 i = 0; i < n; i++)
			if ((strcmp(value(i, 2), value(i, 3)) == 0) == (others == 1))
			{
				put(r, "<tr><td>", value(i, 1), "</td>");
				put(r, "<td>", value(i, 2), "</td>");
				put(r, "<td>", value(i, 4), "</td></tr>\n");
			}
		appendStringInfoString(&r->out, "</table></details>\n");
	}
}

/* Writes the page up to the end of its head. */
static void
put_page_head(Report *r)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(style)};

	ask("SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to($1, 'UTF8')), 'base64')",
		1, types, values);
	appendStringInfo(&r->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
					 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'\"/>\n"
					 "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
					 "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
					 "<link rel=\"icon\" href=\"data:,\"/>\n", value(0, 1));
	put(r, "<title>lbrec: ", r->row.name, "");
	appendStringInfo(&r->out, ", version %d</title>\n<style>%s</style>\n</head>\n<body>\n",
					 r->row.version, style);
}

/* Finds the newest existing version of the name below this one. */
static void
find_version_before(Report *r)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(r->row.name),
		Int32GetDatum(r->row.version)};

	if (ask("SELECT m.id, m.version FROM lbrec.model AS m WHERE m.name OPERATOR(pg_catalog.=) $1 "
			"AND m.version OPERATOR(pg_catalog.<) $2 ORDER BY m.version DESC LIMIT 1",
			2, types, values) > 0)
	{
		r->before = atoll(value(0, 1));
		r->before_version = atoi(value(0, 2));
	}
}

/*
 * lbrec_report(model, version, recordings)
 */
Datum
lbrec_report(PG_FUNCTION_ARGS)
{
	Report		r = {0};
	const ServingModel *serving;
	UserList   *lists;
	MemoryContext context = CurrentMemoryContext;

	lbrec_check_declaration(fcinfo, REPORT_ARGS, 0);
	initStringInfo(&r.out);
	r.recordings = PG_ARGISNULL(REPORT_RECORDINGS) ? default_recordings() :
		text_to_cstring(PG_GETARG_TEXT_PP(REPORT_RECORDINGS));
	r.schema = quote_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)));
	serving = lbrec_open_argument(fcinfo, REPORT_MODEL, REPORT_VERSION);
	r.row = serving->image->row;
	lbrec_report_image(&r.image, serving, context);

	SPI_connect();
	find_version_before(&r);
	lists = palloc0(MAX_USERS_SHOWN * sizeof(UserList));
	for (int u = 0; u < r.image.n_users; u++)
		read_user(&r, &lists[u], &r.image.users[u]);
	for (int i = 0; i < Min(r.image.n_points, NAMED_POINTS); i++)
		want_title(&r, &r.image.points[i].key);
	read_titles(&r);

	put_page_head(&r);
	put_head(&r);
	put_quality(&r);
	put_spread(&r);
	put_users(&r, lists);
	put_map(&r);
	put_curves(&r);
	put_settings(&r);
	appendStringInfoString(&r.out, "</body>\n</html>\n");
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(r.out.data, r.out.len));
}
