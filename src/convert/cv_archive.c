/*
 * cv_archive.c
 *		One open file of any kind to members and their bytes.
 *
 * A file's format is found by its first bytes, never by its name.
 * Decompression and tar are two libarchive readers on top of each other: the
 * lower one (format "raw") undoes the compression, the upper one reads tar
 * from it.  One reader could do both, but then nobody sees the end of the tar
 * stream: libarchive 3.6 takes a tar file cut exactly between two members for
 * a complete one.  So we keep the last bytes and require the end-of-archive
 * blocks.
 *
 * Archives come from strangers.  No file is ever written under a member's
 * name; links, devices and sparse members are not followed; only in-process
 * filters are enabled, because libarchive's others start programs.
 */
#include "cv_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cv_magic.h"

/* Limit of archives within archives: deeper nesting may be a bomb. */
#define MAX_NESTING 3

#define TAR_END (2 * TAR_BLOCK)

/* The decompressed bytes of one file. */
typedef struct Stream
{
	CvReader   *reader;
	struct archive *lower;
	CvBuf		head;			/* the first bytes, read to know the kind */
	bool		nested;			/* it is a member of an archive */
	bool		head_given;
	bool		ended;
	bool		failed;
	char		tail[TAR_END];	/* the last bytes given */
	size_t		tail_len;
	int64_t		given;
} Stream;

bool
cv_archive_send_end(CvReader *reader, CvBlockType type)
{
	return cv_ring_send(reader, type, NULL, NULL, false, 0, 0);
}

