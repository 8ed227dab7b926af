/*
 * categories.c
 *		Turns a value of a further column into the bytes of its key.
 *
 * A model stores keys, and a training that continues it, in another session or
 * another database, must turn the same value into the same key.  How
 * PostgreSQL writes dates, intervals, floating-point numbers and bytes depends
 * on the settings of the session (DateStyle, TimeZone, IntervalStyle,
 * extra_float_digits, bytea_output), and text on the encoding of the database.
 * So these types have their own form here, and a type is refused unless its
 * form is known to be fixed.
 */
#include "pg/listens/categories.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* Types whose output does not depend on any setting. */
static const Oid plain_types[] = {
	BOOLOID, CHAROID, NAMEOID, INT2OID, INT4OID, INT8OID, OIDOID, UUIDOID,
	JSONOID, JSONBOID, INETOID, CIDROID, MACADDROID, MACADDR8OID, BITOID,
	VARBITOID, INT4RANGEOID, INT8RANGEOID, NUMRANGEOID
};

/* Returns how values of a type, which must not be a domain, become keys. */
CategoryForm
lbrec_category_form(Oid type)
{
	Oid			output;
	bool		varlena;

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return CATEGORY_TEXT;
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return CATEGORY_TIME;
		case INTERVALOID:
			return CATEGORY_INTERVAL;
		case BYTEAOID:
			return CATEGORY_BYTES;
		case FLOAT4OID:
		case FLOAT8OID:
			return CATEGORY_FLOAT;
		case NUMERICOID:
			return CATEGORY_NUMERIC;
		default:
			break;
	}
	for (int i = 0; i < lengthof(plain_types); i++)
		if (plain_types[i] == type)
			return CATEGORY_OUTPUT;
	if (type_is_enum(type))
		return CATEGORY_OUTPUT;
	/* a type that is text under another name, such as citext */
	getTypeOutputInfo(type, &output, &varlena);
	return output == F_TEXTOUT ? CATEGORY_TEXT : CATEGORY_NONE;
}

/*
 * Returns text in UTF-8; if the database names no encoding, the bytes
 * unchanged.
 */
static const char *
utf8(const char *text, uint32 *len)
{
	const char *converted;

	if (GetDatabaseEncoding() == PG_UTF8 ||
		GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	converted = pg_server_to_any(text, *len, PG_UTF8);
	if (converted != text)
		*len = strlen(converted);
	return converted;
}

static const char *
float_text(Oid type, Datum value)
{
	char	   *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);
	double		d = type == FLOAT4OID ? DatumGetFloat4(value) :
	DatumGetFloat8(value);

	/* turns negative zero into the zero that it equals */
	if (type == FLOAT4OID)
		float_to_shortest_decimal_buf((float) d + 0.0f, text);
	else
		double_to_shortest_decimal_buf(d + 0.0, text);
	return text;
}

/*
 * Returns the bytes of a value's key, and their number.  They lie in the value
 * itself or in the current memory context.
 */
const char *
lbrec_category_key(Oid type, CategoryForm form, Datum value, uint32 *len)
{
	const char *text = NULL;
	const int	utc = 0;
	const Interval *interval;
	struct varlena *bytes;
	Oid			output;
	bool		varlena;

	switch (form)
	{
		case CATEGORY_TEXT:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			*len = VARSIZE_ANY_EXHDR(bytes);
			return utf8(VARDATA_ANY(bytes), len);
		case CATEGORY_OUTPUT:
			getTypeOutputInfo(type, &output, &varlena);
			text = OidOutputFunctionCall(output, value);
			*len = strlen(text);
			return utf8(text, len);
		case CATEGORY_TIME:
			text = JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, type,
									  &utc);
			break;
		case CATEGORY_INTERVAL:
			interval = DatumGetIntervalP(value);
			text = psprintf("%d months %d days " INT64_FORMAT " us",
							interval->month, interval->day, interval->time);
			break;
		case CATEGORY_BYTES:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			{
				char	   *hex = palloc_extended((Size) VARSIZE_ANY_EXHDR(bytes) * 2 + 1,
												  MCXT_ALLOC_HUGE);

				*len = hex_encode(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
								  hex);
				return hex;
			}
		case CATEGORY_FLOAT:
			text = float_text(type, value);
			break;
		case CATEGORY_NUMERIC:
			text = numeric_normalize(DatumGetNumeric(value));
			break;
		case CATEGORY_NONE:
			elog(ERROR, "type %u is not that of a category", type);
	}
	*len = strlen(text);
	return text;
}
