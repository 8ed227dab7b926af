/*
 * cpu.h
 *		Chooses the kernels: the setting lbrec.cpu.
 */
#ifndef LBREC_SERVER_CPU_H
#define LBREC_SERVER_CPU_H

#include "core/openblas/lb_openblas.h"

/* Defines the setting; called when the module is loaded. */
extern void lbrec_define_cpu(void);

/* Returns the reason why OpenBLAS cannot be used, or NULL. */
extern const char *lbrec_blas_problem(const LbOpenblas *blas);

#endif							/* LBREC_SERVER_CPU_H */
