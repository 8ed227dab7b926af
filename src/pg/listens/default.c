/*
 * default.c
 *		The default table of listens, for calls that name none.
 *
 * It is the first relation "listen" in the search path, but never one in
 * pg_temp. Anybody can create one there, and a SECURITY DEFINER function would
 * read it, and run the functions that such a view calls, with its owner's
 * rights.
 */
#include "pg/server/lbrec.h"

#include "pg/listens/default.h"

#include "access/attnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define DEFAULT_NAME "listen"

/* Finds the relation, or returns InvalidOid. */
Oid
lbrec_default_relation(void)
{
	int			n = fetch_search_path_array(NULL, 0);
	Oid		   *schemas = palloc(Max(n, 1) * sizeof(Oid));
	Oid			relation = InvalidOid;

	n = Min(fetch_search_path_array(schemas, n), n);
	/* the path never lists pg_temp, but may name its schema, pg_temp_N */
	for (int i = 0; i < n && !OidIsValid(relation); i++)
		if (!isAnyTempNamespace(schemas[i]))
			relation = get_relname_relid(DEFAULT_NAME, schemas[i]);
	pfree(schemas);
	return relation;
}

/* Returns its qualified name, or NULL if there is none. */
char *
lbrec_default_listens(void)
{
	Oid			relation = lbrec_default_relation();

	if (!OidIsValid(relation))
		return NULL;
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  DEFAULT_NAME);
}

/* Returns its qualified name, or raises an error. */
char *
lbrec_needed_listens(void)
{
	char	   *name = lbrec_default_listens();

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", DEFAULT_NAME),
				 errdetail("Calls that name no listens read this table; a temporary table does not count."),
				 errhint("Give your table or query of listens as the argument listens, or make a view of the name \"listen\".")));
	return name;
}

/*
 * True if listens can be read from a table with such a column, for any
 * purpose.
 */
static bool
has_type(Oid relation, const char *column, const Oid *types, int n)
{
	AttrNumber	number = get_attnum(relation, column);
	Oid			type;

	if (number == InvalidAttrNumber)
		return false;
	type = getBaseType(get_atttype(relation, number));
	for (int i = 0; i < n; i++)
		if (types[i] == type)
			return true;
	return false;
}

static bool
may_read(Oid relation, const char *column)
{
	return pg_attribute_aclcheck(relation, get_attnum(relation, column),
								 GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/*
 * True if the table exists, has the columns of listens, and the caller may
 * read them.
 */
bool
lbrec_default_is_readable(void)
{
	static const Oid integers[] = {INT8OID, INT4OID, INT2OID};
	static const Oid times[] = {TIMESTAMPTZOID, TIMESTAMPOID, INT8OID, INT4OID};
	static const Oid keys[] = {UUIDOID};
	Oid			relation = lbrec_default_relation();

	return OidIsValid(relation) &&
		has_type(relation, "user_id", integers, lengthof(integers)) &&
		has_type(relation, "listened_at", times, lengthof(times)) &&
		has_type(relation, "recording_msid", keys, lengthof(keys)) &&
		(pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 (may_read(relation, "user_id") && may_read(relation, "listened_at") &&
		  may_read(relation, "recording_msid")));
}
