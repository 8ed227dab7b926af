/*
 * planner.c
 *		Tells the planner the rows and costs of the serving calls.
 *
 * Without it a call that returns a thousand rows counts as ten, and one that
 * reads two million candidates costs no more than one that reads a hundred.
 * Both follow from the arguments, as far as they are constants (or parameters
 * that can be estimated), and from the sizes in the row of lbrec.model.
 *
 * Planning must not fail: for a role that may not read lbrec.model, or without
 * a model, CREATE FUNCTION's numbers apply.
 *
 * Costs are multiples of cpu_operator_cost, about 25 ns on current machines.
 * The right order of magnitude suffices: a plan depends on whether a call is
 * made once or for every row.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "pg/sql/calls.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_planner_support);

/* Costs, in operators. */
#define CALL_COST 1000.0		/* finds the model and makes a query vector */
#define SCAN_COST 0.1			/* a candidate in the int8 index */
#define BATCH_COST 0.04			/* the same for one user of a batch */
#define COSINE_COST 0.5			/* a vector that must be normalised */
#define SCORE_COST 20.0			/* a recording that is looked up and scored */
#define ROW_COST 4.0			/* a result row */

/* The default of k, and the assumed length of an array that is no constant. */
#define DEFAULT_K 10
#define UNKNOWN_LENGTH 10

typedef enum Work
{
	WORK_LIST,					/* k rows */
	WORK_LISTS,					/* k rows for each user */
	WORK_GROUP,					/* k rows for users together */
	WORK_NEAREST,				/* k nearest recordings by cosine */
	WORK_NEAREST_USERS,			/* k nearest users by cosine */
	WORK_SCORES,				/* no set: one array of scores */
	WORK_TABLE					/* a row for each recording */
} Work;

/* The calls, and the positions of their arguments; -1: none. */
static const struct Call
{
	const char *name;
	Work		work;
	int			k;
	int			model;
	int			version;
	int			array;			/* position of the array of users or
								 * recordings */
}			calls[] = {

	{"lbrec_recommend", WORK_LIST, RECOMMEND_K, RECOMMEND_MODEL, RECOMMEND_VERSION,
	RECOMMEND_CANDIDATES},
	{"lbrec_popular", WORK_LIST, POPULAR_K, POPULAR_MODEL, POPULAR_VERSION, -1},
	{"lbrec_next", WORK_LIST, NEXT_K, NEXT_MODEL, NEXT_VERSION,
	NEXT_CANDIDATES},
	{"lbrec_recommend_all", WORK_LISTS, RECOMMEND_ALL_K, RECOMMEND_ALL_MODEL, RECOMMEND_ALL_VERSION,
	RECOMMEND_ALL_USERS},
	{"lbrec_recommend_group", WORK_GROUP, GROUP_K, GROUP_MODEL, GROUP_VERSION, GROUP_USERS},
	{"lbrec_similar", WORK_NEAREST, SIMILAR_K, SIMILAR_MODEL, SIMILAR_VERSION,
	SIMILAR_CANDIDATES},
	{"lbrec_similar_users", WORK_NEAREST_USERS, SIMILAR_USERS_K,
	SIMILAR_USERS_MODEL, SIMILAR_USERS_VERSION, -1},
	{"lbrec_score", WORK_SCORES, -1, SCORE_MODEL, SCORE_VERSION, SCORE_RECORDINGS},
	{"lbrec_recording_embeddings", WORK_TABLE, -1, RECORDING_EMBEDDINGS_MODEL, RECORDING_EMBEDDINGS_VERSION,
	-1},
};

/* Facts about a call that are known at planning time. */
typedef struct Expected
{
	const struct Call *call;
	double		k;
	double		length;			/* length of the array */
	bool		has_length;
	bool		has_array;		/* false: the array is NULL */
	bool		has_model;
	double		n_users;
	double		n_recordings;
} Expected;

/* Returns the estimated value of an argument, or NULL. */
static Node *
argument(PlannerInfo *root, const FuncExpr *f, int place)
{
	Node	   *arg;

	if (place < 0 || place >= list_length(f->args))
		return NULL;
	arg = list_nth(f->args, place);
	if (IsA(arg, NamedArgExpr))
		return NULL;			/* arguments are not reordered yet */
	return root ? estimate_expression_value(root, arg) : arg;
}

