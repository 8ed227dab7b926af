/*
 * cpu.h
 *		Which kernels run: the setting lbrec.cpu.
 */
#ifndef LBREC_SERVER_CPU_H
#define LBREC_SERVER_CPU_H

/* Defines the setting; called when the module is loaded. */
extern void lbrec_define_cpu(void);

#endif							/* LBREC_SERVER_CPU_H */
