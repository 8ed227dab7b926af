/*
 * cv_text.c
 *		UUIDs, times and COPY's text format.
 *
 * The date arithmetic is Howard Hinnant's civil_from_days and days_from_civil
 * (https://howardhinnant.github.io/date_algorithms.html): proleptic Gregorian
 * as PostgreSQL's, no time zone database, no locale.
 */
#include "cv_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int
hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The value of each hexadecimal digit; 0xff marks other characters. */
static uint8_t hex_table[256];

static void __attribute__((constructor))
fill_hex_table(void)
{
	for (int c = 0; c < 256; c++)
		hex_table[c] = (uint8_t) hex_value((unsigned char) c);
}

/* Reads the usual form, 8-4-4-4-12, which nearly every listen has. */
static bool
parse_usual(const char *text, CvUuid *uuid)
{
	static const uint8_t at[16] = {0, 2, 4, 6, 9, 11, 14, 16,
		19, 21, 24, 26, 28, 30, 32, 34};
	uint8_t		bad = 0;

	for (int i = 0; i < 16; i++)
	{
		uint8_t		high = hex_table[(unsigned char) text[at[i]]];
		uint8_t		low = hex_table[(unsigned char) text[at[i] + 1]];

		bad |= high | low;
		uuid->byte[i] = (uint8_t) (high << 4 | low);
	}
	return bad < 16 && text[8] == '-' && text[13] == '-' && text[18] == '-' &&
		text[23] == '-';
}

/*
 * Accepts the spellings of PostgreSQL's uuid type: upper or lower case, braces
 * around, a hyphen after any group of four digits.  Any further character
 * makes it no UUID: some clients glue several together.
 */
bool
cv_uuid_parse(const char *text, size_t len, CvUuid *uuid)
{
	int			digits = 0;

	if (len == 36 && parse_usual(text, uuid))
		return true;
	if (len >= 2 && text[0] == '{' && text[len - 1] == '}')
	{
		text++;
		len -= 2;
	}
	if (len < 32 || len > 39)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		int			value = hex_value((unsigned char) text[i]);

		if (value < 0)
		{
			if (text[i] != '-' || digits == 0 || digits % 4 != 0 ||
				digits == 32 || text[i - 1] == '-')
				return false;
			continue;
		}
		if (digits == 32)
			return false;
		if (digits % 2 == 0)
			uuid->byte[digits / 2] = (uint8_t) (value << 4);
		else
			uuid->byte[digits / 2] |= (uint8_t) value;
		digits++;
	}
	return digits == 32;
}

bool
cv_uuid_is_special(const CvUuid *uuid)
{
	for (int i = 1; i < 16; i++)
		if (uuid->byte[i] != uuid->byte[0])
			return false;
	return uuid->byte[0] == 0 || uuid->byte[0] == 0xff;
}

void
cv_uuid_format(char out[36], const CvUuid *uuid)
{
	static const char hex[] = "0123456789abcdef";
	char	   *p = out;

	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[uuid->byte[i] >> 4];
		*p++ = hex[uuid->byte[i] & 15];
	}
}

/*
 * Years 1 to 9999, the range of ListenBrainz's reader (Python's datetime).  A
 * time in milliseconds falls outside and is rejected, as there.
 */
#define FIRST_SECOND INT64_C(-62135596800)
#define LAST_SECOND INT64_C(253402300799)

bool
cv_time_from_integer(int64_t seconds, int64_t *micros)
{
	if (seconds < FIRST_SECOND || seconds > LAST_SECOND)
		return false;
	*micros = seconds * 1000000;
	return true;
}

bool
cv_time_from_seconds(double seconds, int64_t *micros)
{
	/* Written so that NaN fails, too. */
	if (!(seconds >= (double) FIRST_SECOND &&
		  seconds < (double) LAST_SECOND + 1))
		return false;
	*micros = llround(seconds * 1e6);
	return *micros / 1000000 <= LAST_SECOND;
}

/* Reads a number in a string as Python's float() does; no hex, inf or nan. */
bool
cv_time_from_text(const char *text, size_t len, int64_t *micros)
{
	char		copy[64];
	char	   *end;
	double		value;

	while (len > 0 && (text[0] == ' ' || text[0] == '\t'))
	{
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len == 0 || len >= sizeof(copy))
		return false;
	for (size_t i = 0; i < len; i++)
		if (memchr("0123456789+-.eE", text[i], 15) == NULL)
			return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	value = strtod(copy, &end);
	if (end == copy || *end != '\0')
		return false;
	return cv_time_from_seconds(value, micros);
}

