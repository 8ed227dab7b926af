/*
 * key.c
 *		lbrec_key(), lbrec_key_bigint(): turn an application's own numbers and
 *		texts into recordings' keys.
 *
 * The key of a text is the MD5 of its UTF-8 bytes (RFC 1321), whatever the
 * database's encoding, so other programs can compute it too.  The key of an
 * integer is a UUID of version 8 (RFC 9562, section 5.8), which leaves its
 * bits to the application:
 *
 *		bytes 0-3		"lbrk"
 *		bytes 4-5		the integer's upper 16 bits
 *		bytes 6-9		80 00 80 00: version and variant
 *		bytes 10-15		the integer's lower 48 bits
 *
 * lbrec_key_bigint() returns the integer again. No MSID or MBID can be
 * mistaken for one: those have versions 3, 4 and 5.
 */
#include "pg/server/lbrec.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "pg/server/declaration.h"

PG_FUNCTION_INFO_V1(lbrec_key_from_bigint);
PG_FUNCTION_INFO_V1(lbrec_key_from_text);
PG_FUNCTION_INFO_V1(lbrec_key_bigint);

static const unsigned char integer_key[UUID_LEN] =
{'l', 'b', 'r', 'k', 0, 0, 0x80, 0, 0x80, 0};

/* lbrec_key(bigint): the key of an integer */
Datum
lbrec_key_from_bigint(PG_FUNCTION_ARGS)
{
	uint64		bits;
	unsigned char bytes[sizeof(uint64)];
	pg_uuid_t  *key;

	lbrec_check_declaration(fcinfo, 1, 0);
	bits = pg_hton64((uint64) PG_GETARG_INT64(0));
	key = palloc(sizeof(pg_uuid_t));
	memcpy(bytes, &bits, sizeof(bytes));
	memcpy(key->data, integer_key, UUID_LEN);
	memcpy(key->data + 4, bytes, 2);
	memcpy(key->data + 10, bytes + 2, 6);
	PG_RETURN_UUID_P(key);
}

/* lbrec_key(text): the key of a text */
Datum
lbrec_key_from_text(PG_FUNCTION_ARGS)
{
	text	   *t;
	char	   *utf8;
	int			len;
	Datum		bytes;
	Datum		digest;

	lbrec_check_declaration(fcinfo, 1, 0);
	t = PG_GETARG_TEXT_PP(0);
	len = VARSIZE_ANY_EXHDR(t);
	utf8 = pg_server_to_any(VARDATA_ANY(t), len, PG_UTF8);
	if (utf8 != VARDATA_ANY(t))
		len = strlen(utf8);
	bytes = PointerGetDatum(cstring_to_text_with_len(utf8, len));
	digest = DirectFunctionCall1(md5_bytea, bytes);
	return DirectFunctionCall1(uuid_in,
							   CStringGetDatum(TextDatumGetCString(digest)));
}

/* lbrec_key_bigint(uuid): the integer of a key; null if it is no such key */
Datum
lbrec_key_bigint(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *key;
	unsigned char bytes[sizeof(uint64)];
	uint64		bits;

	lbrec_check_declaration(fcinfo, 1, 0);
	key = PG_GETARG_UUID_P(0);
	if (memcmp(key->data, integer_key, 4) != 0 ||
		memcmp(key->data + 6, integer_key + 6, 4) != 0)
		PG_RETURN_NULL();
	memcpy(bytes, key->data + 4, 2);
	memcpy(bytes + 2, key->data + 10, 6);
	memcpy(&bits, bytes, sizeof(bits));
	PG_RETURN_INT64((int64) pg_ntoh64(bits));
}
