/*
 * indexed.c
 *		Finds out whether one user's later listens can be read by an index.
 *
 * A call that names no listens reads a known user's plays since the training
 * from the default table.  The caller did not request that, so it must not
 * turn an answer of a millisecond into a scan of all listens: the table is
 * read only if an index begins with the user and the time, or if the table is
 * small.
 *
 * The default may be a view, as in docs/howto-own-listens.md.  Its columns are
 * traced to those of a table, as long as the planner pushes conditions down:
 * not through LIMIT, window functions or groups.
 */
#include "pg/serve/indexed.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"

/* Blocks of a small table, 1 MB: about ten thousand listens. */
#define SMALL_BLOCKS (1024 * 1024 / BLCKSZ)

/* A column of a range table entry. */
typedef struct Place
{
	RangeTblEntry *entry;
	AttrNumber	column;
} Place;

static bool find_table(Place *place, const Query *query, Node *expression);

/*
 * True if a condition on a column of the result is pushed down to the
 * subquery.
 */
static bool
lets_conditions_through(const Query *q)
{
	return q->limitCount == NULL && q->limitOffset == NULL &&
		!q->hasWindowFuncs && !q->hasAggs && !q->hasDistinctOn &&
		!q->hasTargetSRFs && q->groupClause == NIL &&
		q->groupingSets == NIL && q->havingQual == NULL;
}

/* Finds the table column that a column of a query's result comes from. */
static bool
find_column(Place *place, const Query *query, AttrNumber column)
{
	TargetEntry *entry;

	if (!lets_conditions_through(query) || column < 1 ||
		column > list_length(query->targetList))
		return false;
	entry = list_nth_node(TargetEntry, query->targetList, column - 1);
	return find_table(place, query, (Node *) entry->expr);
}

static bool
find_table(Place *place, const Query *query, Node *expression)
{
	Var		   *var;
	RangeTblEntry *entry;

	expression = strip_implicit_coercions(expression);
	if (expression == NULL || !IsA(expression, Var))
		return false;
	var = (Var *) expression;
	if (var->varlevelsup > 0 || var->varattno < 1)
		return false;
	entry = list_nth_node(RangeTblEntry, query->rtable, var->varno - 1);
	switch (entry->rtekind)
	{
		case RTE_RELATION:
			*place = (Place)
			{
				entry, var->varattno
			};
			return true;
		case RTE_SUBQUERY:
			/* a branch of UNION is a subquery of its own: see has_index() */
			if (entry->subquery->setOperations != NULL)
				return false;
			return find_column(place, entry->subquery, var->varattno);
		case RTE_JOIN:
			return find_table(place, query,
							  list_nth(entry->joinaliasvars,
									   var->varattno - 1));
		default:
			return false;
	}
}

static bool
leads_with(Relation index, AttrNumber user_column, AttrNumber time_column)
{
	Form_pg_index form = index->rd_index;

	return form->indisvalid && form->indnkeyatts >= 2 &&
		index->rd_indam->amcanorder &&
		form->indkey.values[0] == user_column &&
		form->indkey.values[1] == time_column &&
		RelationGetIndexPredicate(index) == NIL;
}

/* True if a table, or each of its partitions, has such an index. */
static bool
table_has_index(Oid table, AttrNumber user_column, AttrNumber time_column)
{
	Relation	relation = try_relation_open(table, AccessShareLock);
	List	   *indexes;
	ListCell   *cell;
	bool		found = false;

	if (relation == NULL)
		return false;
	/* an index on a parent in inheritance does not cover its children */
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
		!has_subclass(table))
	{
		indexes = RelationGetIndexList(relation);
		foreach(cell, indexes)
		{
			Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

			found |= leads_with(index, user_column, time_column);
			index_close(index, AccessShareLock);
		}
		list_free(indexes);
	}
	relation_close(relation, AccessShareLock);
	return found;
}

/* Returns the only subquery that a query reads, or NULL. */
static const Query *
only_subquery(const Query *query)
{
	List	   *from = query->jointree->fromlist;
	RangeTblEntry *entry;

	if (list_length(from) != 1 || !IsA(linitial(from), RangeTblRef))
		return NULL;
	entry = list_nth_node(RangeTblEntry, query->rtable,
						  linitial_node(RangeTblRef, from)->rtindex - 1);
	return entry->rtekind == RTE_SUBQUERY ? entry->subquery : NULL;
}

