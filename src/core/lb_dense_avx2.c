/*
 * lb_dense_avx2.c
 *		Dense products and rows for AVX2 and FMA; nothing on other machines.
 *
 * The pragma stands before every include, so that no make rule is needed; only
 * lb_dense.c's dispatch may call what is compiled here.
 */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define LB_SIMD 256
#include "core/lb_softmax_int.h"
#include "core/lb_cpu_simd.h"

#include "core/lb_dense.h"
#include "core/lb_rows.h"

#define LB_DENSE_KERNEL lb_dense_avx2
#include "core/lb_dense_tile.h"

#define LB_ROWS_KERNEL lb_rows_avx2
#include "core/lb_rows_tile.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
#include "core/lb_dense.h"

/* never called: the dispatch asks the CPU */
void
lb_dense_avx2(const LbDense *p)
{
	lb_dense_portable(p);
}
#endif
