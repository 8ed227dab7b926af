/*
 * cv_json.cpp
 *		Turns JSON into listens, with simdjson's DOM parser.
 *
 * The DOM parser checks the whole line: UTF-8, numbers, strings, depth.  The
 * on-demand one is a quarter faster (docs/convert.md has the figures) but
 * does not look at what it skips, so half a line could pass for a listen.
 *
 * simdjson differs from ListenBrainz's JSON reader in three things: - a number
 * that fits neither 64 bits nor a double makes the line invalid
 *	 there.  Clients do send 30-digit numbers in additional_info, so such a
 *	 line is read again with the number replaced by 9e99, which still is out
 *	 of range for a time or a user.
 * - 3.0 takes a lone low surrogate and writes bytes that are no UTF-8.  Every
 *	 escape of a line is therefore looked at here.
 * - of duplicate keys its lookup gives the first.  The last one counts, as in
 *	 Python and in PostgreSQL's jsonb: fields are walked, never looked up.
 *
 * Depth matters: additional_info.brainzplayer_metadata repeats artist_name
 * and track_name one level deeper.  Every key is read at its own level only.
 */
#include "cv_json.h"
#include "cv_import.h"
#include "cv_repair.h"
#include "cv_text.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <simdjson.h>

static_assert(CV_PADDING >= simdjson::SIMDJSON_PADDING,
			  "lines need more padding");

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

namespace
{
/* A field that was found; a null counts as absent. */
struct Field
{
	element		value;
	bool		present = false;

	void set(const element &e)
	{
		value = e;
		present = !e.is_null();
	}
};

/* The identifiers of one source: the client, or the server's mapping. */
struct Mbids
{
	Field		recording,
				release,
				artists;
};
}

struct CvJson
{
	simdjson::dom::parser parser;
	size_t		capacity = 0;
	CvBuf		names[4] = {};	/* names without their NULs */
	CvBuf		artists = {};	/* CvUuid after CvUuid */
	CvBuf		tamed = {};		/* a line whose huge numbers were replaced */
	CvBuf		joined = {};	/* lists of texts, joined */
	const char *detail = nullptr;	/* of the last failed parse */
};

CvJson *
cv_json_create(void)
{
	CvJson	   *json = new (std::nothrow) CvJson;

	if (json == nullptr)
	{
		cv_error("out of memory: could not create the JSON parser");
		exit(2);
	}
	return json;
}

void
cv_json_free(CvJson *json)
{
	if (json == nullptr)
		return;
	for (CvBuf &name : json->names)
		cv_buf_free(&name);
	cv_buf_free(&json->artists);
	cv_buf_free(&json->tamed);
	cv_buf_free(&json->joined);
	delete json;
}

/* Compares lengths first, which is faster than == for most keys. */
template <size_t N>
static inline bool
is(std::string_view key, const char (&name)[N])
{
	return key.size() == N - 1 && memcmp(key.data(), name, N - 1) == 0;
}

static CvReason
parse(CvJson *json, const char *line, size_t len, element *root)
{
	simdjson::error_code error;

	if (len > json->capacity)
	{
		size_t		wanted = 65536;

		/*
		 * Growing ahead avoids a reallocation for each slightly longer line.
		 */
		while (wanted < len)
			wanted += wanted / 2;
		if (wanted > CV_MAX_LINE && len <= CV_MAX_LINE)
			wanted = CV_MAX_LINE;
		if (json->parser.allocate(wanted) != simdjson::SUCCESS)
		{
			cv_error("out of memory: could not parse %zu bytes of JSON", len);
			exit(2);
		}
		json->capacity = wanted;
	}
	error = json->parser.parse(line, len, false).get(*root);
	/*
	 * The error for a huge number depends on simdjson's version: 3.0 gives
	 * NUMBER_ERROR or TAPE_ERROR, later versions give BIGINT_ERROR, which 3.0
	 * lacks.
	 */
	if (error != simdjson::SUCCESS && error != simdjson::UTF8_ERROR &&
		cv_repair_numbers(&json->tamed, line, len))
		error = json->parser.parse(json->tamed.data, len, false).get(*root);
	if (error == simdjson::SUCCESS || error == simdjson::STRING_ERROR)
	{
		if (cv_repair_has_lone_surrogate(line, len))
		{
			json->detail = "half of a surrogate pair";
			return CV_BAD_ENCODING;
		}
	}
	if (error == simdjson::SUCCESS)
		return CV_LISTEN;
	json->detail = simdjson::error_message(error);
	return error == simdjson::UTF8_ERROR ? CV_BAD_ENCODING : CV_BAD_JSON;
}

/*
 * Reads a name.  Returns false if it is no string or empty.  NULs, which
 * PostgreSQL's text cannot hold, are removed; the listen then counts as
 * repaired.
 */
