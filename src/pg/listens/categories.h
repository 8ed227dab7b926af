/*
 * categories.h
 *		The bytes by which a value of a further column is known.
 */
#ifndef LBREC_LISTENS_CATEGORIES_H
#define LBREC_LISTENS_CATEGORIES_H

#include "pg/server/lbrec.h"

/* How values of a type become keys. */
typedef enum CategoryForm
{
	CATEGORY_NONE,				/* they do not */
	CATEGORY_TEXT,				/* text, in UTF-8 */
	CATEGORY_OUTPUT,			/* as the type writes them, always alike */
	CATEGORY_TIME,				/* ISO 8601, in UTC */
	CATEGORY_INTERVAL,			/* months, days and microseconds */
	CATEGORY_BYTES,				/* hexadecimal */
	CATEGORY_FLOAT,				/* the shortest that reads back the same */
	CATEGORY_NUMERIC			/* without trailing zeros */
} CategoryForm;

extern CategoryForm lbrec_category_form(Oid type);
extern const char *lbrec_category_key(Oid type, CategoryForm form,
									  Datum value, uint32 *len);

#endif							/* LBREC_LISTENS_CATEGORIES_H */
