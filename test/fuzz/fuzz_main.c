/*
 * fuzz_main.c
 *		Replays a corpus without a fuzzer: each argument a file, or a folder
 *		of files.
 *
 * In place of libFuzzer's main(), for gcc and for CI.  An input that breaks a
 * rule ends the program; the name printed last is its.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

static int
replay_file(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data = NULL;
	long		len = -1;
	size_t		got = 0;

	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		len = ftell(file);
	if (len >= 0)
	{
		/* Its exact size, so that a sanitizer sees reads behind it. */
		data = malloc((size_t) len);
		rewind(file);
		got = fread(data, 1, (size_t) len, file);
	}
	if (len < 0 || got != (size_t) len)
	{
		printf("could not read \"%s\"\n", path);
		exit(2);
	}
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, got);
	free(data);
	return 1;
}

static int
replay(const char *path)
{
	DIR		   *dir = opendir(path);
	struct dirent *entry;
	int			n = 0;

	if (dir == NULL)
		return replay_file(path);
	while ((entry = readdir(dir)) != NULL)
	{
		char		name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		n += replay(name);
	}
	closedir(dir);
	return n;
}

int
main(int argc, char **argv)
{
	int			n = 0;

	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("%d inputs\n", n);
	return n > 0 ? 0 : 2;
}
