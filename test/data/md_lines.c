/*
 * md_lines.c
 *		A listen as a line of JSON, whole or damaged.
 *
 * The two formats are those of ListenBrainz's dumps: of 2022, ASCII, and of
 * today, UTF-8.  What is in additional_info depends on the program that sent
 * the listen, as there; its values come from hashes of what they name, so
 * the same artist always has the same identifier.
 *
 * A line is written twice, once to learn the member's size: so this is copying
 * of bytes, without printf.
 */
#include "md.h"

#include <string.h>

/* Owners of identifiers. */
enum
{
	OF_RECORDING, OF_ARTIST, OF_RELEASE, MBID_RECORDING, MBID_ARTIST,
	MBID_RELEASE, MBID_WORK
};

/*
 * Numbers per dump of two million listens.  The reasons are lbrec-convert's;
 * "blank" and "twice" are no rejects: a blank line is counted as such, and
 * the second of two equal listens is dropped by the database.
 */
const MdDamageKind md_damage_kinds[MD_DAMAGES] = {
	[MD_USER_MISSING] = {"user_id missing", "user", 9},
	[MD_USER_NULL] = {"user_id null", "user", 40},
	[MD_TIME_NULL] = {"timestamp null", "time", 12},
	[MD_TIME_NAN] = {"timestamp NaN, which is no JSON", "json", 3},
	[MD_MSID_MISSING] = {"recording_msid missing", "msid", 5},
	[MD_MSID_GARBAGE] = {"recording_msid no UUID", "msid", 4},
	[MD_ARTIST_EMPTY] = {"artist_name empty", "artist", 25},
	[MD_ARTIST_LIST] = {"artist_name a list", "artist", 2},
	[MD_TRACK_MISSING] = {"track_name missing", "track", 8},
	[MD_TRACK_EMPTY] = {"track_name empty", "track", 15},
	[MD_SURROGATE] = {"half of a surrogate pair", "encoding", 6},
	[MD_NOT_UTF8] = {"bytes that are no UTF-8", "encoding", 3},
	[MD_CUT_OFF] = {"line cut off", "json", 2},
	[MD_BLANK] = {"blank line", NULL, 4},
	[MD_TWICE] = {"line given twice", NULL, 11}
};

static char *
put_bytes(char *p, const char *s, size_t len)
{
	memcpy(p, s, len);
	return p + len;
}

/* For literals: the compiler counts their length. */
#define PUT(p, literal) put_bytes(p, literal, sizeof(literal) - 1)

static char *
put_text(char *p, const MdWorld *world, MdText text)
{
	return put_bytes(p, world->arena + text.at, text.len);
}

