/*
 * cv_import.c
 *		Derives the parts of a listen that other services' formats lack.
 *
 * Their listens have no MSID.  ListenBrainz would get one from MessyBrainz,
 * which invents a random one for each set of names.  We derive it: a UUID of
 * version 5 (RFC 4122) of the names in lower case, so that the same names are
 * the same recording in every import and on every machine.
 */
#include "cv_import.h"
#include "cv_text.h"

#include <string.h>
#include <uuid/uuid.h>

/* The name space of the MSIDs made here, drawn once at random. */
static const unsigned char name_space[16] = {
	0x5e, 0x0c, 0x3b, 0x8a, 0x41, 0x97, 0x4d, 0x0f,
0x9b, 0x62, 0x1d, 0x7a, 0xc4, 0x35, 0xe8, 0x21};

/*
 * Lowers ASCII only: a locale or a Unicode version must not decide which
 * recording a name means.
 */
static void
add_name(CvBuf *names, const CvText *text)
{
	for (size_t i = 0; i < text->len; i++)
	{
		char		c = text->data[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		cv_buf_add(names, &c, 1);
	}
	cv_buf_add(names, "\n", 1);
}

void
cv_import_msid(CvListen *listen)
{
	CvBuf		names = {0};

	add_name(&names, &listen->artist_name);
	add_name(&names, &listen->track_name);
	add_name(&names, &listen->release_name);
	uuid_generate_sha1(listen->recording_msid.byte, name_space, names.data,
					   names.len);
	cv_buf_free(&names);
}

int64_t
cv_import_user_id(CvText name)
{
	unsigned char digest[16];
	uint64_t	bits = 0;

	uuid_generate_sha1(digest, name_space, name.data, name.len);
	/* Bytes 6 and 8 hold the UUID's version and variant. */
	for (int i = 0; i < 6; i++)
		bits = bits << 8 | digest[i];
	bits = bits << 8 | digest[9];
	bits = bits << 8 | digest[10];
	return -(int64_t) (bits >> 1) - 1;
}

CvReason
cv_import_reject(CvListen *listen, CvReason reason, const char *detail)
{
	listen->detail = detail;
	return reason;
}

static bool
is_bom(const char *p)
{
	return memcmp(p, "\xef\xbb\xbf", 3) == 0;
}

/*
 * Copies a name without byte order marks, which stand inside joined files, and
 * without NULs, which PostgreSQL's text cannot hold.
 */
static void
tidy_name(CvBuf *copies, CvText *name, bool *repaired)
{
	char	   *copy;
	size_t		len = 0;

	while (name->len >= 3 && is_bom(name->data))
	{
		name->data += 3;
		name->len -= 3;
	}
	if (name->len == 0 ||
		(memchr(name->data, '\0', name->len) == NULL &&
		 memmem(name->data, name->len, "\xef\xbb\xbf", 3) == NULL))
		return;
	copy = copies->data + copies->len;
	for (size_t i = 0; i < name->len; i++)
	{
		if (name->data[i] == '\0')
			*repaired = true;
		else if (name->len - i >= 3 && is_bom(name->data + i))
			i += 2;
		else
			copy[len++] = name->data[i];
	}
	copies->len += len;
	name->data = copy;
	name->len = len;
}

CvReason
cv_import_names(CvBuf *copies, CvListen *listen)
{
	copies->len = 0;
	cv_buf_reserve(copies, listen->artist_name.len + listen->track_name.len +
				   listen->release_name.len);
	tidy_name(copies, &listen->artist_name, &listen->repaired);
	tidy_name(copies, &listen->track_name, &listen->repaired);
	tidy_name(copies, &listen->release_name, &listen->repaired);
	if (listen->artist_name.len == 0)
		return cv_import_reject(listen, CV_BAD_ARTIST,
								"the artist is missing");
	if (listen->track_name.len == 0)
		return cv_import_reject(listen, CV_BAD_TRACK, "the track is missing");
	if (listen->release_name.len == 0)
		listen->release_name.data = NULL;
	cv_import_msid(listen);
	return CV_LISTEN;
}

CvText
cv_import_trim(CvText text)
{
	while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
		text.len--;
	return text;
}
