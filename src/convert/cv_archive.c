/*
 * cv_archive.c
 *		One open file of any kind to members and their bytes.
 *
 * What a file holds is found by its first bytes, never by its name.
 * Decompression and tar are two libarchive readers on top of each other: the
 * lower one (format "raw") undoes the compression, the upper one reads tar
 * from it.  One reader could do both, but then nobody sees the end of the tar
 * stream: libarchive 3.6 takes a tar file cut exactly between two members for
 * a complete one.  So we keep the last bytes and require the end-of-archive
 * blocks.
 *
 * Archives come from strangers.  Nothing is ever written by a member's name;
 * links, devices and sparse members are not followed; only in-process
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

#define TAR_BLOCK 512
#define TAR_END (2 * TAR_BLOCK)

/* The decompressed bytes of one file. */
typedef struct Stream
{
	CvReader   *reader;
	struct archive *lower;
	CvBuf		head;			/* the first bytes, read to know the kind */
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

static void
note_position(CvReader *reader, struct archive *a)
{
	atomic_store(&reader->position,
				 atomic_load(&reader->done_before) +
				 archive_filter_bytes(a, -1));
}

/*
 * The next decompressed bytes, 0 at the end, -1 on an error, which is then
 * lower's.  Also the read callback of the tar reader on top.
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

/*
 * The members of an open archive, until its end or an error.  After an
 * error, the message is sent and false returned.  With only, nothing but the
 * members of that base name.
 */
static bool
read_members(CvReader *reader, struct archive *a, const char *path,
			 const char *only)
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
		if (only != NULL && strcmp(cv_archive_base_name(name), only) != 0)
			continue;
		if (archive_entry_filetype(entry) != AE_IFREG ||
			archive_entry_hardlink(entry) != NULL)
		{
			if (archive_entry_filetype(entry) != AE_IFDIR)
				atomic_fetch_add(&reader->skipped, 1);
			continue;
		}
		if (!cv_ring_send(reader, CV_BLOCK_MEMBER, cv_strdup(name), NULL, true,
						  archive_entry_size_is_set(entry) ? archive_entry_size(entry)
						  : -1,
						  0))
			return false;
		while ((status = archive_read_data_block(a, &data, &len, &offset)) ==
			   ARCHIVE_OK ||
			   status == ARCHIVE_WARN)
		{
			/*
			 * A hole would have to be filled with zeros, as many as the
			 * header likes; no dump has one.
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

/* A tar file's header sums up its own bytes: far stricter than a magic. */
static bool
is_tar_header(const unsigned char *block, size_t len)
{
	unsigned	sum = 0;
	unsigned	stated = 0;

	if (len < TAR_BLOCK)
		return false;
	for (int i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	for (int i = 148; i < 156; i++)
	{
		if (block[i] >= '0' && block[i] <= '7')
			stated = stated * 8 + (block[i] - '0');
		else if (block[i] != ' ' && block[i] != '\0')
			return false;
	}
	return block[0] != '\0' && stated == sum;
}

static bool
read_tar(Stream *stream, const char *path)
{
	CvReader   *reader = stream->reader;
	struct archive *upper = archive_read_new();
	const void *data;
	la_ssize_t	len;
	bool		ok = false;

	if (upper == NULL)
		return cv_archive_fail(reader, NULL, "out of memory");
	archive_read_support_format_tar(upper);
	/* Two archives after each other: both are read, none is lost. */
	archive_read_set_options(upper, "read_concatenated_archives");
	if (archive_read_open(upper, stream, NULL, tar_read, NULL) != ARCHIVE_OK)
		cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
						error_text(upper));
	else
		ok = read_members(reader, upper, path, NULL);
	archive_read_free(upper);
	if (!ok)
		return false;

	/* What follows the last member, up to the compressed file's end. */
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

static bool
read_plain(Stream *stream, const char *path, const char *name, int64_t size,
		   int64_t mtime, bool in_folder)
{
	CvReader   *reader = stream->reader;
	const void *data;
	la_ssize_t	len;

	if (!cv_ring_send(reader, CV_BLOCK_MEMBER, cv_strdup(name), NULL, in_folder, size,
					  mtime))
		return false;
	while ((len = stream_next(stream, &data)) > 0)
		if (!cv_ring_data(reader, data, (size_t) len))
			return false;
	if (len < 0)
		return cv_archive_fail(reader, "The file is damaged or cut off: download it "
							   "again and compare its checksum.",
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
 * A zip file is read twice: a user's export may have user.json, which says
 * whose listens they are, behind the listens.
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
			ok = read_members(reader, a, path, pass == 1 ? "user.json" : NULL);
		archive_read_free(a);
	}
	return ok;
}

/* path is for messages, name for the member if the file is only one. */
bool
cv_archive_read(CvReader *reader, int fd, const char *path, const char *name,
				bool in_folder)
{
	Stream		stream = {.reader = reader};
	struct archive_entry *entry;
	struct stat st;
	char		magic[4];
	bool		ok = false;
	int			status;

	if (fstat(fd, &st) != 0)
		return cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
							   strerror(errno));
	if (S_ISREG(st.st_mode) && pread(fd, magic, 4, 0) == 4 &&
		(memcmp(magic, "PK\003\004", 4) == 0 ||
		 memcmp(magic, "PK\005\006", 4) == 0))
		return read_zip(reader, path, fd);

	stream.lower = archive_read_new();
	if (stream.lower == NULL)
		return cv_archive_fail(reader, NULL, "out of memory");
	support_filters(stream.lower);
	archive_read_support_format_raw(stream.lower);
	archive_read_support_format_empty(stream.lower);
	if (archive_read_open_fd(stream.lower, fd, 256 << 10) != ARCHIVE_OK)
		cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
						error_text(stream.lower));
	else if ((status = archive_read_next_header(stream.lower, &entry)) <
			 ARCHIVE_WARN)
		cv_archive_fail(reader, NULL, "could not read \"%s\": %s", path,
						error_text(stream.lower));
	else
	{
		/*
		 * Whole blocks: libarchive forgets what archive_read_data() leaves of
		 * one when archive_read_data_block() follows.
		 */
		const void *data;
		size_t		len;
		la_int64_t	offset;

		while (status >= ARCHIVE_WARN && status != ARCHIVE_EOF &&
			   stream.head.len < TAR_BLOCK)
		{
			status =
				archive_read_data_block(stream.lower, &data, &len, &offset);
			if (status >= ARCHIVE_WARN && status != ARCHIVE_EOF)
				cv_buf_add(&stream.head, data, len);
		}
		stream.ended = status == ARCHIVE_EOF;
		if (status < ARCHIVE_WARN)
			cv_archive_fail(reader, "The file is damaged or cut off: download it again "
							"and compare its checksum.",
							"could not read \"%s\": %s", path, error_text(stream.lower));
		else if (stream.head.len >= 4 &&
				 memcmp(stream.head.data, "PK\003\004", 4) == 0)
			cv_archive_fail(reader, "Give the name of the file: its table of contents is "
							"at its end.",
							"cannot read a zip archive from a pipe: \"%s\"", path);
		else if (is_tar_header((unsigned char *) stream.head.data,
							   stream.head.len))
			ok = read_tar(&stream, path);
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
	}
	archive_read_free(stream.lower);
	cv_buf_free(&stream.head);
	return ok;
}
