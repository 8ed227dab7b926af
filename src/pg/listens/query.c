/*
 * query.c
 *		Turns the argument listens, a table or a query, into a query.
 */
#include "pg/listens/query.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

/* True if the text's first word can begin a query. */
static bool
looks_like_query(const char *text)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	text += strspn(text, " \t\r\n");
	if (*text == '(' || strncmp(text, "--", 2) == 0 ||
		strncmp(text, "/*", 2) == 0)
		return true;
	for (int i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i]);

		if (pg_strncasecmp(text, words[i], len) == 0 && text[len] != '\0' &&
			strchr(" \t\r\n(", text[len]) != NULL)
			return true;
	}
	return false;
}

/*
 * Returns the query for the value of an argument: a query as it is, or one
 * over the table that it names.  That asks only for the needed columns, so
 * that column rights suffice.
 */
char *
lbrec_listens_columns(const char *source, const char *argument,
					  const char *columns)
{
	List	   *names;
	ListCell   *cell;
	StringInfoData quoted;

	if (looks_like_query(source))
		return pstrdup(source);
	if (source[strspn(source, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", argument),
				 errdetail("It is the name of a table, or a query."),
				 errhint("Give the name of a table or a query.")));
	if (!SplitIdentifierString(pstrdup(source), '.', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("%s is neither the name of a table nor a query",
						argument),
				 errdetail("It is: %s", source),
				 errhint("Give one name, such as listen or public.listen, or a query that begins with SELECT, WITH, VALUES or TABLE.")));
	initStringInfo(&quoted);
	foreach(cell, names)
		appendStringInfo(&quoted, "%s%s", quoted.len > 0 ? "." : "",
						 quote_identifier(lfirst(cell)));
	return psprintf("SELECT %s FROM %s", columns, quoted.data);
}

/* The same, but with all columns of a table. */
char *
lbrec_listens_query(const char *source, const char *argument)
{
	return lbrec_listens_columns(source, argument, "*");
}

/*
 * Error context while a query of listens is parsed or run.  Adds a hint if the
 * default table, which lbrec-convert makes, does not exist.  arg is the
 * caller's argument.
 */
void
lbrec_explain_no_listens(void *arg)
{
	errcontext("argument listens");
	if (geterrcode() == ERRCODE_UNDEFINED_TABLE && strcmp(arg, "listen") == 0)
		errhint("Give your table or query of listens as the argument listens, or make a view of the name \"listen\".");
}
