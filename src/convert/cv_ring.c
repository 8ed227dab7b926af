/*
 * cv_ring.c
 *		Hands blocks from the reading thread to the consumer.
 *
 * A ring of CV_BLOCKS blocks: the reader waits when all are filled, the
 * consumer when none is.  With blocks of half a megabyte the lock costs almost
 * nothing.  The consumer owns a block until it asks for the next.
 */
#include "cv_ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns a free block to fill, or NULL if the consumer has stopped. */
static CvBlock *
ring_get(CvReader *reader)
{
	CvBlock    *block = NULL;

	pthread_mutex_lock(&reader->lock);
	while (reader->count == CV_BLOCKS && !reader->stop)
		pthread_cond_wait(&reader->freed, &reader->lock);
	if (!reader->stop)
		block = &reader->blocks[reader->head];
	pthread_mutex_unlock(&reader->lock);
	return block;
}

static void
ring_put(CvReader *reader)
{
	pthread_mutex_lock(&reader->lock);
	reader->head = (reader->head + 1) % CV_BLOCKS;
	reader->count++;
	pthread_cond_signal(&reader->filled);
	pthread_mutex_unlock(&reader->lock);
}

CvBlock *
cv_reader_next(CvReader *reader)
{
	CvBlock    *block;

	pthread_mutex_lock(&reader->lock);
	if (reader->lent)
	{
		reader->count--;
		reader->lent = false;
		pthread_cond_signal(&reader->freed);
	}
	while (reader->count == 0)
		pthread_cond_wait(&reader->filled, &reader->lock);
	block = &reader->blocks[(reader->head + CV_BLOCKS - reader->count) %
							CV_BLOCKS];
	reader->lent = true;
	reader->ended =
		block->type == CV_BLOCK_END || block->type == CV_BLOCK_FAILED;
	pthread_mutex_unlock(&reader->lock);
	return block;
}

static void
flush_data(CvReader *reader)
{
	if (reader->filling == NULL)
		return;
	memset(reader->filling->data + reader->filling->len, 0, CV_PADDING);
	reader->filling = NULL;
	ring_put(reader);
}

bool
cv_ring_data(CvReader *reader, const char *data, size_t len)
{
	while (len > 0)
	{
		CvBlock    *block = reader->filling;
		size_t		part;

		if (block == NULL)
		{
			block = ring_get(reader);
			if (block == NULL)
				return false;
			block->type = CV_BLOCK_DATA;
			block->len = 0;
			reader->filling = block;
		}
		part = CV_BLOCK_BYTES - block->len;
		if (part > len)
			part = len;
		memcpy(block->data + block->len, data, part);
		block->len += part;
		data += part;
		len -= part;
		if (block->len == CV_BLOCK_BYTES)
			flush_data(reader);
	}
	return true;
}

/*
 * Sends a block of any type but DATA.  Frees name later, which the caller
 * allocated.
 */
bool
cv_ring_send(CvReader *reader, CvBlockType type, char *name, char *hint,
			 bool archive, int64_t size, int64_t mtime)
{
	CvBlock    *block;

	flush_data(reader);
	block = ring_get(reader);
	if (block == NULL)
	{
		free(name);
		free(hint);
		return false;
	}
	free(block->name);
	free(block->hint);
	block->type = type;
	block->name = name;
	block->hint = hint;
	block->archive = archive;
	block->size = size;
	block->mtime = mtime;
	block->len = 0;
	ring_put(reader);
	return true;
}
