/*
 * cv_split.c
 *		A member's bytes to pieces: lines, or the elements of a JSON array.
 *
 * A piece is given where it lies in its block; only one that crosses blocks
 * is copied.  Elements are found by counting brackets outside strings, which
 * needs no parser and no more memory than one element: a Spotify export's
 * files are arrays of any length.
 */
#include "cv_split.h"

#include <string.h>

/* Of a piece that is too long, this much is kept for the rejects. */
#define KEPT ((size_t) 64 << 10)

void
cv_split_begin(CvSplit *split, bool elements)
{
	split->elements = elements;
	split->at = 0;
	split->carry.len = 0;
	split->open = false;
	split->too_long = false;
	split->depth = 0;
	split->in_string = false;
	split->escaped = false;
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
 * Between elements there are commas, white space and the array's brackets;
 * anything else begins an element, that of garbage ends at the next comma.
 */
static bool
split_elements(CvSplit *split, const char *data, size_t len)
{
	const char *end = data + len;
	const char *piece = split->open ? data : NULL;
	const char *p = data;

	if (split->at == 0 && len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p < end; p++)
	{
		bool		ends = false;

		if (split->in_string)
		{
			if (split->escaped)
				split->escaped = false;
			else if (*p == '\\')
				split->escaped = true;
			else if (*p == '"')
				split->in_string = false;
			continue;
		}
		if (piece == NULL)
		{
			if (memchr(" \t\r\n,]\0", *p, 7) != NULL)
				continue;
			if (*p == '[' && split->depth == 0)
			{
				split->depth = 1;
				continue;
			}
			piece = p;
		}
		if (*p == '"')
			split->in_string = true;
		else if (*p == '{' || *p == '[')
			split->depth++;
		else if ((*p == '}' || *p == ']') && split->depth > 1)
			ends = --split->depth == 1;
		else if (split->depth <= 1 && (*p == ',' || *p == ']'))
		{
			if (!end_piece(split, data, piece, p))
				return false;
			piece = NULL;
		}
		if (ends)
		{
			if (!end_piece(split, data, piece, p + 1))
				return false;
			piece = NULL;
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
	bool		ok = split->elements ? split_elements(split, data, len)
		: split_lines(split, data, len);

	split->at += (int64_t) len;
	return ok;
}

bool
cv_split_end(CvSplit *split)
{
	return !split->open || end_carried(split);
}
