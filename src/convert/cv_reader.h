/*
 * cv_reader.h
 *		The reading thread: turns inputs into blocks of member bytes.
 */
#ifndef CV_READER_H
#define CV_READER_H

#include "cv.h"

/* Fuzzers use small blocks, so that pieces cross their borders. */
#ifndef CV_BLOCK_BYTES
#define CV_BLOCK_BYTES ((size_t) 512 << 10)
#endif
#define CV_BLOCKS 8

typedef enum CvBlockType
{
	CV_BLOCK_INPUT,				/* a new input: name */
	CV_BLOCK_MEMBER,			/* a member begins: name, size */
	CV_BLOCK_DATA,				/* bytes of the member: data, len */
	CV_BLOCK_MEMBER_END,
	CV_BLOCK_UNREAD,			/* a member that is not read: name; hint names
								 * its kind */
	CV_BLOCK_INPUT_END,
	CV_BLOCK_FAILED,			/* an error: name is the message */
	CV_BLOCK_END				/* no more inputs */
} CvBlockType;

typedef struct CvBlock
{
	CvBlockType type;
	bool		archive;		/* MEMBER: of an archive or folder */
	int64_t		size;			/* MEMBER: bytes, -1 if unknown */
	int64_t		mtime;			/* MEMBER of no archive: identifies the file
								 * with size */
	char	   *name;
	char	   *hint;			/* FAILED: what to do, or NULL */
	size_t		len;
	char	   *data;			/* CV_BLOCK_BYTES + CV_PADDING */
} CvBlock;

typedef struct CvReader CvReader;

extern CvReader *cv_reader_start(char *const *paths, int n_paths);

/* Returns the next block, valid until the next call. */
extern CvBlock *cv_reader_next(CvReader *reader);

/* Ends the thread at any point. */
extern void cv_reader_stop(CvReader *reader);

/* Returns compressed bytes read and their total, 0 if unknown. */
extern void cv_reader_position(CvReader *reader, int64_t *done,
							   int64_t *total);

/* Returns the number of skipped members that are no regular files. */
extern int64_t cv_reader_skipped(CvReader *reader);

#endif							/* CV_READER_H */
