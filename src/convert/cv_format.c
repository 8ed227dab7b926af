/*
 * cv_format.c
 *		The list of formats, and the choice of a member's format.
 *
 * Content decides.  Names help only where content cannot: a dump's TIMESTAMP
 * may be any text, and a .listens file stays one if its first line is damaged.
 */
#include "cv_format.h"

#include <string.h>

/*
 * Formats are tried in this order; the first one whose detect() is true wins.
 */
extern const CvFormat cv_format_parquet,
			cv_format_utf16,
			cv_format_packed,
			cv_format_html,
			cv_format_nothing;
extern const CvFormat cv_format_schema,
			cv_format_timestamp,
			cv_format_start,
			cv_format_end_time,
			cv_format_user;
extern const CvFormat cv_format_empty,
			cv_format_pages,
			cv_format_array,
			cv_format_named_listens,
			cv_format_listens,
			cv_format_any_lines;
extern const CvFormat cv_format_spotify_video,
			cv_format_spotify,
			cv_format_spotify_account,
			cv_format_youtube,
			cv_format_maloja,
			cv_format_pano;
extern const CvFormat cv_format_scrobbler,
			cv_format_rockbox,
			cv_format_redirect,
			cv_format_canonical,
			cv_format_csv;
extern const CvFormat cv_format_feedback,
			cv_format_dump_feedback;
extern const CvFormat cv_format_rest,
			cv_format_unknown;

static const CvFormat *const formats[] = {
	&cv_format_parquet, &cv_format_schema, &cv_format_timestamp,
	&cv_format_start, &cv_format_end_time, &cv_format_utf16,
	&cv_format_packed, &cv_format_empty, &cv_format_nothing,
	&cv_format_pages, &cv_format_array,
	&cv_format_dump_feedback, &cv_format_feedback,
	&cv_format_named_listens, &cv_format_spotify_video, &cv_format_spotify,
	&cv_format_spotify_account, &cv_format_youtube, &cv_format_maloja,
	&cv_format_pano, &cv_format_scrobbler, &cv_format_rockbox,
	&cv_format_redirect, &cv_format_canonical, &cv_format_csv,
	&cv_format_listens, &cv_format_user, &cv_format_html, &cv_format_rest,
	&cv_format_any_lines, &cv_format_unknown
};

bool
cv_head_holds(const CvHead *head, const char *part)
{
	return memmem(head->text, head->text_len, part, strlen(part)) != NULL;
}

bool
cv_head_line_holds(const CvHead *head, const char *part)
{
	return memmem(head->text, head->line_len, part, strlen(part)) != NULL;
}

bool
cv_head_begins(const CvHead *head, const char *part)
{
	size_t		len = strlen(part);

	return head->text_len >= len && memcmp(head->text, part, len) == 0;
}

bool
cv_head_named(const CvHead *head, const char *end)
{
	size_t		len = strlen(head->base);
	size_t		end_len = strlen(end);

	return len >= end_len && strcmp(head->base + len - end_len, end) == 0;
}

static bool
detect_rest(const CvHead *head)
{
	return head->archive;
}

static bool
detect_unknown(const CvHead *head)
{
	(void) head;
	return true;
}

/* Files that lie beside listens: licences, statistics, pictures. */
const CvFormat cv_format_rest = {
	.name = "something else", .role = CV_ROLE_LEFT, .detect = detect_rest
};

const CvFormat cv_format_unknown = {
	.name = "neither an archive nor listens", .role = CV_ROLE_REFUSED,
	.detect = detect_unknown,
	.hint = "lbrec-convert reads ListenBrainz's listens dumps, a user's "
	"export, answers of its API and exports of other services; lbrec-convert "
	"--help lists them."
};

const CvFormat *
cv_format_of(const char *name, bool archive, const char *data, size_t len,
			 CvHead *head)
{
	const char *slash = strrchr(name, '/');
	const char *end = data + len;
	const char *newline;

	memset(head, 0, sizeof(*head));
	head->name = name;
	head->base = slash != NULL ? slash + 1 : name;
	head->archive = archive;
	head->data = head->text = data;
	head->len = len;
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		head->text += 3;
	while (head->text < end && *head->text != '\0' &&
		   strchr(" \t\r\n", *head->text) != NULL)
		head->text++;
	head->text_len = (size_t) (end - head->text);
	newline = memchr(head->text, '\n', head->text_len);
	head->line_len = newline != NULL ? (size_t) (newline - head->text)
		: head->text_len;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i]->detect(head))
			return formats[i];
	return &cv_format_unknown;
}
