/*
 * fuzz_archive.c
 *		Fuzzer's entry: a file as somebody sent it, of every kind, to rows.
 *
 * All of the converter but its main() and its targets: the reading thread,
 * libarchive, and what fuzz_lines.c has.  An input is
 *
 *	flags portion content
 *
 * The low three bits of flags choose the compression of content, or none, so a
 * fuzzer can reach the code behind a decompressor without writing its
 * checksums.  The checksums of tar headers can be corrected likewise.
 *
 * The file is read twice, the second time by reads of portion bytes, as a
 * pipe or a network file system may give them.
 */
#include "fuzz.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAG_PACK 7
#define FLAG_USER 8
#define FLAG_SUMS 16			/* correct the checksums */
#define FLAG_TABLE 128			/* of listens alone */

static size_t portion;

/*
 * Replaces the C library's read(), for libarchive too: any file may give short
 * reads.
 */
ssize_t
read(int fd, void *buf, size_t count)
{
	if (portion > 0 && count > portion)
		count = portion;
	return syscall(SYS_read, fd, buf, count);
}

#define TAR_BLOCK 512

/*
 * Walks the members as tar does, and corrects each header's checksum.  A
 * header without an octal size ends the walk.
 */
static void
fix_sums(unsigned char *tar, size_t size)
{
	size_t		at = 0;

	while (at + TAR_BLOCK <= size && tar[at] != '\0')
	{
		unsigned char *header = tar + at;
		unsigned	sum = 0;
		size_t		len = 0;
		char		text[8];

		memset(header + 148, ' ', 8);
		for (int i = 0; i < TAR_BLOCK; i++)
			sum += header[i];
		snprintf(text, sizeof(text), "%06o", sum);
		memcpy(header + 148, text, 7);
		for (int i = 124; i < 136; i++)
			if (header[i] >= '0' && header[i] <= '7')
				len = len * 8 + (size_t) (header[i] - '0');
		if (len > size)
			break;
		at += TAR_BLOCK + (len + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	}
}

static la_ssize_t
pack_write(struct archive *a, void *arg, const void *data, size_t len)
{
	(void) a;
	cv_buf_add(arg, data, len);
	return (la_ssize_t) len;
}

static void
pack(CvBuf *packed, int how, const unsigned char *data, size_t size)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	FUZZ_REQUIRE(archive_write_set_format_raw(a) == ARCHIVE_OK);
	switch (how)
	{
		case 1:
			archive_write_add_filter_zstd(a);
			break;
		case 2:
			archive_write_add_filter_xz(a);
			archive_write_set_filter_option(a, "xz", "compression-level", "0");
			break;
		case 3:
			archive_write_add_filter_gzip(a);
			break;
		case 4:
			archive_write_add_filter_bzip2(a);
			break;
		default:
			archive_write_add_filter_lz4(a);
			break;
	}
	archive_entry_set_pathname(entry, "x");
	archive_entry_set_filetype(entry, AE_IFREG);
	FUZZ_REQUIRE(archive_write_open(a, packed, NULL, pack_write, NULL) ==
				 ARCHIVE_OK);
	FUZZ_REQUIRE(archive_write_header(a, entry) == ARCHIVE_OK);
	FUZZ_REQUIRE(archive_write_data(a, data, size) == (la_ssize_t) size);
	FUZZ_REQUIRE(archive_write_close(a) == ARCHIVE_OK);
	archive_write_free(a);
	archive_entry_free(entry);
}

static void
run(FuzzSink *sink, const CvOptions *options, int fd, CvResult *result)
{
	char		path[64];
	char	   *paths[] = {path};

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fuzz_sink_begin(sink, options->table, false);
	fuzz_expect_begin();
	cv_run(options, paths, 1, &sink->target, NULL, result);
	fuzz_check_run(sink, result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int	fd = -1;
	unsigned char *content;
	CvBuf		packed = {0};
	CvOptions	options = {0};
	CvResult	whole,
				parts;
	FuzzSink	a,
				b;
	int			how;

	if (size < 3)
		return 0;
	if (fd < 0)
	{
		stderr = fopen("/dev/null", "w");
		fd = memfd_create("input", 0);
		FUZZ_REQUIRE(stderr != NULL && fd >= 0);
	}
	options.table = (data[0] & FLAG_TABLE) != 0 ? CV_TABLE_LISTEN
		: CV_TABLE_BOTH;
	options.has_user_id = (data[0] & FLAG_USER) != 0;
	options.user_id = options.has_user_id ? 7 : 0;
	how = data[0] & FLAG_PACK;
	content = cv_alloc(size - 2);
	memcpy(content, data + 2, size - 2);
	if ((data[0] & FLAG_SUMS) != 0)
		fix_sums(content, size - 2);
	if (how == 0 || how > 5)
		cv_buf_add(&packed, content, size - 2);
	else
		pack(&packed, how, content, size - 2);
	FUZZ_REQUIRE(ftruncate(fd, 0) == 0);
	FUZZ_REQUIRE(pwrite(fd, packed.data, packed.len, 0) ==
				 (ssize_t) packed.len);

	portion = 0;
	run(&a, &options, fd, &whole);
	portion = (size_t) data[1] * 4 + 1;
	run(&b, &options, fd, &parts);
	portion = 0;
	fuzz_check_equal(&a, &whole, &b, &parts);
	fuzz_sink_free(&a);
	fuzz_sink_free(&b);
	cv_buf_free(&packed);
	free(content);
	return 0;
}