/*
 * Returns the column of that subquery that is a column of the result; 0: none.
 */
static AttrNumber
column_below(const Query *query, AttrNumber column)
{
	TargetEntry *entry;
	Node	   *expression;

	if (!lets_conditions_through(query) || column < 1 ||
		column > list_length(query->targetList))
		return 0;
	entry = list_nth_node(TargetEntry, query->targetList, column - 1);
	expression = strip_implicit_coercions((Node *) entry->expr);
	if (!IsA(expression, Var) || ((Var *) expression)->varlevelsup > 0)
		return 0;
	return ((Var *) expression)->varattno;
}

/*
 * True if an index finds the user and the time, given as columns of the
 * result; if not, path has the table that lacks one.
 */
static bool
has_index(ListensPath *path, const Query *query, AttrNumber user_column,
		  AttrNumber time_column)
{
	Place		user;
	Place		time;
	const Query *only;
	ListCell   *cell;

	if (query->setOperations != NULL)
	{
		if (!lets_conditions_through(query))
			return false;
		foreach(cell, query->rtable)
		{
			RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);

			if (entry->rtekind == RTE_SUBQUERY &&
				!has_index(path, entry->subquery, user_column, time_column))
				return false;
		}
		return true;
	}
	/* a lone subquery may be a UNION */
	only = only_subquery(query);
	if (only != NULL)
	{
		user_column = column_below(query, user_column);
		time_column = column_below(query, time_column);
		return user_column > 0 && time_column > 0 &&
			has_index(path, only, user_column, time_column);
	}
	if (!find_column(&user, query, user_column) ||
		!find_column(&time, query, time_column) || user.entry != time.entry)
		return false;
	if (table_has_index(user.entry->relid, user.column, time.column))
		return true;
	path->table = user.entry->relid;
	path->user_column = user.column;
	path->time_column = time.column;
	return false;
}

/*
 * Makes the path of a plan whose result begins with the time and the user.
 * Allocated in the current memory context.
 */
ListensPath
lbrec_listens_path(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	ListensPath path = {.table = InvalidOid};

	path.relations = list_copy(source->relationOids);
	path.indexed = source->query_list != NIL &&
		has_index(&path, linitial_node(Query, source->query_list), 2, 1);
	return path;
}

/* Returns the blocks of a relation with its partitions and children. */
static BlockNumber
count_blocks(Oid relation)
{
	List	   *all = find_all_inheritors(relation, NoLock, NULL);
	BlockNumber blocks = 0;
	ListCell   *cell;

	foreach(cell, all)
	{
		Relation	r = try_relation_open(lfirst_oid(cell), AccessShareLock);

		if (r == NULL)
			continue;
		/* the cost of a foreign table is unknown */
		if (r->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
			blocks = SMALL_BLOCKS + 1;
		else if (RELKIND_HAS_STORAGE(r->rd_rel->relkind))
			blocks += Min(RelationGetNumberOfBlocks(r), SMALL_BLOCKS + 1);
		relation_close(r, AccessShareLock);
		if (blocks > SMALL_BLOCKS)
			break;
	}
	list_free(all);
	return blocks;
}

/*
 * True if the path is cheap.  Tables grow, so a small one is checked each
 * time.
 */
bool
lbrec_path_is_cheap(const ListensPath *path)
{
	BlockNumber blocks = 0;
	ListCell   *cell;

	if (path->indexed)
		return true;
	foreach(cell, path->relations)
	{
		blocks += count_blocks(lfirst_oid(cell));
		if (blocks > SMALL_BLOCKS)
			return false;
	}
	return true;
}

/*
 * Returns the statement that creates the index, or NULL if no table can have
 * it.
 */
char *
lbrec_missing_index(const ListensPath *path)
{
	char	   *schema;
	char	   *user;
	char	   *time;

	if (path->indexed || !OidIsValid(path->table))
		return NULL;
	schema = get_namespace_name(get_rel_namespace(path->table));
	user = get_attname(path->table, path->user_column, true);
	time = get_attname(path->table, path->time_column, true);
	if (schema == NULL || user == NULL || time == NULL)
		return NULL;
	/* quote_identifier() may return its argument */
	return psprintf("CREATE INDEX ON %s (%s, %s)",
					quote_qualified_identifier(schema,
											   get_rel_name(path->table)),
					quote_identifier(user), quote_identifier(time));
}