bool
cv_archive_fail(CvReader *reader, const char *hint, const char *format,...)
{
	CvBuf		text = {0};
	char		line[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	cv_buf_printf(&text, "%s", line);
	cv_ring_send(reader, CV_BLOCK_FAILED, text.data,
				 hint != NULL ? cv_strdup(hint) : NULL, false, 0, 0);
	return false;
}

/* --- one file ---------------------------------------------------------- */

/* The bytes of a nested stream are those of a member. */
static void
note_position(CvReader *reader, struct archive *a)
{
	atomic_store(&reader->position,
				 atomic_load(&reader->done_before) +
				 archive_filter_bytes(a, -1));
}

/*
 * Returns the next decompressed bytes, 0 at the end, -1 after an error, whose
 * message the archive "lower" holds.  The tar reader on top reads through this
 * function, too.
 */
static la_ssize_t
stream_next(Stream *stream, const void **data)
{
	size_t		len = 0;
	la_int64_t	offset;
	int			status;

	if (!stream->head_given)
	{
		stream->head_given = true;
		*data = stream->head.data;
		len = stream->head.len;
	}
	while (len == 0 && !stream->ended)
	{
		status =
			archive_read_data_block(stream->lower, data, &len, &offset);
		if (status == ARCHIVE_EOF)
		{
			stream->ended = true;
			len = 0;
		}
		else if (status < ARCHIVE_WARN)
		{
			stream->failed = true;
			return -1;
		}
	}
	if (len >= TAR_END)
	{
		memcpy(stream->tail, (const char *) *data + len - TAR_END, TAR_END);
		stream->tail_len = TAR_END;
	}
	else if (len > 0)
	{
		size_t		keep = stream->tail_len;

		if (keep + len > TAR_END)
			keep = TAR_END - len;
		memmove(stream->tail, stream->tail + stream->tail_len - keep, keep);
		memcpy(stream->tail + keep, *data, len);
		stream->tail_len = keep + len;
	}
	stream->given += (int64_t) len;
	if (!stream->nested)
		note_position(stream->reader, stream->lower);
	return (la_ssize_t) len;
}

static la_ssize_t
tar_read(struct archive *upper, void *arg, const void **data)
{
	Stream	   *stream = arg;
	la_ssize_t	len = stream_next(stream, data);

	if (len < 0)
		archive_set_error(upper, archive_errno(stream->lower), "%s",
						  archive_error_string(stream->lower));
	return len < 0 ? ARCHIVE_FATAL : len;
}

static const char *stream_hint(struct archive *a);

static const char *
error_text(struct archive *a)
{
	const char *text = archive_error_string(a);

	return text != NULL ? text : "unknown error";
}

const char *
cv_archive_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool read_packed_member(CvReader *reader, struct archive *a,
							   const char *path, const char *name, int depth,
							   const void *data, size_t len);

/* Reports a member that is not read; the consumer counts it. */
static bool
send_unread(CvReader *reader, const char *name, const char *why)
{
	return cv_ring_send(reader, CV_BLOCK_UNREAD, cv_strdup(name),
						cv_strdup(why), true, 0, 0);
}

/*
 * Reads the first block of a member.  It is at least as long as a tar header,
 * unless the member is shorter; short parts are joined in *head.  Returns the
 * status of the first part; an error in a later part comes again with the next
 * read.
 */
static int
read_member_head(struct archive *a, CvBuf *head, const void **data,
				 size_t *len, la_int64_t *offset)
{
	int			status;
	const void *more;
	size_t		more_len;
	la_int64_t	more_offset;

	*data = NULL;
	*len = 0;
	*offset = 0;
	status = archive_read_data_block(a, data, len, offset);
	if ((status != ARCHIVE_OK && status != ARCHIVE_WARN) || *offset != 0 ||
		*len >= TAR_BLOCK)
		return status;
	head->len = 0;
	cv_buf_add(head, *data, *len);
	while (head->len < TAR_BLOCK)
	{
		int			next = archive_read_data_block(a, &more, &more_len,
												   &more_offset);

		if (next != ARCHIVE_OK && next != ARCHIVE_WARN)
			break;
		if (more_offset != (la_int64_t) head->len)
		{
			/* Stop at a hole: the caller must see it. */
			*offset = more_offset;
			break;
		}
		cv_buf_add(head, more, more_len);
	}
	*data = head->data;
	*len = head->len;
	return status;
}

/*
 * Sends the members of an open archive until its end or an error.  After an
 * error it sends the message and returns false.  "only" restricts the members
 * to those with that base name.  "within" is the archive's own name in an
 * outer archive, a prefix of its members' names.  "depth" counts the archives
 * around this one.
 */
static bool
read_each(CvReader *reader, struct archive *a, const char *path,
		  const char *only, const char *within, int depth, CvBuf *full, CvBuf *head)
{
	struct archive_entry *entry;
	int			status;

	for (;;)
	{
		const char *name;
		const void *data;
		size_t		len;
		la_int64_t	offset;
		la_int64_t	expected = 0;

		status = archive_read_next_header(a, &entry);
		if (status == ARCHIVE_EOF)
			return true;
		if (status == ARCHIVE_RETRY)
			continue;
		if (status < ARCHIVE_WARN)
			return cv_archive_fail(reader, "The archive is damaged or cut off: download "
								   "it again and compare its checksum.",
								   "could not read \"%s\": %s", path, error_text(a));
		name = archive_entry_pathname_utf8(entry);
		if (name == NULL)
			name = archive_entry_pathname(entry);
		if (name == NULL)
			name = "(unreadable name)";
		if (within != NULL)
		{
			full->len = 0;
			cv_buf_printf(full, "%s/%s", within, name);
			name = full->data;
		}
		if (only != NULL && strcmp(cv_archive_base_name(name), only) != 0)
			continue;
		if (archive_entry_filetype(entry) != AE_IFREG ||
			archive_entry_hardlink(entry) != NULL)
		{
			if (archive_entry_filetype(entry) != AE_IFDIR)
				atomic_fetch_add(&reader->skipped, 1);
			continue;
		}
		status = read_member_head(a, head, &data, &len, &offset);
		if ((status == ARCHIVE_OK || status == ARCHIVE_WARN) && offset == 0)
		{
			if (cv_is_zip(data, len))
			{
				if (!send_unread(reader, name, "a zip archive in an archive"))
					return false;
				continue;
			}
			if (cv_is_compressed(data, len) ||
				cv_is_tar_header(data, len))
			{
				if (!read_packed_member(reader, a, path, name, depth, data,
										len))
					return false;
				continue;
			}
		}
		if (!cv_ring_send(reader, CV_BLOCK_MEMBER, cv_strdup(name), NULL, true,
						  archive_entry_size_is_set(entry) ? archive_entry_size(entry)
						  : -1,
						  0))
			return false;
		for (; status == ARCHIVE_OK || status == ARCHIVE_WARN;
			 status = archive_read_data_block(a, &data, &len, &offset))
		{
			/*
			 * A hole would need as many zeros as the header claims.  No dump
			 * has one.
			 */
			if (offset != expected)
				return cv_archive_fail(reader, NULL,
									   "cannot read \"%s\": member \"%s\" is sparse",
									   path, name);
			expected = offset + (la_int64_t) len;
			if (!cv_ring_data(reader, data, len))
				return false;
		}
		if (status != ARCHIVE_EOF)
			return cv_archive_fail(reader, "The archive is damaged or cut off: download "
								   "it again and compare its checksum.",
								   "could not read \"%s\" in member \"%s\" at offset "
								   "%lld: %s",
								   path, name, (long long) expected, error_text(a));
		if (!cv_archive_send_end(reader, CV_BLOCK_MEMBER_END))
			return false;
	}
}

static bool
read_members(CvReader *reader, struct archive *a, const char *path,
			 const char *only, const char *within, int depth)
{
	CvBuf		full = {0};
	CvBuf		head = {0};
	bool		ok = read_each(reader, a, path, only, within, depth, &full,
							   &head);

	cv_buf_free(&full);
	cv_buf_free(&head);
	return ok;
}

static bool
read_tar(Stream *stream, const char *path, const char *within, int depth)
{
	CvReader   *reader = stream->reader;
	struct archive *upper = archive_read_new();
	const void *data;
	la_ssize_t	len;
	bool		ok = false;

	if (upper == NULL)
		return cv_archive_fail(reader, NULL, "out of memory");
	archive_read_support_format_tar(upper);
	/* Archives may be appended to each other: read all of them. */
	archive_read_set_options(upper, "read_concatenated_archives");
	if (archive_read_open(upper, stream, NULL, tar_read, NULL) != ARCHIVE_OK)
		cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
						error_text(upper));
	else
		ok = read_members(reader, upper, path, NULL, within, depth + 1);
	archive_read_free(upper);
	if (!ok)
		return false;

	/* Read on behind the last member, up to the end of the compressed file. */
	while ((len = stream_next(stream, &data)) > 0)
	{
	}
	if (len < 0)
		return cv_archive_fail(reader, "The archive is damaged or cut off: download it "
							   "again and compare its checksum.",
							   "could not read \"%s\" to its end: %s", path,
							   error_text(stream->lower));
	for (size_t i = 0; i < stream->tail_len; i++)
		ok = ok && stream->tail[i] == '\0';
	if (!ok || stream->tail_len < TAR_END)
		return cv_archive_fail(reader, "The archive was cut off between two members, or "
							   "something was appended: download it again and compare "
							   "its checksum.",
							   "could not read \"%s\" to its end: the end-of-archive "
							   "blocks are missing",
							   path);
	return true;
}

