/*
 * cv_split.c
 *		Cuts a member's bytes into pieces: lines, CSV records, or JSON values.
 *
 * A piece is passed on in place; only one that crosses blocks is copied.  JSON
 * values are found by counting brackets outside strings, which needs no parser
 * and no more memory than one value: an export may be one array of any length.
 * If the text is an array, or several appended, its elements are the values;
 * else the values stand side by side.
 */
#include "cv_split.h"

#include <string.h>

/* Bytes of an overlong piece that are kept for the rejects. */
#define KEPT ((size_t) 64 << 10)

/* A longer quoted field must have lost its closing quote. */
#define MAX_QUOTED 65536

void
cv_split_begin(CvSplit *split, CvCut cut, const char *key)
{
	split->cut = cut;
	split->at = 0;
	split->carry.len = 0;
	split->open = false;
	split->too_long = false;
	split->in_string = false;
	split->since = 0;
	split->field_begins = true;
	split->key = key;
	split->depth = 0;
	split->base = key != NULL ? -1 : 0;
	split->escaped = false;
	split->matched = 0;
	split->key_seen = false;
}

static void
carry_part(CvSplit *split, int64_t offset, const char *part, size_t len)
{
	if (!split->open)
	{
		split->open = true;
		split->carry_at = offset;
	}
	if (split->too_long)
		return;
	if (split->carry.len + len <= CV_MAX_LINE)
	{
		cv_buf_add(&split->carry, part, len);
		return;
	}
	split->too_long = true;
	if (split->carry.len < KEPT)
		cv_buf_add(&split->carry, part, KEPT - split->carry.len);
	split->carry.len = KEPT;
}

static bool
end_carried(CvSplit *split)
{
	bool		ok;

	cv_buf_reserve(&split->carry, CV_PADDING);
	memset(split->carry.data + split->carry.len, 0, CV_PADDING);
	ok = split->piece(split->arg, split->carry_at, split->carry.data,
					  split->carry.len, split->too_long);
	split->carry.len = 0;
	split->open = false;
	split->too_long = false;
	return ok;
}

static bool
end_piece(CvSplit *split, const char *data, const char *piece,
		  const char *end)
{
	int64_t		offset = split->at + (piece - data);

	if (!split->open && (size_t) (end - piece) <= CV_MAX_LINE)
		return split->piece(split->arg, offset, piece, (size_t) (end - piece),
							false);
	carry_part(split, offset, piece, (size_t) (end - piece));
	return end_carried(split);
}

static bool
split_lines(CvSplit *split, const char *data, size_t len)
{
	const char *p = data;
	const char *end = data + len;

	while (p < end)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));

		if (newline == NULL)
		{
			carry_part(split, split->at + (p - data), p, (size_t) (end - p));
			break;
		}
		if (!end_piece(split, data, p, newline))
			return false;
		p = newline + 1;
	}
	return true;
}

/*
 * Newlines between the quotes of a field belong to it.  Only quotes at a
 * field's ends count.
 */
static bool
split_records(CvSplit *split, const char *data, size_t len)
{
	const char *end = data + len;
	const char *piece = data;
	const char *p = data;

	for (; p < end; p++)
	{
		if (split->in_string && ++split->since > MAX_QUOTED)
			split->in_string = false;
		if (*p == '"' && (split->field_begins || split->in_string))
		{
			/* A doubled quote ends the field and reopens it. */
			split->in_string = !split->in_string;
			split->since = 0;
			split->field_begins = !split->in_string;
			continue;
		}
		split->field_begins = *p == ',' || *p == '\t' || *p == '\n';
		if (*p != '\n' || split->in_string)
			continue;
		if (!end_piece(split, data, piece, p))
			return false;
		piece = p + 1;
	}
	if (piece < end)
		carry_part(split, split->at + (piece - data), piece,
				   (size_t) (end - piece));
	return true;
}

/* Handles a byte of a string outside the values: it may be the array's key. */
static void
match_key(CvSplit *split, char c)
{
	size_t		key_len = strlen(split->key);

	if (split->matched < key_len && split->key[split->matched] == c)
		split->matched++;
	else
		split->matched = key_len + 1;
}

/*
 * Handles a byte between values: commas, white space and the array's brackets.
 * Any other byte begins a value; garbage ends at the next comma.
 */
static bool
split_values(CvSplit *split, const char *data, size_t len)
{
	const char *end = data + len;
	const char *piece = split->open ? data : NULL;
	const char *p = data;

	if (split->at == 0 && len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p < end; p++)
	{
		bool		waits = split->base < 0;

		if (split->in_string)
		{
			if (split->escaped)
				split->escaped = false;
			else if (*p == '\\')
				split->escaped = true;
			else if (*p == '"')
			{
				split->in_string = false;
				split->key_seen = waits && split->depth == 1 &&
					split->matched == strlen(split->key);
				continue;
			}
			if (waits)
				match_key(split, *p);
			continue;
		}
		if (waits)
		{
			if (*p == '"')
			{
				split->in_string = true;
				split->matched = 0;
			}
			else if (*p == '{' || *p == '[')
			{
				split->depth++;
				if (*p == '[' && split->key_seen)
					split->base = split->depth;
				split->key_seen = false;
			}
			else if ((*p == '}' || *p == ']') && split->depth > 0)
				split->depth--;
			else if (*p == ',')
				split->key_seen = false;
			continue;
		}
		if (piece == NULL)
		{
			if (*p == ']' && split->depth == split->base && split->base > 0)
			{
				/* The array ends; another one may follow. */
				split->depth--;
				split->base = split->key != NULL ? -1 : 0;
				split->key_seen = false;
				continue;
			}
			if (memchr(" \t\r\n,]\0", *p, 7) != NULL)
				continue;
			if (*p == '[' && split->base == 0)
			{
				split->base = split->depth = 1;
				continue;
			}
			piece = p;
		}
		if (*p == '"')
			split->in_string = true;
		else if (*p == '{' || *p == '[')
			split->depth++;
		else if ((*p == '}' || *p == ']') && split->depth > split->base)
		{
			if (--split->depth > split->base)
				continue;
			if (!end_piece(split, data, piece, p + 1))
				return false;
			piece = NULL;
		}
		else if (split->depth == split->base && (*p == ',' || *p == ']'))
		{
			if (!end_piece(split, data, piece, p))
				return false;
			piece = NULL;
			p -= *p == ']';
		}
	}
	if (piece != NULL)
		carry_part(split, split->at + (piece - data), piece,
				   (size_t) (end - piece));
	return true;
}

bool
cv_split_data(CvSplit *split, const char *data, size_t len)
{
	bool		ok = split->cut == CV_CUT_VALUES
		? split_values(split, data, len)
		: split->cut == CV_CUT_RECORDS ? split_records(split, data, len)
		: split_lines(split, data, len);

	split->at += (int64_t) len;
	return ok;
}

bool
cv_split_end(CvSplit *split)
{
	return !split->open || end_carried(split);
}
