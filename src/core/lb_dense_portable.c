/*
 * lb_dense_portable.c
 *		Dense products and rows in plain C, for any machine.
 */
#define LB_SIMD 128
#include "core/lb_softmax_int.h"
#include "core/lb_cpu_simd.h"

#include "core/lb_dense.h"
#include "core/lb_rows.h"

#define LB_DENSE_KERNEL lb_dense_portable
#include "core/lb_dense_tile.h"

#define LB_ROWS_KERNEL lb_rows_portable
#include "core/lb_rows_tile.h"
