/*
 * lb_dense_avx512.c
 *		Dense products and rows for AVX-512; nothing on other machines.
 *
 * The pragma stands before every include, so that no make rule is needed; only
 * lb_dense.c's dispatch may call what is compiled here.
 */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#define LB_SIMD 512
#include "core/lb_softmax_int.h"
#include "core/lb_cpu_simd.h"

#include "core/lb_dense.h"
#include "core/lb_rows.h"

#define LB_DENSE_KERNEL lb_dense_avx512
#include "core/lb_dense_tile.h"

#define LB_ROWS_KERNEL lb_rows_avx512
#include "core/lb_rows_tile.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
#include "core/lb_dense.h"

/* never called: the dispatch asks the CPU */
void
lb_dense_avx512(const LbDense *p)
{
	lb_dense_portable(p);
}
#endif