static int64_t
days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t		era;
	unsigned	yoe,
				doy,
				doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned) (y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t) doe - 719468;
}

static bool
two_digits(const char *p, unsigned *value)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*value = (unsigned) ((p[0] - '0') * 10 + (p[1] - '0'));
	return true;
}

/*
 * Reads YYYY-MM-DD[T ]HH:MM[:SS[.f]][Z|+00:00], UTC only: the form of
 * Spotify's exports and of the dumps' TIMESTAMP files.
 */
bool
cv_time_from_iso(const char *text, size_t len, int64_t *micros)
{
	static const uint8_t month_days[] = {31, 29, 31, 30, 31, 30,
		31, 31, 30, 31, 30, 31};
	unsigned	century,
				year,
				month,
				day,
				hour,
				minute,
				second = 0;
	int64_t		fraction = 0;
	size_t		at = 16;

	if (len < 16 || !two_digits(text, &century) ||
		!two_digits(text + 2, &year) || text[4] != '-' ||
		!two_digits(text + 5, &month) || text[7] != '-' ||
		!two_digits(text + 8, &day) || (text[10] != 'T' && text[10] != ' ') ||
		!two_digits(text + 11, &hour) || text[13] != ':' ||
		!two_digits(text + 14, &minute))
		return false;
	year += century * 100;
	if (at + 3 <= len && text[at] == ':')
	{
		if (!two_digits(text + at + 1, &second))
			return false;
		at += 3;
		if (at < len && text[at] == '.')
		{
			int64_t		unit = 100000;

			for (at++; at < len && text[at] >= '0' && text[at] <= '9'; at++)
			{
				fraction += unit * (text[at] - '0');
				unit /= 10;
			}
		}
	}
	len -= at;
	text += at;
	if (!(len == 0 || (len == 1 && text[0] == 'Z') ||
		  (len == 3 && memcmp(text, "+00", 3) == 0) ||
		  (len == 6 && memcmp(text, "+00:00", 6) == 0)))
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
		day > month_days[month - 1] || hour > 23 || minute > 59 || second > 60)
		return false;
	if (month == 2 && day == 29 &&
		(year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	*micros = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) *
		INT64_C(60000000) + second * INT64_C(1000000) + fraction;
	/* A leap second in the last minute would be in the year 10000. */
	return *micros / 1000000 <= LAST_SECOND;
}

bool
cv_time_from_words(const char *text, size_t len, int64_t *micros)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char		iso[] = "YYYY-MM-DD HH:MM";
	const char *end = text + len;
	const char *name;

	if (len < 2 || text[0] < '0' || text[0] > '9')
		return false;
	iso[8] = text[1] == ' ' ? '0' : text[0];
	iso[9] = text[1] == ' ' ? text[0] : text[1];
	text += text[1] == ' ' ? 1 : 2;
	/* what remains is " Apr 2010" and the time */
	if (end - text < 15 || text[0] != ' ' || text[4] != ' ')
		return false;
	for (name = months; *name != '\0' && memcmp(name, text + 1, 3) != 0;)
		name += 3;
	if (*name == '\0')
		return false;
	iso[5] = (char) ('0' + ((name - months) / 3 + 1) / 10);
	iso[6] = (char) ('0' + ((name - months) / 3 + 1) % 10);
	memcpy(iso, text + 5, 4);
	text += text[9] == ',' ? 10 : 9;
	if (end - text != 6 || text[0] != ' ')
		return false;
	memcpy(iso + 11, text + 1, 5);
	return cv_time_from_iso(iso, sizeof(iso) - 1, micros);
}

static void
put_digits(char *out, unsigned value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
	{
		out[i] = (char) ('0' + value % 10);
		value /= 10;
	}
}

