/*
 * cv_base.c
 *		Messages, memory and the names of the reject reasons.
 */
#include "cv.h"
#include "cv_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool		cv_quiet = false;

/*
 * True if the last message was suppressed: its detail and hint then are, too.
 */
static bool left_out;

const char *
cv_reason_name(CvReason reason)
{
	static const char *const names[CV_REASONS] = {
		"listen", "json", "encoding", "user", "time", "msid", "artist", "track"
	};

	return names[reason];
}

/*
 * True for code points to replace: C1 controls, invisible marks, and marks
 * that turn the direction of the text after them.
 */
static bool
is_hidden(unsigned c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0xad || c == 0x61c ||
		(c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
		(c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void
cv_make_printable(char *text)
{
	char	   *out = text;
	const char *end = text + strlen(text);

	for (const char *p = text; p < end;)
	{
		size_t		len = cv_utf8_length(p, end);
		unsigned	c = (unsigned char) *p;

		if (len > 1)
			c &= 0x7fu >> len;
		for (size_t i = 1; i < len; i++)
			c = c << 6 | ((unsigned char) p[i] & 0x3f);
		if (len == 1 && (c == '\n' || c == '\t'))
			*out++ = ' ';
		else if (len == 0 || c < 0x20 || c == 0x7f || is_hidden(c))
			*out++ = '?';
		else
		{
			memmove(out, p, len);
			out += len;
		}
		p += len > 0 ? len : 1;
	}
	*out = '\0';
}

/*
 * Names of members come from an archive that anyone may have made: an escape
 * sequence in one must not reach the terminal.
 */
static void
print_line(const char *prefix, const char *format, va_list args)
{
	char		text[2048];

	vsnprintf(text, sizeof(text), format, args);
	/* libpq's messages end with a newline; some have two lines */
	for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
		text[n - 1] = '\0';
	cv_make_printable(text);
	/* A single call keeps the lines of two threads apart. */
	fprintf(stderr, "%s%s\n", prefix, text);
}

void
cv_message(const char *severity, const char *format,...)
{
	char		prefix[64];
	va_list		args;

	left_out = cv_quiet && strcmp(severity, "error") != 0;
	if (left_out)
		return;
	snprintf(prefix, sizeof(prefix), "lbrec-convert: %s: ", severity);
	va_start(args, format);
	print_line(prefix, format, args);
	va_end(args);
}

void
cv_detail(const char *format,...)
{
	va_list		args;

	if (left_out)
		return;
	va_start(args, format);
	print_line("lbrec-convert: detail: ", format, args);
	va_end(args);
}

void
cv_hint(const char *format,...)
{
	va_list		args;

	if (left_out)
		return;
	va_start(args, format);
	print_line("lbrec-convert: hint: ", format, args);
	va_end(args);
}

static void
out_of_memory(size_t bytes)
{
	cv_error("out of memory: could not get %zu bytes", bytes);
	exit(2);
}

void *
cv_alloc(size_t bytes)
{
	void	   *p = malloc(bytes > 0 ? bytes : 1);

	if (p == NULL)
		out_of_memory(bytes);
	return p;
}

char *
cv_strdup(const char *text)
{
	size_t		bytes = strlen(text) + 1;

	return memcpy(cv_alloc(bytes), text, bytes);
}

void
cv_buf_reserve(CvBuf *buf, size_t more)
{
	size_t		cap = buf->cap > 0 ? buf->cap : 256;

	if (buf->len + more <= buf->cap)
		return;

	/*
	 * Grows by half, not by two: the buffer of the longest line counts
	 * against the 200 MiB.
	 */
	while (cap < buf->len + more)
		cap += cap / 2;
	buf->data = realloc(buf->data, cap);
	if (buf->data == NULL)
		out_of_memory(cap);
	buf->cap = cap;
}

void
cv_buf_add(CvBuf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	cv_buf_reserve(buf, len);
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void
cv_buf_str(CvBuf *buf, const char *text)
{
	cv_buf_add(buf, text, strlen(text));
}

/* Only this function keeps the buffer NUL-terminated; the others do not. */
void
cv_buf_printf(CvBuf *buf, const char *format,...)
{
	va_list		args;
	int			len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	cv_buf_reserve(buf, (size_t) len + 1);
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t) len + 1, format, args);
	va_end(args);
	buf->len += (size_t) len;
}

void
cv_buf_free(CvBuf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}