static const char *const suffixes[] = {".zst", ".xz", ".gz", ".bz2", ".lzma",
	".lz4"};

static bool
read_plain(Stream *stream, const char *path, const char *name, int64_t size,
		   int64_t mtime, bool in_folder)
{
	CvReader   *reader = stream->reader;
	char	   *member = cv_strdup(name);
	char	   *point = strrchr(member, '.');
	const void *data;
	la_ssize_t	len;

	/* 1.listens.gz holds 1.listens */
	if (point != NULL && point > member &&
		archive_filter_code(stream->lower, 0) != ARCHIVE_FILTER_NONE)
		for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
			if (strcmp(point, suffixes[i]) == 0)
				*point = '\0';
	if (!cv_ring_send(reader, CV_BLOCK_MEMBER, member, NULL, in_folder, size,
					  mtime))
		return false;
	while ((len = stream_next(stream, &data)) > 0)
		if (!cv_ring_data(reader, data, (size_t) len))
			return false;
	if (len < 0)
		return cv_archive_fail(reader, stream_hint(stream->lower),
							   "could not read \"%s\" at offset %lld: %s", path,
							   (long long) stream->given, error_text(stream->lower));
	return cv_archive_send_end(reader, CV_BLOCK_MEMBER_END);
}

static void
support_filters(struct archive *a)
{
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_lz4(a);
}

