/*
 * part_values.c
 *		Checks the values of a model's arrays by the rules in the table of
 *		parts.c.
 */
#include "pg/model/part_values.h"

#include <math.h>

#include "pg/model/parts.h"
#include "pg/server/time.h"

/* True if no float is infinite or NaN; the loop has no branch. */
static bool
all_finite(const char *data, Size n)
{
	uint32		worst = 0;

	for (Size i = 0; i < n; i++)
	{
		uint32		bits;

		memcpy(&bits, data + i * sizeof(bits), sizeof(bits));
		bits &= 0x7f800000;
		worst = Max(worst, bits);
	}
	return worst < 0x7f800000;
}

static const char *
check_floats(const StoredPart *part, PartValues *seen, const char *data,
			 Size n)
{
	bool		plain = part->check != CHECK_NUMBERS;

	if (plain && !all_finite(data, n))
		return "It has a number that is not finite.";
	for (Size i = 0; part->check != CHECK_FINITE && i < n; i++)
	{
		float		value;

		memcpy(&value, data + i * sizeof(value), sizeof(value));
		if (isinf(value))
			return "It has a number that is infinite.";
		if (part->check == CHECK_COUNTS && value < 0)
			return "It has a number below 0.";
		if (part->check == CHECK_ASCENDING && seen->n + i > 0 &&
			!(value > seen->previous))
			return "Its numbers do not ascend.";
		seen->previous = value;
	}
	return NULL;
}

/* Counts are summed as doubles, which are exact up to this. */
#define MAX_COUNT (INT64CONST(1) << 53)

/* Limit of a row between two offsets: a key's bytes, or a list's codes. */
#define MAX_ROW_LENGTH (1 << 28)

/* Limit for weeks since 1970 of a time in microseconds. */
#define MAX_WEEK (1 << 24)

static const char *
check_integers(const StoredPart *part, PartValues *seen, const char *data,
			   Size n, bool wide)
{
	for (Size i = 0; i < n; i++)
	{
		int64		value;
		int32		narrow;
		bool		odd = (seen->n + i) % 2 == 1;

		if (wide)
			memcpy(&value, data + i * sizeof(value), sizeof(value));
		else
		{
			memcpy(&narrow, data + i * sizeof(narrow), sizeof(narrow));
			value = narrow;
		}
		if (seen->n + i == 0)
			seen->first = seen->least = seen->most = value;
		else if (part->check == CHECK_OFFSETS &&
				 (value < seen->last || value - seen->last > MAX_ROW_LENGTH))
			return "Its offsets do not ascend, or too far.";
		if (part->check == CHECK_COUNTS)
		{
			if (value < 0 || value > MAX_COUNT)
				return "It has a count that is out of range.";
			seen->above += value >= part->beyond;
		}
		if (part->check == CHECK_WEEKS &&
			(odd ? value < 1 : value < -MAX_WEEK || value > MAX_WEEK))
			return "It has a week or a number of listens that is out of range.";
		if (part->check == CHECK_TIMES && value != PG_INT64_MIN &&
			(value < LBREC_FIRST_TIME || value > LBREC_LAST_TIME))
			return "It has a time that is out of range.";
		seen->last = value;
		seen->least = Min(seen->least, value);
		seen->most = Max(seen->most, value);
	}
	return NULL;
}

/*
 * Checks the next whole rows of an array.  Returns the problem, or NULL.
 * lbrec_check_part() compares with other arrays when all are seen.
 */
const char *
lbrec_check_values(const StoredPart *part, PartValues *seen, const char *data,
				   Size bytes)
{
	const char *wrong = NULL;
	Size		n = bytes;

	switch (part->shape.type)
	{
		case TENSOR_FLOAT4:
			n = bytes / sizeof(float);
			if (part->check != CHECK_NONE)
				wrong = check_floats(part, seen, data, n);
			break;
		case TENSOR_INT4:
			n = bytes / sizeof(int32);
			wrong = check_integers(part, seen, data, n, false);
			break;
		case TENSOR_INT8:
			n = bytes / sizeof(int64);
			wrong = check_integers(part, seen, data, n, true);
			break;
		case TENSOR_UUID:
		case TENSOR_BYTES:
			break;
	}
	seen->n += n;
	return wrong;
}

/*
 * Compares array i with the others; returns the problem, or NULL.  All its
 * values were seen, and the shapes of the others are known.
 */
const char *
lbrec_check_part(const StoredParts *parts, const PartValues *seen, int i)
{
	const StoredPart *p = &parts->part[i];
	const StoredPart *vocabulary = p->vocabulary < 0 ? NULL :
	&parts->part[p->vocabulary];
	int64		most = p->beyond;

	if (vocabulary)
		most += vocabulary->check == CHECK_COUNTS ?
			seen[p->vocabulary].above : vocabulary->shape.rows;
	if (p->check == CHECK_OFFSETS && p->cuts >= 0)
	{
		const StoredPart *cut = &parts->part[p->cuts];

		if (seen[i].first != 0 || seen[i].last != cut->shape.rows)
			return psprintf("Its offsets do not ascend from 0 to the %lld rows of \"%s\".",
							(long long) cut->shape.rows, cut->name);
	}
	else if (p->cut_by >= 0 && parts->part[p->cut_by].cuts != i &&
			 p->shape.rows != parts->part[parts->part[p->cut_by].cuts].shape.rows)
		return psprintf("It has another length than \"%s\".",
						parts->part[parts->part[p->cut_by].cuts].name);
	if ((p->check == CHECK_CODES || p->check == CHECK_KNOWN_CODES) &&
		p->shape.rows > 0 &&
		(seen[i].least < (p->check == CHECK_KNOWN_CODES) ||
		 seen[i].most > most))
		return psprintf("Its codes are from %lld to %lld, outside of the vocabulary.",
						(long long) seen[i].least, (long long) seen[i].most);
	if (p->weight && vocabulary && p->shape.rows != most)
		return psprintf("It has %lld rows instead of %lld.",
						(long long) p->shape.rows, (long long) most);
	return NULL;
}