static bool
read_name(CvJson *json, int which, const Field &field, CvText *text,
		  CvListen *listen)
{
	std::string_view value;
	CvBuf	   *copy;

	text->data = nullptr;
	text->len = 0;
	if (!field.present || field.value.get(value) != simdjson::SUCCESS)
		return false;
	text->data = value.data();
	text->len = value.size();
	if (value.empty() || memchr(value.data(), '\0', value.size()) == nullptr)
		return !value.empty();

	listen->repaired = true;
	copy = &json->names[which];
	copy->len = 0;
	for (char c : value)
		if (c != '\0')
			cv_buf_add(copy, &c, 1);
	text->data = copy->data;
	text->len = copy->len;
	return copy->len > 0;
}

static bool
read_user_id(const Field &field, int64_t *user_id)
{
	int64_t		integer;
	double		number;
	std::string_view text;

	if (field.value.get(integer) == simdjson::SUCCESS)
	{
		/* get<int64_t> refuses doubles and numbers above 2^63-1. */
		*user_id = integer;
		return integer >= 0;
	}
	if (field.value.get(text) == simdjson::SUCCESS)
	{
		if (text.empty() || text.size() > 18)
			return false;
		*user_id = 0;
		for (char c : text)
		{
			if (c < '0' || c > '9')
				return false;
			*user_id = *user_id * 10 + (c - '0');
		}
		return true;
	}
	if (field.value.is_double() &&
		field.value.get(number) == simdjson::SUCCESS && number >= 0 &&
		number < 9007199254740992.0 && number == std::floor(number))
	{
		*user_id = (int64_t) number;
		return true;
	}
	return false;
}

static bool
read_time(const Field &field, int64_t *micros)
{
	int64_t		integer;
	double		number;
	std::string_view text;

	if (field.value.get(integer) == simdjson::SUCCESS)
		return cv_time_from_integer(integer, micros);
	if (field.value.is_double() &&
		field.value.get(number) == simdjson::SUCCESS)
		return cv_time_from_seconds(number, micros);
	if (field.value.get(text) == simdjson::SUCCESS)
		return cv_time_from_text(text.data(), text.size(), micros);
	return false;
}

static bool
read_uuid(const Field &field, CvUuid *uuid)
{
	std::string_view text;

	return field.present && field.value.get(text) == simdjson::SUCCESS &&
		   cv_uuid_parse(text.data(), text.size(), uuid);
}

static void
read_artists(CvJson *json, const Field &field, CvListen *listen)
{
	array		list;
	CvUuid		uuid;
	Field		one;

	json->artists.len = 0;
	if (!field.present)
		return;
	if (read_uuid(field, &uuid))
		cv_buf_add(&json->artists, &uuid, sizeof(uuid));
	else if (field.value.get(list) == simdjson::SUCCESS)
	{
		for (element item : list)
		{
			one.set(item);
			if (read_uuid(one, &uuid))
				cv_buf_add(&json->artists, &uuid, sizeof(uuid));
		}
	}
	listen->artist_mbids = (const CvUuid *) json->artists.data;
	listen->n_artist_mbids = (int) (json->artists.len / sizeof(CvUuid));
}

/*
 * Takes all identifiers from the client or all from the mapping, because the
 * two may mean different recordings.  As in ListenBrainz's spark dump, the
 * client's come first if they name a recording.
 */
static void
read_mbids(CvJson *json, const Mbids &client, const Mbids &mapping,
		   CvListen *listen)
{
	const Mbids *from = &client;

	listen->has_recording_mbid =
		read_uuid(client.recording, &listen->recording_mbid);
	if (!listen->has_recording_mbid &&
		read_uuid(mapping.recording, &listen->recording_mbid))
	{
		listen->has_recording_mbid = true;
		from = &mapping;
	}
	listen->has_release_mbid = read_uuid(from->release, &listen->release_mbid);
	read_artists(json, from->artists, listen);
}

static CvReason
reject(CvListen *listen, CvReason reason, const char *detail)
{
	listen->detail = detail;
	return reason;
}

