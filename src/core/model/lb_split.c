/*
 * lb_split.c
 *		The shuffle buffer of tf.data.
 *
 * Dataset.shuffle(size) fills a buffer with the first rows of the stream; each
 * output is a random row of the buffer, whose place the stream's next row
 * takes.  The k-th output can only be one of the first size + k rows.  So the
 * preprint's 50,000 listens all come from the beginning of its file, and a
 * full shuffle would be another protocol.
 */
#include "core/model/lb_split.h"

/*
 * Draws the first n_out outputs for a stream of rows 0 ..  n - 1, n_out <= n.
 * buffer has room for buffer_size rows.
 */
void
lb_shuffle_buffer(uint32_t *out, int64_t n_out, int64_t n, uint32_t *buffer,
				  int64_t buffer_size, LbRandom *rng)
{
	int64_t		filled = buffer_size < n ? buffer_size : n;
	int64_t		next = filled;

	for (int64_t i = 0; i < filled; i++)
		buffer[i] = (uint32_t) i;
	for (int64_t i = 0; i < n_out; i++)
	{
		int64_t		k = (int64_t) lb_random_below(rng, (uint64_t) filled);

		out[i] = buffer[k];
		if (next < n)
			buffer[k] = (uint32_t) next++;
		else
			buffer[k] = buffer[--filled];
	}
}
