/*
 * categories.h
 *		Turns a value of a further column into the bytes of its key.
 */
#ifndef LBREC_LISTENS_CATEGORIES_H
#define LBREC_LISTENS_CATEGORIES_H

#include "pg/server/lbrec.h"

/* How values of a type become keys. */
typedef enum CategoryForm
{
	CATEGORY_NONE,				/* values cannot be keys */
	CATEGORY_TEXT,				/* text, in UTF-8 */
	CATEGORY_OUTPUT,			/* the type's output, which is fixed */
	CATEGORY_TIME,				/* ISO 8601, in UTC */
	CATEGORY_INTERVAL,			/* months, days and microseconds */
	CATEGORY_BYTES,				/* hexadecimal */
	CATEGORY_FLOAT,				/* the shortest that reads back as the same
								 * number */
	CATEGORY_NUMERIC			/* without trailing zeros */
} CategoryForm;

extern CategoryForm lbrec_category_form(Oid type);
extern const char *lbrec_category_key(Oid type, CategoryForm form,
									  Datum value, uint32 *len);

#endif							/* LBREC_LISTENS_CATEGORIES_H */