/*
 * A zip file is read twice: in a user's export, user.json with the user's
 * number may come after the listens.
 */
static bool
read_zip(CvReader *reader, const char *path, int fd)
{
	bool		ok = true;

	for (int pass = 1; ok && pass <= 2; pass++)
	{
		struct archive *a = archive_read_new();

		if (a == NULL)
			return cv_archive_fail(reader, NULL, "out of memory");
		archive_read_support_format_zip(a);
		if (lseek(fd, 0, SEEK_SET) != 0 ||
			archive_read_open_fd(a, fd, CV_BLOCK_BYTES) != ARCHIVE_OK)
			ok = cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
								 error_text(a));
		else
			ok = read_members(reader, a, path, pass == 1 ? "user.json" : NULL,
							  NULL, 1);
		archive_read_free(a);
	}
	return ok;
}

/* Returns a hint for a compressed stream that could not be read. */
static const char *
stream_hint(struct archive *a)
{
	if (strstr(error_text(a), "too much memory") != NULL)
		return "The file was compressed with a window that needs much memory: "
			"zstd -dc --long=31 FILE | lbrec-convert ... - reads it.";
	return "The file is damaged or cut off: download it again and compare its "
		"checksum.";
}

static bool
stream_fail(Stream *stream, const char *path)
{
	return cv_archive_fail(stream->reader, stream_hint(stream->lower),
						   "could not read \"%s\": %s", path,
						   error_text(stream->lower));
}

/* Creates the archive that undoes the compression; it is not yet open. */
static bool
create_lower(Stream *stream)
{
	stream->lower = archive_read_new();
	if (stream->lower == NULL)
		return cv_archive_fail(stream->reader, NULL, "out of memory");
	support_filters(stream->lower);
	archive_read_support_format_raw(stream->lower);
	archive_read_support_format_empty(stream->lower);
	return true;
}

/*
 * Returns the head of an open stream, at least as long as a tar header.  It
 * reads whole blocks, because libarchive drops the rest of a block if
 * archive_read_data_block() follows archive_read_data().
 */
static bool
read_head(Stream *stream, const char *path)
{
	struct archive_entry *entry;
	const void *data;
	size_t		len;
	la_int64_t	offset;
	int			status = archive_read_next_header(stream->lower, &entry);

	while (status >= ARCHIVE_WARN && status != ARCHIVE_EOF &&
		   stream->head.len < TAR_BLOCK)
	{
		status = archive_read_data_block(stream->lower, &data, &len, &offset);
		if (status >= ARCHIVE_WARN && status != ARCHIVE_EOF)
			cv_buf_add(&stream->head, data, len);
	}
	stream->ended = status == ARCHIVE_EOF;
	return status >= ARCHIVE_WARN || stream_fail(stream, path);
}

/* --- a member that is compressed, or an archive ------------------------- */

typedef struct Outer
{
	struct archive *a;
	const void *first;			/* a block that was read already */
	size_t		first_len;
} Outer;

