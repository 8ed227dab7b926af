/*
 * lb_softmax_portable.c
 *		The softmax tile in GCC's generic vectors: any CPU, and what the other
 *		instruction sets are tested against.
 */
#define LB_SIMD 128
#include "core/lb_softmax_int.h"
#include "core/lb_cpu_simd.h"

#define LB_SM_KERNEL lb_softmax_portable
#include "core/lb_softmax_tile.h"
