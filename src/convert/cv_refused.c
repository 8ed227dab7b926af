/*
 * cv_refused.c
 *		Formats that are known but not read, each with a hint.
 */
#include "cv_format.h"

#include <string.h>
#include <strings.h>

static bool
detect_parquet(const CvHead *head)
{
	return head->len >= 4 && memcmp(head->data, "PAR1", 4) == 0;
}

/* True for an empty file, alone or in place of an archive. */
static bool
detect_nothing(const CvHead *head)
{
	static const char *const ends[] = {".zst", ".xz", ".gz", ".bz2", ".lzma",
		".lz4", ".tar", ".zip", ".tgz", ".tzst"};

	if (head->len > 0)
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (cv_head_named(head, ends[i]))
			return true;
	return !head->archive;
}

static bool
detect_utf16(const CvHead *head)
{
	return head->len >= 2 && (memcmp(head->data, "\xff\xfe", 2) == 0 ||
							  memcmp(head->data, "\xfe\xff", 2) == 0);
}

static bool
detect_packed(const CvHead *head)
{
	return (head->len >= 6 && memcmp(head->data, "7z\xbc\xaf\x27\x1c", 6) == 0) ||
		(head->len >= 4 && memcmp(head->data, "Rar!", 4) == 0);
}

static bool
detect_html(const CvHead *head)
{
	return head->text_len >= 9 &&
		(strncasecmp(head->text, "<!doctype", 9) == 0 ||
		 strncasecmp(head->text, "<html", 5) == 0 ||
		 strncasecmp(head->text, "<?xml", 5) == 0);
}

static bool
detect_spotify_account(const CvHead *head)
{
	return cv_head_begins(head, "[") && cv_head_holds(head, "\"endTime\"") &&
		cv_head_holds(head, "\"msPlayed\"");
}

static bool
detect_youtube(const CvHead *head)
{
	return cv_head_begins(head, "[") && cv_head_holds(head, "\"titleUrl\"") &&
		cv_head_holds(head, "YouTube");
}

static bool
detect_rockbox(const CvHead *head)
{
	return cv_head_begins(head, "# Rockbox playback log");
}

const CvFormat cv_format_parquet = {
	.name = "Parquet, of which ListenBrainz's spark dump is made",
	.role = CV_ROLE_FATAL, .detect = detect_parquet,
	.hint = "Download listenbrainz-listens-dump-...-full.tar.zst from the "
	"same place: it has the same listens, one JSON line each."
};

const CvFormat cv_format_nothing = {
	.name = "empty", .role = CV_ROLE_REFUSED, .detect = detect_nothing,
	.hint = "The download or the program before has failed: see its message, "
	"and try again."
};

const CvFormat cv_format_utf16 = {
	.name = "text in UTF-16", .role = CV_ROLE_REFUSED, .detect = detect_utf16,
	.hint = "Convert it first: iconv -f UTF-16 -t UTF-8 FILE | lbrec-convert "
	"... -"
};

const CvFormat cv_format_packed = {
	.name = "a 7-Zip or RAR archive", .role = CV_ROLE_REFUSED,
	.detect = detect_packed,
	.hint = "Unpack it, and give the folder."
};

const CvFormat cv_format_html = {
	.name = "a web page or XML", .role = CV_ROLE_LEFT, .detect = detect_html,
	.hint = "The download may have given an error message: look at the file, "
	"and download it again."
};

const CvFormat cv_format_spotify_account = {
	.name = "Spotify's account data, which has neither albums nor exact times",
	.role = CV_ROLE_REFUSED, .detect = detect_spotify_account,
	.hint = "Ask Spotify for your extended streaming history, on the same "
	"page of your account, and give that."
};

const CvFormat cv_format_youtube = {
	.name = "YouTube's watch history, which names videos and no tracks",
	.role = CV_ROLE_REFUSED, .detect = detect_youtube,
	.hint = "Import it into ListenBrainz, then give your export from there."
};

const CvFormat cv_format_rockbox = {
	.name = "Rockbox's playback log, which names files and no tracks",
	.role = CV_ROLE_REFUSED, .detect = detect_rockbox,
	.hint = "Let Rockbox's plugin \"lastfm_scrobbler\" make a .scrobbler.log "
	"of it, and give that."
};