static CvReason
read_listen(CvJson *json, const object &root, const CvDefaults *defaults,
			CvListen *listen)
{
	Field		user,
				user_name,
				listened_at,
				timestamp,
				ts_since_epoch,
				msid,
				msid_metadata,
				msid_info,
				metadata,
				info,
				mapping,
				artist,
				track,
				release;
	Mbids		client,
				mapped;
	object		inner;
	bool		playing_now = false;
	bool		derived;

	memset(listen, 0, sizeof(*listen));
	for (auto field : root)
	{
		if (is(field.key, "user_id"))
			user.set(field.value);
		else if (defaults->user_names && is(field.key, "user_name"))
			user_name.set(field.value);
		else if (is(field.key, "timestamp"))
			timestamp.set(field.value);
		else if (is(field.key, "listened_at"))
			listened_at.set(field.value);
		else if (is(field.key, "ts_since_epoch"))
			ts_since_epoch.set(field.value);
		else if (is(field.key, "recording_msid"))
			msid.set(field.value);
		else if (is(field.key, "track_metadata"))
			metadata.set(field.value);
		else if (is(field.key, "playing_now") &&
				 field.value.get(playing_now) != simdjson::SUCCESS)
			playing_now = false;
	}
	if (metadata.present && metadata.value.get(inner) == simdjson::SUCCESS)
	{
		for (auto field : inner)
		{
			if (is(field.key, "artist_name"))
				artist.set(field.value);
			else if (is(field.key, "track_name"))
				track.set(field.value);
			else if (is(field.key, "release_name"))
				release.set(field.value);
			else if (is(field.key, "additional_info"))
				info.set(field.value);
			else if (is(field.key, "mbid_mapping"))
				mapping.set(field.value);
			else if (is(field.key, "recording_msid"))
				msid_metadata.set(field.value);
		}
	}
	if (info.present && info.value.get(inner) == simdjson::SUCCESS)
	{
		for (auto field : inner)
		{
			if (is(field.key, "recording_msid"))
				msid_info.set(field.value);
			else if (is(field.key, "recording_mbid"))
				client.recording.set(field.value);
			else if (is(field.key, "release_mbid"))
				client.release.set(field.value);
			else if (is(field.key, "artist_mbids"))
				client.artists.set(field.value);
		}
	}
	if (mapping.present && mapping.value.get(inner) == simdjson::SUCCESS)
	{
		for (auto field : inner)
		{
			if (is(field.key, "recording_mbid"))
				mapped.recording.set(field.value);
			else if (is(field.key, "release_mbid"))
				mapped.release.set(field.value);
			else if (is(field.key, "artist_mbids"))
				mapped.artists.set(field.value);
		}
	}

	if (user.present)
	{
		if (!read_user_id(user, &listen->user_id))
			return reject(listen, CV_BAD_USER, "user_id is not a user's number");
	}
	else if (defaults->has_user_id)
		listen->user_id = defaults->user_id;
	else if (user_name.present)
		listen->user_id = 0;
	else
		return reject(listen, CV_BAD_USER, "user_id is missing");

	if (user_name.present)
	{
		if (!read_name(json, 3, user_name, &listen->user_name, listen))
			return reject(listen, CV_BAD_USER,
						  "user_name is empty or not a string");
		if (!user.present && !defaults->has_user_id)
			listen->user_id = cv_import_user_id(listen->user_name);
	}

	/* The checks follow the order of ListenBrainz's reader. */
	if (!listened_at.present)
		listened_at = timestamp.present ? timestamp : ts_since_epoch;
	if (!listened_at.present && playing_now)
		return CV_NOT_LISTENED;
	if (!listened_at.present)
		return reject(listen, CV_BAD_TIME, "the time is missing");
	if (!read_time(listened_at, &listen->listened_at))
		return reject(listen, CV_BAD_TIME,
					  "the time is not in the years 1 to 9999");

	/*
	 * The dump has the MSID at the top level, the user's export in the
	 * metadata.
	 */
	if (!msid.present)
		msid = msid_metadata.present ? msid_metadata : msid_info;
	derived = !msid.present && !user.present && defaults->has_user_id;
	if (!msid.present && !derived)
		return reject(listen, CV_BAD_MSID, "recording_msid is missing");
	if (!derived && !read_uuid(msid, &listen->recording_msid))
		return reject(listen, CV_BAD_MSID, "recording_msid is not a UUID");
	if (!derived && cv_uuid_is_special(&listen->recording_msid))
		return reject(listen, CV_BAD_MSID,
					  "recording_msid is the UUID of zeros or ones, which "
					  "names no recording");

	if (!read_name(json, 0, artist, &listen->artist_name, listen))
		return reject(listen, CV_BAD_ARTIST,
					  "artist_name is missing, empty or not a string");
	if (!read_name(json, 1, track, &listen->track_name, listen))
		return reject(listen, CV_BAD_TRACK,
					  "track_name is missing, empty or not a string");
	if (!read_name(json, 2, release, &listen->release_name, listen))
		listen->release_name.data = nullptr;
	read_mbids(json, client, mapped, listen);
	/* Backups by players predate the MSID from MessyBrainz. */
	if (derived)
		cv_import_msid(listen);
	return CV_LISTEN;
}

