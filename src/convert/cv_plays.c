/*
 * cv_plays.c
 *		Plays of other services in JSON: Spotify, Maloja, Pano Scrobbler.
 *
 * As ListenBrainz's importers (background/listens_importer) take them.
 */
#include "cv_member.h"

#include <string.h>

/* --- Spotify's extended streaming history ------------------------------- */

static bool
detect_spotify(const CvHead *head)
{
	return cv_head_begins(head, "[") &&
		cv_head_holds(head, "\"master_metadata_track_name\"") &&
		cv_head_holds(head, "\"ts\"");
}

/* Only the file's name distinguishes this format. */
static bool
detect_spotify_video(const CvHead *head)
{
	return strstr(head->base, "Video") != NULL && detect_spotify(head);
}

/*
 * True if ListenBrainz's importer takes the play: not in private mode, and not
 * broken off within 30 seconds.
 */
static bool
was_listened(const CvField *incognito, const CvField *skipped,
			 const CvField *played, const CvField *end)
{
	static const char *const breaks[] = {
		"fwdbtn", "backbtn", "clickrow", "clickside", "endplay", "playbtn",
		"remote", "logout", "popup", "trackerror", "unexpected-exit",
	"unexpected-exit-while-paused", "unknown"};

	if (incognito->truth)
		return false;
	if (played->number >= 30000)
		return true;
	/* The importer, too, takes a null reason for a break. */
	if (skipped->truth || end->kind == CV_FIELD_NULL)
		return false;
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++)
		if (end->kind == CV_FIELD_TEXT &&
			end->text.len == strlen(breaks[i]) &&
			memcmp(end->text.data, breaks[i], end->text.len) == 0)
			return false;
	return true;
}

static CvReason
read_spotify(Run *run, const char *text, size_t len, CvListen *listen)
{
	enum
	{
		TS, ARTIST, TRACK, ALBUM, URI, PLAYED, INCOGNITO, SKIPPED, END, N
	};
	static const char *const names[N] = {
		"ts", "master_metadata_album_artist_name",
		"master_metadata_track_name", "master_metadata_album_album_name",
		"spotify_track_uri", "ms_played", "incognito_mode", "skipped",
		"reason_end"
	};
	CvField		field[N];
	CvReason	reason = cv_json_fields(run->json, text, len, names, N, field,
										&listen->detail);

	if (reason != CV_LISTEN)
		return reason;
	/* Podcasts and audio books have no track. */
	if (field[URI].kind <= CV_FIELD_NULL ||
		!was_listened(&field[INCOGNITO], &field[SKIPPED], &field[PLAYED],
					  &field[END]))
		return CV_NOT_LISTENED;
	if (!cv_time_from_iso(field[TS].text.data, field[TS].text.len,
						  &listen->listened_at))
		return cv_import_reject(listen, CV_BAD_TIME, "ts is no time");
	listen->artist_name = field[ARTIST].text;
	listen->track_name = field[TRACK].text;
	listen->release_name = field[ALBUM].text;
	return cv_import_names(&run->names, listen);
}

/* --- Maloja ------------------------------------------------------------- */

static bool
detect_maloja(const CvHead *head)
{
	return cv_head_begins(head, "{") && cv_head_holds(head, "\"maloja\"") &&
		cv_head_holds(head, "\"scrobbles\"");
}

static CvReason
read_maloja(Run *run, const char *text, size_t len, CvListen *listen)
{
	static const char *const names[] = {
		"time", "track.artists", "track.title", "track.album.albumtitle"
	};
	CvField		field[4];
	CvReason	reason = cv_json_fields(run->json, text, len, names, 4, field,
										&listen->detail);

	if (reason != CV_LISTEN)
		return reason;
	if (field[0].kind != CV_FIELD_NUMBER ||
		!cv_time_from_seconds(field[0].number, &listen->listened_at))
		return cv_import_reject(listen, CV_BAD_TIME,
								"time is no number of seconds");
	listen->artist_name = field[1].text;
	listen->track_name = field[2].text;
	listen->release_name = field[3].text;
	return cv_import_names(&run->names, listen);
}

/* --- Pano Scrobbler ----------------------------------------------------- */

static bool
detect_pano(const CvHead *head)
{
	return cv_head_begins(head, "{") &&
		cv_head_line_holds(head, "\"timeMs\"") &&
		cv_head_line_holds(head, "\"track\"");
}

static CvReason
read_pano(Run *run, const char *text, size_t len, CvListen *listen)
{
	enum
	{
		TIME, ARTIST, TRACK, ALBUM, EVENT, N
	};
	static const char *const names[N] = {
		"timeMs", "artist", "track", "album", "event"
	};
	CvField		field[N];
	CvReason	reason = cv_json_fields(run->json, text, len, names, N, field,
										&listen->detail);

	if (reason != CV_LISTEN)
		return reason;
	if (field[EVENT].kind == CV_FIELD_TEXT &&
		(field[EVENT].text.len != 8 ||
		 memcmp(field[EVENT].text.data, "scrobble", 8) != 0))
		return CV_NOT_LISTENED;
	if (field[TIME].kind != CV_FIELD_NUMBER ||
		!cv_time_from_seconds(field[TIME].number / 1000,
							  &listen->listened_at))
		return cv_import_reject(listen, CV_BAD_TIME,
								"timeMs is no number of milliseconds");
	listen->artist_name = field[ARTIST].text;
	listen->track_name = field[TRACK].text;
	listen->release_name = field[ALBUM].text;
	return cv_import_names(&run->names, listen);
}

/* --- the formats -------------------------------------------------------- */

static bool
take_spotify(Run *run, const char *text, size_t len)
{
	CvListen	listen = {.user_id = run->defaults.user_id};
	CvReason	reason = read_spotify(run, text, len, &listen);

	return cv_take_listen(run, reason, &listen, text, len);
}

static bool
take_maloja(Run *run, const char *text, size_t len)
{
	CvListen	listen = {.user_id = run->defaults.user_id};
	CvReason	reason = read_maloja(run, text, len, &listen);

	return cv_take_listen(run, reason, &listen, text, len);
}

static bool
take_pano(Run *run, const char *text, size_t len)
{
	CvListen	listen = {.user_id = run->defaults.user_id};
	CvReason	reason = read_pano(run, text, len, &listen);

	return cv_take_listen(run, reason, &listen, text, len);
}

const CvFormat cv_format_spotify = {
	.name = "Spotify's extended streaming history", .cut = CV_CUT_VALUES,
	.needs_user = true, .detect = detect_spotify, .piece = take_spotify
};

const CvFormat cv_format_spotify_video = {
	.name = "Spotify's history of videos", .role = CV_ROLE_LEFT,
	.detect = detect_spotify_video,
	.hint = "ListenBrainz leaves it out, too.  Rename the file to load it."
};

const CvFormat cv_format_maloja = {
	.name = "Maloja's export", .cut = CV_CUT_VALUES, .key = "scrobbles",
	.needs_user = true, .detect = detect_maloja, .piece = take_maloja
};

const CvFormat cv_format_pano = {
	.name = "Pano Scrobbler's export", .cut = CV_CUT_LINES,
	.needs_user = true, .detect = detect_pano, .piece = take_pano
};