static la_ssize_t
outer_read(struct archive *lower, void *arg, const void **data)
{
	Outer	   *outer = arg;
	size_t		len = outer->first_len;
	la_int64_t	offset;
	int			status;

	*data = outer->first;
	outer->first_len = 0;
	while (len == 0)
	{
		status = archive_read_data_block(outer->a, data, &len, &offset);
		if (status == ARCHIVE_EOF)
			return 0;
		if (status < ARCHIVE_WARN)
		{
			archive_set_error(lower, archive_errno(outer->a), "%s",
							  error_text(outer->a));
			return ARCHIVE_FATAL;
		}
	}
	return (la_ssize_t) len;
}

/*
 * data and len are the member's first block, which stays valid until the next
 * read.
 */
static bool
read_packed_member(CvReader *reader, struct archive *a, const char *path,
				   const char *name, int depth, const void *data, size_t len)
{
	Outer		outer = {a, data, len};
	Stream		stream = {.reader = reader, .nested = true};
	CvBuf		inner = {0};
	bool		ok = false;

	if (depth > MAX_NESTING)
		return send_unread(reader, name, "an archive in too many archives");
	cv_buf_printf(&inner, "%s", name);
	if (create_lower(&stream))
	{
		/*
		 * The name must outlive the entry, and the archive must outlive the
		 * read.
		 */
		if (archive_read_open(stream.lower, &outer, NULL, outer_read, NULL) !=
			ARCHIVE_OK)
			stream_fail(&stream, inner.data);
		else if (!read_head(&stream, inner.data))
			ok = false;
		else if (cv_is_zip(stream.head.data, stream.head.len))
			ok = send_unread(reader, inner.data, "a zip archive in an archive");
		else if (cv_is_compressed(stream.head.data, stream.head.len))
			ok = send_unread(reader, inner.data, "compressed twice");
		else if (cv_is_tar_header((unsigned char *) stream.head.data,
								  stream.head.len))
			ok = read_tar(&stream, path, inner.data, depth);
		else
			ok = read_plain(&stream, path, inner.data, -1, 0, true);
		archive_read_free(stream.lower);
	}
	cv_buf_free(&stream.head);
	cv_buf_free(&inner);
	return ok;
}

/*
 * path is used in messages.  name is the member's name if the file is no
 * archive.
 */
bool
cv_archive_read(CvReader *reader, int fd, const char *path, const char *name,
				bool in_folder)
{
	Stream		stream = {.reader = reader};
	struct stat st;
	char		magic[4];
	bool		ok = false;

	if (fstat(fd, &st) != 0)
		return cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
							   strerror(errno));
	if (S_ISREG(st.st_mode) && pread(fd, magic, 4, 0) == 4 &&
		cv_is_zip(magic, 4))
		return read_zip(reader, path, fd);

	if (!create_lower(&stream))
		return false;
	if (archive_read_open_fd(stream.lower, fd, 256 << 10) != ARCHIVE_OK)
		stream_fail(&stream, path);
	else if (!read_head(&stream, path))
		ok = false;
	else if (cv_is_zip(stream.head.data, stream.head.len))
		cv_archive_fail(reader, "Give the name of the file: its table of "
						"contents is at its end.",
						"cannot read a zip archive from a pipe: \"%s\"", path);
	else if (cv_is_tar_header((unsigned char *) stream.head.data,
							  stream.head.len))
		ok = read_tar(&stream, path, NULL, 0);
	else
		ok = read_plain(&stream, path, name,
						S_ISREG(st.st_mode) &&
						archive_filter_code(stream.lower, 0) ==
						ARCHIVE_FILTER_NONE
						? (int64_t) st.st_size
						: -1,
						(int64_t) st.st_mtim.tv_sec * 1000000000 +
						st.st_mtim.tv_nsec,
						in_folder);
	archive_read_free(stream.lower);
	cv_buf_free(&stream.head);
	return ok;
}
