/*
 * cv.h
 *		Shared by every file of the converter: a listen, the reasons to
 *		reject a line, messages, growable buffers.
 *
 * lbrec-convert is a program of its own: it knows ListenBrainz's files and
 * PostgreSQL's COPY, and nothing of the extension but the columns of its two
 * tables.  The way of a byte through it:
 *
 *	cv_reader    file, archive or folder -> blocks of member bytes, by a thread
 *	cv_archive   of its own; cv_ring hands the blocks over
 *	cv_run       blocks -> members; the format of each (cv_format)
 *	cv_split     a member's bytes -> lines, records, JSON values
 *	cv_member    such a piece -> its format's function, in a file of its
 *	             family: cv_listenbrainz, cv_plays (JSON of other services), ...
 *	cv_json      JSON -> CvListen, or a reason to reject it
 *	cv_load      CvListen -> COPY rows in batches, recordings deduplicated
 *	cv_script    batches -> a script for psql on standard output, or
 *	cv_db        batches -> a server, through libpq; cv_ledger remembers them
 *	cv_report    counts, rejects, progress, summary
 *
 * Memory is constant: nothing here may grow with the size of the input, only
 * with the longest line, and that is bounded by CV_MAX_LINE.
 */
#ifndef CV_H
#define CV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
{
#endif

#ifndef LBREC_VERSION
#define LBREC_VERSION "unknown"
#endif

/* The JSON parser may read up to this many bytes beyond a line's end. */
#define CV_PADDING 64

/*
 * A longer line is rejected: the parser's worst case is some 14 bytes of
 * memory for a byte of JSON, and the whole program has 200 MiB.  The longest
 * listen seen in a dump is near 10 MB.
 */
#define CV_MAX_LINE ((size_t) 10 << 20)

/*
 * ListenBrainz's LISTEN_MINIMUM_TS, 2002-10-01: an earlier time comes from a
 * wrong clock.
 */
#define CV_EARLY_SECONDS INT64_C(1033430400)

/*
 * Reasons why a line is no listen.  A line with several faults gets the first
 * one in this order, which is also the order of the summary.
 */
typedef enum CvReason
{
	CV_LISTEN = 0,				/* the line is a listen */
	CV_BAD_JSON,
	CV_BAD_ENCODING,
	CV_BAD_USER,
	CV_BAD_TIME,
	CV_BAD_MSID,
	CV_BAD_ARTIST,
	CV_BAD_TRACK,
	CV_REASONS,

	/* These lines are not rejects: */
	CV_NOT_LISTENED,			/* a play that ListenBrainz's importer skips
								 * as well */
	CV_COMMENT					/* a line of the file's header */
} CvReason;

extern const char *cv_reason_name(CvReason reason);

typedef struct CvUuid
{
	uint8_t		byte[16];
} CvUuid;

/*
 * Bytes that the caller does not own, valid until the next line.  NULL:
 * absent.
 */
typedef struct CvText
{
	const char *data;
	size_t		len;
} CvText;

typedef struct CvListen
{
	int64_t		user_id;
	int64_t		listened_at;	/* microseconds since 1970, UTC */
	CvText		user_name;		/* only if CvDefaults.user_names */
	CvUuid		recording_msid;
	CvText		artist_name;
	CvText		track_name;
	CvText		release_name;
	bool		has_recording_mbid;
	bool		has_release_mbid;
	CvUuid		recording_mbid;
	CvUuid		release_mbid;
	const CvUuid *artist_mbids;
	int			n_artist_mbids;
	bool		repaired;		/* a NUL was removed from a name */
	const char *detail;			/* for a reject: the fault, as static text */
} CvListen;

/* Values for lines that lack them, because their file gives them once. */
typedef struct CvDefaults
{
	bool		has_user_id;
	int64_t		user_id;
	bool		user_names;		/* user numbers come from names:
								 * cv_import_user_id() */
} CvDefaults;

/*
 * Messages, in three parts as PostgreSQL's: message, detail, hint.  The texts
 * may hold bytes from an archive: cv_make_printable() is applied.
 */
extern void cv_message(const char *severity, const char *format,...)
	__attribute__((format(printf, 2, 3)));
extern void cv_detail(const char *format,...)
	__attribute__((format(printf, 1, 2)));
extern void cv_hint(const char *format,...)
	__attribute__((format(printf, 1, 2)));

#define cv_error(...) cv_message("error", __VA_ARGS__)
#define cv_warning(...) cv_message("warning", __VA_ARGS__)

extern bool cv_quiet;

/*
 * Replaces with "?"  each byte that is no UTF-8, and each character that a
 * terminal would obey (C0 and C1 controls, direction marks) or that cannot be
 * seen.
 */
extern void cv_make_printable(char *text);

/* A growable buffer.  Running out of memory ends the program with status 2. */
typedef struct CvBuf
{
	char	   *data;
	size_t		len;
	size_t		cap;
} CvBuf;

extern void *cv_alloc(size_t bytes);
extern char *cv_strdup(const char *text);
extern void cv_buf_reserve(CvBuf *buf, size_t more);
extern void cv_buf_add(CvBuf *buf, const void *data, size_t len);
extern void cv_buf_str(CvBuf *buf, const char *text);
extern void cv_buf_printf(CvBuf *buf, const char *format,...)
	__attribute__((format(printf, 2, 3)));
extern void cv_buf_free(CvBuf *buf);

#ifdef __cplusplus
}
#endif

#endif							/* CV_H */
