/*
 * cv_reader.c
 *		The reading thread: turns inputs into blocks of member bytes.
 *
 * An input is a file, a folder, or standard input ("-"); cv_archive.c reads
 * the files, cv_ring.c hands their blocks over.  So one core decompresses
 * while the other parses, and memory is bounded by the ring.
 */
#include "cv_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
read_file(CvReader *reader, const char *path, const char *name,
		  bool in_folder)
{
	int			fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool		ok;

	if (fd < 0)
		return cv_archive_fail(reader, NULL, "could not open \"%s\": %s", path,
							   strerror(errno));
	ok = cv_archive_read(reader, fd, path, name, in_folder);
	if (fstat(fd, &st) == 0)
		atomic_fetch_add(&reader->done_before, st.st_size);
	atomic_store(&reader->position, atomic_load(&reader->done_before));
	close(fd);
	return ok;
}

/*
 * Orders 2005/2 before 2005/10, and the dump's TIMESTAMP before its listens,
 * as in an archive.
 */
static int
compare_names(const FTSENT * *a, const FTSENT * *b)
{
	bool		a_dir = (*a)->fts_info == FTS_D;
	bool		b_dir = (*b)->fts_info == FTS_D;

	if (a_dir != b_dir)
		return a_dir ? 1 : -1;
	return strverscmp((*a)->fts_name, (*b)->fts_name);
}

static bool
read_folder(CvReader *reader, const char *path)
{
	char	   *const roots[] = {(char *) path, NULL};
	FTS		   *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR,
							   compare_names);
	FTSENT	   *entry;
	size_t		prefix = strlen(path);
	bool		ok = true;

	if (fts == NULL)
		return cv_archive_fail(reader, NULL, "could not open \"%s\": %s", path,
							   strerror(errno));
	while (ok && (entry = fts_read(fts)) != NULL)
	{
		const char *name;

		switch (entry->fts_info)
		{
			case FTS_F:
				name = entry->fts_path + prefix;
				while (*name == '/')
					name++;
				ok = read_file(reader, entry->fts_accpath, name, true);
				break;
			case FTS_DNR:
			case FTS_ERR:
			case FTS_NS:
				ok = cv_archive_fail(reader, NULL, "could not read \"%s\": %s",
									 entry->fts_path, strerror(entry->fts_errno));
				break;
			case FTS_SL:
			case FTS_SLNONE:
			case FTS_DEFAULT:
				atomic_fetch_add(&reader->skipped, 1);
				break;
			default:
				break;
		}
	}
	fts_close(fts);
	return ok;
}

static bool
read_input(CvReader *reader, const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return cv_archive_read(reader, STDIN_FILENO, "standard input",
							   "standard input", false);
	if (stat(path, &st) != 0)
		return cv_archive_fail(reader, NULL, "could not open \"%s\": %s", path,
							   strerror(errno));
	if (S_ISDIR(st.st_mode))
		return read_folder(reader, path);
	return read_file(reader, path, cv_archive_base_name(path), false);
}

static void *
reader_main(void *arg)
{
	CvReader   *reader = arg;

	for (int i = 0; i < reader->n_paths; i++)
	{
		if (!cv_ring_send(reader, CV_BLOCK_INPUT, cv_strdup(reader->paths[i]), NULL,
						  false, 0, 0) ||
			!read_input(reader, reader->paths[i]) ||
			!cv_archive_send_end(reader, CV_BLOCK_INPUT_END))
			return NULL;
	}
	cv_archive_send_end(reader, CV_BLOCK_END);
	return NULL;
}

CvReader *
cv_reader_start(char *const *paths, int n_paths)
{
	CvReader   *reader = cv_alloc(sizeof(*reader));
	int64_t		total = 0;

	memset(reader, 0, sizeof(*reader));
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->filled, NULL);
	pthread_cond_init(&reader->freed, NULL);
	reader->paths = (char **) paths;
	reader->n_paths = n_paths;
	for (int i = 0; i < CV_BLOCKS; i++)
		reader->blocks[i].data = cv_alloc(CV_BLOCK_BYTES + CV_PADDING);
	for (int i = 0; i < n_paths; i++)
	{
		struct stat st;

		if (strcmp(paths[i], "-") == 0
			? fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode)
			: stat(paths[i], &st) == 0 && !S_ISREG(st.st_mode) &&
			!S_ISDIR(st.st_mode))
			reader->can_stall = true;
		/* The sizes inside folders and pipes are unknown. */
		if (total >= 0 && stat(paths[i], &st) == 0 && S_ISREG(st.st_mode))
			total += st.st_size;
		else
			total = -1;
	}
	atomic_store(&reader->total, total > 0 ? total : 0);
	if (pthread_create(&reader->thread, NULL, reader_main, reader) != 0)
	{
		cv_error("could not start the reading thread");
		exit(2);
	}
	return reader;
}

/* Global, so that leak checkers find the reader's memory. */
static CvReader *volatile abandoned;

void
cv_reader_stop(CvReader *reader)
{
	pthread_mutex_lock(&reader->lock);
	reader->stop = true;
	pthread_cond_signal(&reader->freed);
	pthread_mutex_unlock(&reader->lock);

	/*
	 * A pipe or a terminal may never give another byte, so do not wait for
	 * the thread.  It still uses the reader, which therefore stays until the
	 * program ends.
	 */
	if (!reader->ended && reader->can_stall)
	{
		abandoned = reader;
		return;
	}
	pthread_join(reader->thread, NULL);
	for (int i = 0; i < CV_BLOCKS; i++)
	{
		free(reader->blocks[i].data);
		free(reader->blocks[i].name);
		free(reader->blocks[i].hint);
	}
	pthread_mutex_destroy(&reader->lock);
	pthread_cond_destroy(&reader->filled);
	pthread_cond_destroy(&reader->freed);
	free(reader);
}

void
cv_reader_position(CvReader *reader, int64_t *done, int64_t *total)
{
	*done = atomic_load(&reader->position);
	*total = atomic_load(&reader->total);
}

int64_t
cv_reader_skipped(CvReader *reader)
{
	return atomic_load(&reader->skipped);
}