CvReason
cv_json_listen(CvJson *json, const char *line, size_t len,
			   const CvDefaults *defaults, CvListen *listen)
{
	element		root;
	object		top;
	CvReason	reason = parse(json, line, len, &root);

	if (reason != CV_LISTEN)
		return reject(listen, reason, json->detail);
	if (root.get(top) != simdjson::SUCCESS)
		return reject(listen, CV_BAD_JSON, "JSON, but not an object");
	return read_listen(json, top, defaults, listen);
}

CvDocument
cv_json_payload(CvJson *json, const char *text, size_t len,
				const CvDefaults *defaults, CvElement element_seen, void *arg,
				const char **detail)
{
	element		root;
	array		listens;

	if (parse(json, text, len, &root) != CV_LISTEN)
	{
		*detail = json->detail;
		return CV_DOCUMENT_BAD;
	}
	if (root["payload"]["listens"].get(listens) != simdjson::SUCCESS)
	{
		*detail = "there is no array payload.listens";
		return CV_DOCUMENT_BAD;
	}
	for (element item : listens)
	{
		CvListen	listen;
		object		top;
		CvReason	reason;

		if (item.get(top) == simdjson::SUCCESS)
			reason = read_listen(json, top, defaults, &listen);
		else
			reason = reject(&listen, CV_BAD_JSON, "JSON, but not an object");
		if (!element_seen(arg, reason, &listen))
			return CV_DOCUMENT_STOPPED;
	}
	return CV_DOCUMENT_OK;
}

/* Finds the value at the end of a dotted path of keys. */
static bool
follow(const element &root, const char *path, element *value)
{
	element		at = root;

	for (;;)
	{
		const char *point = strchr(path, '.');
		std::string_view key(path, point != nullptr ? (size_t) (point - path)
							 : strlen(path));
		object		inner;
		bool		found = false;

		if (at.get(inner) != simdjson::SUCCESS)
			return false;
		for (auto field : inner)
		{
			if (field.key != key)
				continue;
			*value = field.value;
			found = true;
		}
		if (!found)
			return false;
		if (point == nullptr)
			return true;
		at = *value;
		path = point + 1;
	}
}

static void
set_field(CvJson *json, const element &value, CvField *field)
{
	std::string_view text;
	array		list;
	bool		first = true;

	if (value.is_null())
		field->kind = CV_FIELD_NULL;
	else if (value.get(field->truth) == simdjson::SUCCESS)
		field->kind = CV_FIELD_TRUTH;
	else if (value.get(field->number) == simdjson::SUCCESS)
		field->kind = CV_FIELD_NUMBER;
	else if (value.get(text) == simdjson::SUCCESS)
	{
		int64_t		micros;

		field->kind = CV_FIELD_TEXT;
		field->text.data = text.data();
		field->text.len = text.size();
		if (cv_time_from_text(text.data(), text.size(), &micros))
			field->number = (double) micros / 1e6;
	}
	else if (value.get(list) == simdjson::SUCCESS)
	{
		size_t		start = json->joined.len;

		field->kind = CV_FIELD_TEXT;
		for (element item : list)
		{
			if (item.get(text) != simdjson::SUCCESS)
				continue;
			if (!first)
				cv_buf_add(&json->joined, ", ", 2);
			first = false;
			cv_buf_add(&json->joined, text.data(), text.size());
		}
		field->text.data = json->joined.data + start;
		field->text.len = json->joined.len - start;
	}
	else
		field->kind = CV_FIELD_OBJECT;
}

CvReason
cv_json_fields(CvJson *json, const char *text, size_t len,
			   const char *const *names, int n, CvField *fields,
			   const char **detail)
{
	element		root;
	element		value;
	object		top;
	CvReason	reason = parse(json, text, len, &root);

	if (reason != CV_LISTEN)
	{
		*detail = json->detail;
		return reason;
	}
	if (root.get(top) != simdjson::SUCCESS)
	{
		*detail = "JSON, but not an object";
		return CV_BAD_JSON;
	}
	/* Reserve the full length now: fields point into this buffer. */
	json->joined.len = 0;
	cv_buf_reserve(&json->joined, 2 * len + 1);
	memset(fields, 0, (size_t) n * sizeof(*fields));
	for (int i = 0; i < n; i++)
		if (follow(root, names[i], &value))
			set_field(json, value, &fields[i]);
	return CV_LISTEN;
}

bool
cv_json_is_utf8(const char *text, size_t len)
{
	return simdjson::validate_utf8(text, len);
}

bool
cv_json_integer(CvJson *json, const char *text, size_t len, const char *key,
				int64_t *value)
{
	element		root;

	return parse(json, text, len, &root) == CV_LISTEN &&
		   root[key].get(*value) == simdjson::SUCCESS;
}
