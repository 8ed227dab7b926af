/*
 * cv_magic.c
 *		Recognises the kind of a file by its first bytes.
 */
#include "cv_magic.h"

#include <string.h>

/*
 * A tar header holds the sum of its own bytes, a far stricter test than a
 * magic number.
 */
bool
cv_is_tar_header(const unsigned char *block, size_t len)
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

/* True if a file with this beginning must be unpacked before it is read. */
bool
cv_is_compressed(const void *data, size_t len)
{
	static const struct
	{
		const char *magic;
		size_t		len;
	}			kinds[] = {
		{"\x28\xb5\x2f\xfd", 4},	/* zstd */
		{"\xfd" "7zXZ", 6},		/* xz, with its NUL */
		{"\x1f\x8b\x08", 3},	/* gzip */
		{"\x04\x22\x4d\x18", 4},	/* lz4 */
		{"\x5d\x00\x00", 3}		/* lzma */
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (len >= kinds[i].len && memcmp(data, kinds[i].magic, kinds[i].len) == 0)
			return true;
	/* bzip2's magic number alone could begin a text. */
	return len >= 6 && memcmp(data, "BZh", 3) == 0 &&
		(memcmp((const char *) data + 4, "1A", 2) == 0 ||
		 memcmp((const char *) data + 4, "\x17\x72", 2) == 0);
}

bool
cv_is_zip(const void *data, size_t len)
{
	return len >= 4 && (memcmp(data, "PK\003\004", 4) == 0 ||
						memcmp(data, "PK\005\006", 4) == 0);
}
