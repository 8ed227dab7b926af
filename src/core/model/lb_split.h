/*
 * lb_split.h
 *		The shuffle buffer of tf.data.
 */
#ifndef LB_SPLIT_H
#define LB_SPLIT_H

#include "core/lb_random.h"

extern void lb_shuffle_buffer(uint32_t *out, int64_t n_out, int64_t n,
							  uint32_t *buffer, int64_t buffer_size,
							  LbRandom *rng);

#endif							/* LB_SPLIT_H */
