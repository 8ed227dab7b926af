/*
 * validate_rows.c
 *		Checks of a stored model that need more than one chunk at a time.
 *
 * Keys must be unique, a user's recordings and a recording's neighbours must
 * be distinct, and weeks must ascend within a recording.  Arrays are read once
 * more together with their offsets, a chunk of each; keys are sorted, on disk
 * if work_mem is too small.  So the memory for any model is some chunks,
 * work_mem and four bytes a recording.
 */
#include "pg/model/validate.h"

#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

/* Reads an array from its beginning to its end. */
typedef struct Reader
{
	const ModelRow *row;
	const StoredPart *part;
	char	   *buffer;			/* holds one chunk */
	int32		next;			/* number of the next chunk */
	Size		len;
	Size		at;
} Reader;

static void
open_reader(Reader *r, const ModelRow *row, const StoredPart *part)
{
	memset(r, 0, sizeof(Reader));
	r->row = row;
	r->part = part;
	r->buffer = palloc(TENSOR_CHUNK_BYTES);
}

/* Reads the next n bytes, which must exist. */
static void
take(Reader *r, void *out, Size n)
{
	char	   *to = out;

	while (n > 0)
	{
		Size		some = Min(n, r->len - r->at);

		if (some == 0)
		{
			MemoryContext context = CurrentMemoryContext;

			r->len = lbrec_load_chunk(r->row, r->part->name, &r->part->shape,
									  r->next++, r->buffer);
			r->at = 0;
			MemoryContextSwitchTo(context);
			continue;
		}
		memcpy(to, r->buffer + r->at, some);
		r->at += some;
		to += some;
		n -= some;
	}
}

static int64
take_int8(Reader *r)
{
	int64		value;

	take(r, &value, sizeof(value));
	return value;
}

static int32
take_int4(Reader *r)
{
	int32		value;

	take(r, &value, sizeof(value));
	return value;
}

/* True if two of the sorted values are equal. */
static bool
has_twins(Tuplesortstate * sort, const TypeCacheEntry * type)
{
	Datum		previous = (Datum) 0;
	Datum		value;
	bool		isnull;
	bool		first = true;
	bool		found = false;

	tuplesort_performsort(sort);
#if PG_VERSION_NUM >= 160000
	while (!found &&
		   tuplesort_getdatum(sort, true, true, &value, &isnull, NULL))
#else
	while (!found && tuplesort_getdatum(sort, true, &value, &isnull, NULL))
#endif
	{
		CHECK_FOR_INTERRUPTS();
		found = !first &&
			datumIsEqual(previous, value, type->typbyval, type->typlen);
		if (!first && !type->typbyval)
			pfree(DatumGetPointer(previous));
		previous = value;
		first = false;
	}
	return found;
}

/*
 * True if two rows of an array of keys are equal; offsets cut keys of varying
 * length.
 */
static bool
keys_repeat(const ModelRow *row, const StoredPart *keys,
			const StoredPart *offsets)
{
	Oid			oid = keys->shape.type == TENSOR_INT8 ? INT8OID :
	keys->shape.type == TENSOR_UUID ? UUIDOID : BYTEAOID;
	TypeCacheEntry *type = lookup_type_cache(oid, TYPECACHE_LT_OPR);
	Tuplesortstate *sort = tuplesort_begin_datum(oid, type->lt_opr, InvalidOid,
												 false, work_mem, NULL, 0);
	int64		n = offsets ? offsets->shape.rows - 1 : keys->shape.rows;
	int64		from = 0;
	Reader		key;
	Reader		offset;
	bool		found;

	open_reader(&key, row, keys);
	if (offsets)
	{
		open_reader(&offset, row, offsets);
		from = take_int8(&offset);
	}
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (oid == INT8OID)
			tuplesort_putdatum(sort, Int64GetDatum(take_int8(&key)), false);
		else if (oid == UUIDOID)
		{
			pg_uuid_t	uuid;

			take(&key, &uuid, sizeof(uuid));
			tuplesort_putdatum(sort, UUIDPGetDatum(&uuid), false);
		}
		else
		{
			int64		to = take_int8(&offset);
			bytea	   *bytes = palloc(VARHDRSZ + (to - from));

			SET_VARSIZE(bytes, VARHDRSZ + (to - from));
			take(&key, VARDATA(bytes), to - from);
			tuplesort_putdatum(sort, PointerGetDatum(bytes), false);
			pfree(bytes);
			from = to;
		}
	}
	found = has_twins(sort, type);
	tuplesort_end(sort);
	return found;
}

/* True if a row contains one of the codes 1 to n twice. */
static bool
codes_repeat(const ModelRow *row, const StoredPart *codes,
			 const StoredPart *offsets, int64 n)
{
	int32	   *seen = palloc_extended((n + 1) * sizeof(int32),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Reader		code;
	Reader		offset;
	int64		at;

	open_reader(&code, row, codes);
	open_reader(&offset, row, offsets);
	at = take_int8(&offset);
	for (int64 r = 1; r < offsets->shape.rows; r++)
		for (int64 end = take_int8(&offset); at < end; at++)
		{
			int32		c = take_int4(&code);

			CHECK_FOR_INTERRUPTS();
			if (seen[c] == r)
				return true;
			seen[c] = (int32) r;
		}
	return false;
}

/* True if weeks ascend within each recording. */
static bool
weeks_ascend(const ModelRow *row, const StoredPart *weeks,
			 const StoredPart *offsets)
{
	Reader		week;
	Reader		offset;
	int64		at;

	open_reader(&week, row, weeks);
	open_reader(&offset, row, offsets);
	at = take_int8(&offset);
	for (int64 r = 1; r < offsets->shape.rows; r++)
	{
		int64		previous = PG_INT64_MIN;

		for (int64 end = take_int8(&offset); at < end; at++)
		{
			int32		value = take_int4(&week);

			CHECK_FOR_INTERRUPTS();
			(void) take_int4(&week);
			if (value <= previous)
				return false;
			previous = value;
		}
	}
	return true;
}

/*
 * Checks the rows of a model that passed lbrec_validator_end(); arrays with a
 * reported problem are skipped.  Called within SPI.
 */
void
lbrec_validate_rows(Validator *v, const ModelRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(context, "lbrec rows",
											   ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; v->parts && i < v->parts->n; i++)
	{
		const StoredPart *p = &v->parts->part[i];
		const StoredPart *cut_by = p->cut_by < 0 ? NULL :
		&v->parts->part[p->cut_by];

		if (!v->found[i] || v->broken[i] ||
			(cut_by && (!v->found[p->cut_by] || v->broken[p->cut_by])))
			continue;
		MemoryContextSwitchTo(each);
		if (p->unique && keys_repeat(row, p, cut_by))
			lbrec_report_part(v, i, TWO_ALIKE);
		if (p->check == CHECK_KNOWN_CODES &&
			codes_repeat(row, p, cut_by, row->n_recordings))
			lbrec_report_part(v, i, "A row of it has a code twice.");
		if (p->check == CHECK_WEEKS && !weeks_ascend(row, p, cut_by))
			lbrec_report_part(v, i, "The weeks of a recording do not ascend.");
		MemoryContextSwitchTo(context);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
}
