/*
 * fuzz.h
 *		Shared by the converter's two fuzz harnesses: a target that keeps what
 *		it is given, and the properties that all of it must have.
 *
 * A fuzzer finds crashes by itself.  To find wrong answers it needs rules;
 * these hold for any input:
 *
 *	- each COPY row has its columns, UTF-8 and no NUL in them, and decoding
 *	  it gives back the listen that was parsed, byte for byte;
 *	- nothing in the data ends psql's COPY early: what follows would be run;
 *	- lines = listens + rejected + blank + not listened;
 *	- the bytes in other portions give the same output.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "cv_run.h"

#include <stdio.h>
#include <stdlib.h>

#define FUZZ_REQUIRE(condition) \
	do \
	{ \
		if (!(condition)) \
			fuzz_broken(__FILE__, __LINE__, #condition); \
	} while (0)

/* The rows that a run gave its target. */
typedef struct FuzzSink
{
	CvTarget	target;			/* must be first: pointers to the two types
								 * are cast */
	CvTable		table;
	bool		copying;
	CvBuf		statements;
	CvBuf		listens;		/* rows, all COPYs together */
	CvBuf		recordings;
	CvBuf		csv;
	CvBuf	   *open;			/* one of these three */
} FuzzSink;

extern void fuzz_broken(const char *file, int line, const char *what)
	__attribute__((noreturn));

extern void fuzz_sink_begin(FuzzSink *sink, CvTable table, bool direct);
extern void fuzz_sink_free(FuzzSink *sink);

/* Two runs over the same bytes in other portions. */
extern void fuzz_check_equal(const FuzzSink *a, const CvResult *a_result,
							 const FuzzSink *b, const CvResult *b_result);

/*
 * The listens that the run hands to its load, kept by a wrapper around
 * cv_load_listen() since fuzz_expect_begin().
 */
extern void fuzz_expect_begin(void);

/* Checks everything that must hold for one run. */
extern void fuzz_check_run(const FuzzSink *sink, const CvResult *result);

/* The rules of --rejects, for the file's content. */
extern void fuzz_check_rejects(const char *text, size_t len,
							   const CvCounts *counts);

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif							/* FUZZ_H */