static void
civil_from_days(int64_t days, char out[10])
{
	int64_t		era;
	unsigned	doe,
				yoe,
				doy,
				mp,
				month;
	int64_t		year;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = (unsigned) (days - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	month = mp < 10 ? mp + 3 : mp - 9;
	year = (int64_t) yoe + era * 400 + (month <= 2);
	put_digits(out, (unsigned) year, 4);
	out[4] = '-';
	put_digits(out + 5, month, 2);
	out[7] = '-';
	put_digits(out + 8, doy - (153 * mp + 2) / 5 + 1, 2);
}

/* Writes 2014-05-13 16:53:20[.123456]+00 and a NUL; returns the length. */
size_t
cv_time_format(char *out, int64_t micros)
{
	int64_t		seconds = micros / 1000000;
	int64_t		fraction = micros % 1000000;
	int64_t		days;
	unsigned	rest;
	char	   *p;

	if (fraction < 0)
	{
		fraction += 1000000;
		seconds--;
	}
	days = seconds / 86400;
	if (seconds % 86400 < 0)
		days--;
	rest = (unsigned) (seconds - days * 86400);
	civil_from_days(days, out);
	out[10] = ' ';
	put_digits(out + 11, rest / 3600, 2);
	out[13] = ':';
	put_digits(out + 14, rest / 60 % 60, 2);
	out[16] = ':';
	put_digits(out + 17, rest % 60, 2);
	p = out + 19;
	if (fraction != 0)
	{
		*p++ = '.';
		put_digits(p, (unsigned) fraction, 6);
		p += 6;
	}
	memcpy(p, "+00", 4);
	return (size_t) (p + 3 - out);
}

void
cv_copy_int64(CvBuf *buf, int64_t value)
{
	char		digits[24];
	char	   *p = digits + sizeof(digits);
	uint64_t	rest = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;

	do
	{
		*--p = (char) ('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		*--p = '-';
	cv_buf_add(buf, p, (size_t) (digits + sizeof(digits) - p));
}

void
cv_copy_time(CvBuf *buf, int64_t micros)
{
	cv_buf_reserve(buf, CV_TIME_LEN);
	buf->len += cv_time_format(buf->data + buf->len, micros);
}

void
cv_copy_uuid(CvBuf *buf, const CvUuid *uuid)
{
	cv_buf_reserve(buf, 36);
	cv_uuid_format(buf->data + buf->len, uuid);
	buf->len += 36;
}

/*
 * Writes the text of one column and escapes COPY's marks.  A name that reads
 * \N or \.  becomes \\N or \\., so neither means NULL or the end of the data.
 */
void
cv_copy_text(CvBuf *buf, const char *data, size_t len)
{
	char	   *out;

	/* An empty buffer may have no memory to point into. */
	if (len == 0)
		return;
	cv_buf_reserve(buf, 2 * len);
	out = buf->data + buf->len;
	for (size_t i = 0; i < len; i++)
	{
		char		c = data[i];

		if ((unsigned char) c >= 0x20 && c != '\\')
		{
			*out++ = c;
			continue;
		}
		switch (c)
		{
			case '\b':
				c = 'b';
				break;
			case '\f':
				c = 'f';
				break;
			case '\n':
				c = 'n';
				break;
			case '\r':
				c = 'r';
				break;
			case '\t':
				c = 't';
				break;
			case '\v':
				c = 'v';
				break;
			case '\\':
				break;
			default:
				*out++ = c;
				continue;
		}
		*out++ = '\\';
		*out++ = c;
	}
	buf->len = (size_t) (out - buf->data);
}

size_t
cv_utf8_length(const char *p, const char *end)
{
	unsigned char first = (unsigned char) *p;
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t		len;

	if (first < 0x80)
		return first > 0 ? 1 : 0;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if ((size_t) (end - p) < len)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if ((unsigned char) p[1] < low || (unsigned char) p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (((unsigned char) p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/*
 * Writes arbitrary bytes as a column: a byte that text cannot hold becomes
 * \xHH, so that you can load a rejected line and query it.
 */
void
cv_copy_bytes(CvBuf *buf, const char *data, size_t len)
{
	const char *end = data + len;
	const char *start = data;
	const char *p = data;

	while (p < end)
	{
		size_t		step = cv_utf8_length(p, end);

		if (step == 0)
		{
			cv_copy_text(buf, start, (size_t) (p - start));
			cv_buf_printf(buf, "\\\\x%02x", (unsigned char) *p);
			start = p + 1;
			step = 1;
		}
		p += step;
	}
	cv_copy_text(buf, start, (size_t) (p - start));
}
