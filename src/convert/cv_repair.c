/*
 * cv_repair.c
 *		Parses by hand the lines that simdjson and ListenBrainz read
 *		differently.
 *
 * Lines may be no JSON at all, so both functions assume nothing about them.
 */
#include "cv_repair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool
hex4(const char *p, const char *end, unsigned *value)
{
	*value = 0;
	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		unsigned	c = (unsigned char) p[i];

		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			c = (c | 0x20) - 'a' + 10;
		else
			return false;
		*value = *value * 16 + c;
	}
	return true;
}

/* True if one of the line's \u escapes is half of a surrogate pair. */
bool
cv_repair_has_lone_surrogate(const char *line, size_t len)
{
	const char *end = line + len;
	const char *p = line;

	while ((p = memchr(p, '\\', (size_t) (end - p))) != NULL)
	{
		unsigned	unit,
					low;

		if (end - p < 2)
			return false;
		if (p[1] != 'u')
		{
			p += 2;
			continue;
		}
		if (!hex4(p + 2, end, &unit))
			return false;		/* bad escapes are left to the JSON parser */
		p += 6;
		if (unit < 0xd800 || unit > 0xdfff)
			continue;
		if (unit >= 0xdc00 || end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
			!hex4(p + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
			return true;
		p += 6;
	}
	return false;
}

static bool
is_number_char(char c)
{
	return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' ||
		c == 'e' || c == 'E';
}

/* True if this token is a number in JSON's grammar that fits no type. */
static bool
is_huge_number(const char *token, size_t len)
{
	const char *p = token;
	const char *end = token + len;
	const char *digits;
	bool		integer = true;

	if (p < end && *p == '-')
		p++;
	digits = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	if (p == digits || (*digits == '0' && p - digits > 1))
		return false;
	if (p < end && *p == '.')
	{
		const char *fraction = ++p;

		integer = false;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == fraction)
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		const char *exponent;

		integer = false;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		exponent = p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == exponent)
			return false;
	}
	if (p != end)
		return false;
	if (integer && len >= 19)
		return true;
	/* The shortest such number is 1e309; strtod would read 0x as hex. */
	return len >= 5 && isinf(strtod(token, NULL));
}

/*
 * Copies the line to *out and replaces each number that fits no type.  Returns
 * false if there is none, so the line is bad for another reason.
 */
bool
cv_repair_numbers(CvBuf *out, const char *line, size_t len)
{
	bool		found = false;
	bool		in_string = false;
	char	   *copy;

	out->len = 0;
	cv_buf_add(out, line, len);
	cv_buf_reserve(out, CV_PADDING);
	copy = out->data;
	memset(copy + len, 0, CV_PADDING);
	for (size_t i = 0; i < len; i++)
	{
		size_t		start = i;

		if (in_string)
		{
			if (copy[i] == '\\')
				i++;
			else if (copy[i] == '"')
				in_string = false;
			continue;
		}
		if (copy[i] == '"')
			in_string = true;
		if (copy[i] != '-' && (copy[i] < '0' || copy[i] > '9'))
			continue;
		while (i < len && is_number_char(copy[i]))
			i++;
		if (is_huge_number(copy + start, i - start))
		{
			/*
			 * Blanks the sign and all digits; the shortest huge number is
			 * 1e309.
			 */
			memset(copy + start, ' ', i - start);
			memcpy(copy + start, "9e99", 4);
			found = true;
		}
		i--;
	}
	return found;
}
