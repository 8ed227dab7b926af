/*
 * cv_reader.h
 *		The reading thread: inputs to blocks of member bytes.
 */
#ifndef CV_READER_H
#define CV_READER_H

#include "cv.h"

/* The fuzzers have smaller ones, to see what crosses their borders. */
#ifndef CV_BLOCK_BYTES
#define CV_BLOCK_BYTES ((size_t) 512 << 10)
#endif
#define CV_BLOCKS 8

typedef enum CvBlockType
{
	CV_BLOCK_INPUT,				/* a new input: name */
	CV_BLOCK_MEMBER,			/* a member begins: name, size */
	CV_BLOCK_DATA,				/* its bytes: data, len */
	CV_BLOCK_MEMBER_END,
	CV_BLOCK_UNREAD,			/* a member that is not read: name, and hint
								 * says what it is */
	CV_BLOCK_INPUT_END,
	CV_BLOCK_FAILED,			/* cannot go on: name is the message */
	CV_BLOCK_END				/* no more inputs */
} CvBlockType;

typedef struct CvBlock
{
	CvBlockType type;
	bool		archive;		/* MEMBER: of an archive or folder */
	int64_t		size;			/* MEMBER: bytes, -1 if unknown */
	int64_t		mtime;			/* MEMBER of no archive: to know it again */
	char	   *name;
	char	   *hint;			/* FAILED: what to do, or NULL */
	size_t		len;
	char	   *data;			/* CV_BLOCK_BYTES + CV_PADDING */
} CvBlock;

typedef struct CvReader CvReader;

extern CvReader *cv_reader_start(char *const *paths, int n_paths);

/* The next block, valid until the next call. */
extern CvBlock *cv_reader_next(CvReader *reader);

/* Ends the thread, wherever it is. */
extern void cv_reader_stop(CvReader *reader);

/* Compressed bytes read and to be read in all; the latter 0 if unknown. */
extern void cv_reader_position(CvReader *reader, int64_t *done,
							   int64_t *total);

/* Regular members and files only are read; the others are counted. */
extern int64_t cv_reader_skipped(CvReader *reader);

#endif							/* CV_READER_H */
