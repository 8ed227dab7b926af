/*
 * search.h
 *		Binary search.
 */
#ifndef LBREC_SERVER_SEARCH_H
#define LBREC_SERVER_SEARCH_H

/*
 * Sets at, an int64 variable, to the first place from first on, and before
 * end, at which the expression below, which reads at, is false; to end if it is
 * true at all of them.  Places at which it is true come first.
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