static char *
put_number(char *p, int64_t value)
{
	char		digits[24];
	int			n = 0;

	if (value < 0)
	{
		*p++ = '-';
		value = -value;
	}
	do
		digits[n++] = (char) ('0' + value % 10);
	while ((value /= 10) > 0);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

static char *
put_hex(char *p, uint64_t bits, int digits)
{
	while (digits-- > 0)
		*p++ = "0123456789abcdef"[bits >> (4 * digits) & 15];
	return p;
}

/* A version 4 UUID that stands for thing number of that kind. */
static char *
put_uuid(char *p, const MdOptions *options, int of, int64_t number)
{
	uint64_t	high = md_hash(options->seed ^ md_hash((uint64_t) number << 4 |
													   (uint64_t) of));
	uint64_t	low = md_hash(high);

	p = put_hex(p, high >> 32, 8);
	*p++ = '-';
	p = put_hex(p, high >> 16, 4);
	p = PUT(p, "-4");
	p = put_hex(p, high, 3);
	*p++ = '-';
	p = put_hex(p, (low >> 48 & 0x3fff) | 0x8000, 4);
	*p++ = '-';
	return put_hex(p, low, 12);
}

/* Spotify's identifiers: 22 letters and digits. */
static char *
put_base62(char *p, uint64_t bits)
{
	for (int i = 0; i < 22; i++)
	{
		if (i % 10 == 0)
			bits = md_hash(bits);
		*p++ = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			[(bits >> (6 * (i % 10)) & 63) % 62];
	}
	return p;
}

static char *
put_url(char *p, MdFormat format, const char *kind, uint64_t bits)
{
	p = format == MD_2022
		? PUT(p, "\"https:\\/\\/open.spotify.com\\/")
		: PUT(p, "\"https://open.spotify.com/");
	p = put_bytes(p, kind, strlen(kind));
	if (format == MD_2022)
		*p++ = '\\';
	*p++ = '/';
	p = put_base62(p, bits);
	*p++ = '"';
	return p;
}

/* Writes the player's facts on the file that it played. */
static char *
put_client(char *p, const MdWorld *world, const MdOptions *options,
		   const MdListen *listen)
{
	const MdUser *user = &world->users[listen->user];
	const MdRecording *recording = &world->recordings[listen->recording];
	const MdArtist *artist = &world->artists[recording->artist];
	uint64_t	h = md_hash((uint64_t) listen->recording);
	int64_t		duration = 120 + (int64_t) (h % 240);
	int			track = listen->recording - recording->release_first + 1;

	switch (user->clock == MD_CLOCK_RIGHT ? user->client : 4)
	{
		case 0:
		case 1:
		case 2:
			p = PUT(p, "\"listening_from\":\"lastfm\",\"tags\":[],"
					"\"work_mbids\":[],\"release_group_mbid\":null,"
					"\"isrc\":null,\"spotify_id\":null,\"tracknumber\":null,");
			break;
		case 3:
			p = PUT(p, "\"listening_from\":\"spotify\",\"spotify_id\":");
			p = put_url(p, options->format, "track", h);
			p = PUT(p, ",\"spotify_artist_ids\":[");
			p = put_url(p, options->format, "artist",
						(uint64_t) recording->artist);
			p = PUT(p, "],\"discnumber\":1,\"tracknumber\":");
			p = put_number(p, track);
			p = PUT(p, ",\"duration_ms\":");
			p = put_number(p, duration * 1000 + (int64_t) (h % 997));
			p = PUT(p, ",\"release_artist_name\":\"");
			p = put_text(p, world, artist->name);
			p = PUT(p, "\",\"release_artist_names\":[\"");
			p = put_text(p, world, artist->name);
			p = PUT(p, "\"],");
			break;
		case 4:
			p = PUT(p, "\"media_player\":\"Rockbox\",\"rating\":\"L\","
					"\"duration\":");
			p = put_number(p, duration);
			p = PUT(p, ",\"tracknumber\":");
			p = put_number(p, track);
			*p++ = ',';
			break;
		case 5:
			p = PUT(p, "\"media_player\":\"foobar2000\",\"submission_client\":"
					"\"foo_listenbrainz2\",\"submission_client_version\":"
					"\"1.3.2\",\"genres\":[\"genre ");
			p = put_number(p, artist->genre);
			p = PUT(p, "\"],\"totaltracks\":12,\"date\":\"");
			p = put_number(p, 1965 + (int64_t) (h % 57));
			p = PUT(p, "\",\"tracknumber\":\"");
			p = put_number(p, track);
			p = PUT(p, "\",\"duration_ms\":");
			p = put_number(p, duration * 1000);
			*p++ = ',';
			break;
		case 6:
			/* The listen's own keys again, a level deeper. */
			p = PUT(p, "\"submission_client\":\"BrainzPlayer\","
					"\"music_service\":\"youtube.com\","
					"\"brainzplayer_metadata\":{\"artist_name\":\"");
			p = put_text(p, world, artist->name);
			p = PUT(p, " - Topic\",\"track_name\":\"");
			p = put_text(p, world, recording->track);
			p = PUT(p, " (official)\",\"timestamp\":1},");
			break;
		default:
			break;
	}
	if (user->tagged && artist->known && h % 8 != 0)
	{
		p = PUT(p, "\"recording_mbid\":\"");
		p = put_uuid(p, options, MBID_RECORDING, listen->recording);
		p = PUT(p, "\",\"release_mbid\":\"");
		p = put_uuid(p, options, MBID_RELEASE, recording->release_first);
		p = PUT(p, "\",\"artist_mbids\":[\"");
		p = put_uuid(p, options, MBID_ARTIST, recording->artist);
		/* Some taggers write several into one. */
		if (h % 64 == 1)
		{
			*p++ = ';';
			p = put_uuid(p, options, MBID_ARTIST, recording->artist + 1);
		}
		p = PUT(p, "\"],");
	}
	return p;
}

static char *
put_names(char *p, const MdWorld *world, const MdOptions *options,
		  const MdListen *listen, MdDamage damage)
{
	const MdRecording *recording = &world->recordings[listen->recording];
	MdText		artist = world->artists[recording->artist].name;
	bool		last = options->format == MD_2022;

	if (damage == MD_ARTIST_LIST)
		p = PUT(p, "\"artist_name\":[\"one\",\"two\"]");
	else
	{
		p = PUT(p, "\"artist_name\":\"");
		if (damage != MD_ARTIST_EMPTY)
			p = put_text(p, world, artist);
		if (damage == MD_SURROGATE)
			p = PUT(p, "\\ud83c");
		if (damage == MD_NOT_UTF8)
			p = PUT(p, "\xff\xfe");
		*p++ = '"';
	}
	if (last)
	{
		p = PUT(p, ",\"release_name\":\"");
		p = put_text(p, world, recording->release);
		*p++ = '"';
	}
	if (damage != MD_TRACK_MISSING)
	{
		p = PUT(p, ",\"track_name\":\"");
		if (damage != MD_TRACK_EMPTY)
			p = put_text(p, world, recording->track);
		*p++ = '"';
	}
	if (!last)
	{
		p = PUT(p, ",\"release_name\":\"");
		p = put_text(p, world, recording->release);
		*p++ = '"';
	}
	return p;
}

static char *
put_info(char *p, const MdWorld *world, const MdOptions *options,
		 const MdListen *listen, MdDamage damage)
{
	const MdRecording *recording = &world->recordings[listen->recording];

	p = PUT(p, "\"additional_info\":{");
	p = put_client(p, world, options, listen);
	p = PUT(p, "\"artist_msid\":\"");
	p = put_uuid(p, options, OF_ARTIST, recording->artist);
	p = PUT(p, "\",\"release_msid\":");
	if (recording->release.len > 0)
	{
		*p++ = '"';
		p = put_uuid(p, options, OF_RELEASE, recording->release_first);
		*p++ = '"';
	}
	else
		p = PUT(p, "null");
	if (damage != MD_MSID_MISSING)
	{
		p = PUT(p, ",\"recording_msid\":\"");
		p = put_uuid(p, options, OF_RECORDING, listen->recording);
		*p++ = '"';
	}
	*p++ = '}';
	return p;
}

/* Rare in JSON dumps: 3 lines of 10,000. */
static char *
put_mapping(char *p, const MdWorld *world, const MdOptions *options,
			const MdListen *listen)
{
	const MdRecording *recording = &world->recordings[listen->recording];
	uint64_t	h = md_hash((uint64_t) listen->time ^
							(uint64_t) listen->recording << 32);

	if (options->format == MD_2022 || h % 10000 >= 3)
		return p;
	p = PUT(p, ",\"mbid_mapping\":{\"recording_mbid\":\"");
	p = put_uuid(p, options, MBID_RECORDING, listen->recording);
	p = PUT(p, "\",\"release_mbid\":\"");
	p = put_uuid(p, options, MBID_RELEASE, recording->release_first);
	p = PUT(p, "\",\"artist_mbids\":[\"");
	p = put_uuid(p, options, MBID_ARTIST, recording->artist);
	return PUT(p, "\"]}");
}

/* Writes a line and its newline at p, returns their end. */
char *
md_line(char *p, const MdWorld *world, const MdOptions *options,
		const MdListen *listen, MdDamage damage)
{
	const MdUser *user = &world->users[listen->user];
	char	   *start = p;

	if (damage == MD_BLANK)
		return PUT(p, "\n");
	*p++ = '{';
	if (damage != MD_USER_MISSING)
	{
		p = PUT(p, "\"user_id\":");
		p = damage == MD_USER_NULL
			? PUT(p, "null") : put_number(p, user->user_id);
		*p++ = ',';
	}
	p = PUT(p, "\"user_name\":\"");
	p = put_text(p, world, user->name);
	p = PUT(p, "\",\"timestamp\":");
	if (damage == MD_TIME_NULL)
		p = PUT(p, "null");
	else if (damage == MD_TIME_NAN)
		p = PUT(p, "NaN");
	else
		p = put_number(p, listen->time);
	p = PUT(p, ",\"track_metadata\":{");
	if (options->format == MD_2022)
	{
		p = put_info(p, world, options, listen, damage);
		*p++ = ',';
		p = put_names(p, world, options, listen, damage);
	}
	else
	{
		p = put_names(p, world, options, listen, damage);
		*p++ = ',';
		p = put_info(p, world, options, listen, damage);
		p = put_mapping(p, world, options, listen);
	}
	*p++ = '}';
	if (damage == MD_MSID_GARBAGE)
		p = PUT(p, ",\"recording_msid\":\"unknown\"");
	else if (damage != MD_MSID_MISSING)
	{
		p = PUT(p, ",\"recording_msid\":\"");
		p = put_uuid(p, options, OF_RECORDING, listen->recording);
		*p++ = '"';
	}
	*p++ = '}';
	if (damage == MD_CUT_OFF)
		p = start + (p - start) / 2;
	*p++ = '\n';
	return p;
}

bool
md_has_nul(const MdWorld *world, const MdListen *listen)
{
	MdText		track = world->recordings[listen->recording].track;

	return memmem(world->arena + track.at, track.len, "\\u0000", 6) != NULL;
}