/* Reads the sizes of the version that the call names, or of the default. */
static bool
find_sizes(Expected *e, Node *name, Node *version)
{
	Oid			schema = get_namespace_oid("lbrec", true);
	Oid			table;
	ModelRow	row;
	const char *wanted = NULL;
	int32		number = 0;

	if (name && IsA(name, Const) && !((Const *) name)->constisnull)
		wanted = TextDatumGetCString(((Const *) name)->constvalue);
	if (version && IsA(version, Const) && !((Const *) version)->constisnull)
		number = DatumGetInt32(((Const *) version)->constvalue);
	if (!OidIsValid(schema) || !ActiveSnapshotSet())
		return false;
	table = get_relname_relid("model", schema);
	if (!OidIsValid(table) ||
		pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
#if PG_VERSION_NUM >= 160000
	if (object_aclcheck(NamespaceRelationId, schema, GetUserId(),
						ACL_USAGE) != ACLCHECK_OK)
		return false;
#else
	if (pg_namespace_aclcheck(schema, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		return false;
#endif
	SPI_connect();
	e->has_model = lbrec_look_for_version(&row, wanted, number);
	SPI_finish();
	if (e->has_model)
	{
		e->n_users = (double) row.n_users;
		e->n_recordings = (double) row.n_recordings;
	}
	return e->has_model;
}

/* fills *expected; false if the call is not one of ours */
static bool
expect(Expected *e, PlannerInfo *root, Oid funcid, Node *node)
{
	char	   *name = get_func_name(funcid);
	const FuncExpr *f = (const FuncExpr *) node;
	Node	   *arg;

	memset(e, 0, sizeof(Expected));
	if (name == NULL || node == NULL || !IsA(node, FuncExpr))
		return false;
	for (int i = 0; i < lengthof(calls); i++)
		if (strcmp(calls[i].name, name) == 0)
			e->call = &calls[i];
	if (e->call == NULL)
		return false;

	e->k = DEFAULT_K;
	arg = argument(root, f, e->call->k);
	if (arg && IsA(arg, Const) && !((Const *) arg)->constisnull)
		e->k = Max(DatumGetInt32(((Const *) arg)->constvalue), 1);

	arg = argument(root, f, e->call->array);
	e->has_array = arg != NULL;
	if (arg && IsA(arg, Const))
	{
		e->has_array = e->has_length = !((Const *) arg)->constisnull;
		if (e->has_array)
		{
			ArrayType  *array =
				DatumGetArrayTypeP(((Const *) arg)->constvalue);

			e->length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		}
	}
	else if (arg && IsA(arg, ArrayExpr) && !((ArrayExpr *) arg)->multidims)
	{
		e->has_length = true;
		e->length = list_length(((ArrayExpr *) arg)->elements);
	}
	if (e->has_array && !e->has_length)
		e->length = UNKNOWN_LENGTH;
	find_sizes(e, argument(root, f, e->call->model),
			   argument(root, f, e->call->version));
	return true;
}

/* Returns the number of users in a batch; 0 if unknown. */
static double
users_of(const Expected *e)
{
	if (e->has_array)
		return Max(e->length, 1);
	return e->has_model ? e->n_users : 0;
}

/* Returns the number of rows of a set; 0 if unknown. */
static double
rows_of(const Expected *e)
{
	switch (e->call->work)
	{
		case WORK_LIST:
		case WORK_NEAREST:
			return e->has_length ? Min(e->k, Max(e->length, 1)) : e->k;
		case WORK_LISTS:
			return e->k * users_of(e);
		case WORK_GROUP:
		case WORK_NEAREST_USERS:
			return e->k;
		case WORK_TABLE:
			return e->has_model ? e->n_recordings : 0;
		case WORK_SCORES:
			break;
	}
	return 0;
}

/* Returns the operators of one call, with all rows of a set. */
static double
operators_of(const Expected *e)
{
	double		rows = rows_of(e) * ROW_COST;

	switch (e->call->work)
	{
		case WORK_LIST:
			return CALL_COST + rows + (e->has_array ?
									   e->length * SCORE_COST :
									   e->n_recordings * SCAN_COST);
		case WORK_LISTS:
			return CALL_COST + rows +
				users_of(e) * e->n_recordings * BATCH_COST;
		case WORK_GROUP:
			return CALL_COST + rows +
				users_of(e) * e->n_recordings * COSINE_COST;
		case WORK_NEAREST:
			return CALL_COST + rows + (e->has_array ?
									   e->length * SCORE_COST :
									   e->n_recordings * COSINE_COST);
		case WORK_NEAREST_USERS:
			return CALL_COST + rows + e->n_users * COSINE_COST;
		case WORK_SCORES:
			return CALL_COST + e->length * SCORE_COST;
		case WORK_TABLE:
			return CALL_COST + e->n_recordings * SCORE_COST;
	}
	return CALL_COST;
}

/* Planner support; NULL leaves CREATE FUNCTION's numbers in force. */
Datum
lbrec_planner_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Expected	e;

	if (IsA(request, SupportRequestRows))
	{
		SupportRequestRows *r = (SupportRequestRows *) request;

		if (expect(&e, r->root, r->funcid, r->node) && rows_of(&e) > 0)
		{
			r->rows = rows_of(&e);
			PG_RETURN_POINTER(r);
		}
	}
	else if (IsA(request, SupportRequestCost))
	{
		SupportRequestCost *r = (SupportRequestCost *) request;

		if (expect(&e, r->root, r->funcid, r->node) && e.has_model)
		{
			r->startup = 0;
			r->per_tuple = operators_of(&e) * cpu_operator_cost;
			PG_RETURN_POINTER(r);
		}
	}
	PG_RETURN_POINTER(NULL);
}
