/*
 * search.h
 *		Binary search.
 */
#ifndef LBREC_SERVER_SEARCH_H
#define LBREC_SERVER_SEARCH_H

/*
 * A binary search.  Sets at, an int64 variable, to the first value from first
 * up to end, excluded, for which the expression below, which reads at, is
 * false; to end if it is true for all.  It must be true for a prefix of these
 * values.
 */
#define LBREC_SEARCH(at, first, end, below) \
	do \
	{ \
		int64		low_ = (first); \
		int64		high_ = (end); \
		\
		while (low_ < high_) \
		{ \
			(at) = low_ + (high_ - low_) / 2; \
			if (below) \
				low_ = (at) + 1; \
			else \
				high_ = (at); \
		} \
		(at) = low_; \
	} while (0)

#endif							/* LBREC_SERVER_SEARCH_H */
