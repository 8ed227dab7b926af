/*
 * query.c
 *		The query that an argument listens stands for.
 */
#include "pg/listens/query.h"

#include "catalog/namespace.h"
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
 * The query that an argument listens stands for: it is a query already, or the
 * name of a table.  Of a table only the columns are asked for, so that rights
 * to them suffice.
 */
char *
lbrec_listens_columns(const char *listens, const char *columns)
{
	List	   *names;

	if (looks_like_query(listens))
		return pstrdup(listens);
	if (listens[strspn(listens, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("listens must not be empty"),
				 errdetail(LBREC_LISTEN_COLUMNS),
				 errhint("Give the name of a table or a query.")));
	names = textToQualifiedNameList(cstring_to_text(listens));
	return psprintf("SELECT %s FROM %s", columns,
					NameListToQuotedString(names));
}

/* The same, with all columns. */
char *
lbrec_listens_query(const char *listens)
{
	return lbrec_listens_columns(listens, "*");
}

/*
 * Error context while a query of listens is parsed.  Adds a hint if the default
 * table, which only lbrec-convert makes, does not exist; arg is the caller's
 * argument.
 */
void
lbrec_explain_no_listens(void *arg)
{
	if (geterrcode() == ERRCODE_UNDEFINED_TABLE && strcmp(arg, "listen") == 0)
		errhint("Give your table or query of listens as the argument listens, or make a view of the name \"listen\".");
}
