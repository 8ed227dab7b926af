/*
 * declaration.h
 *		Checks that a function's SQL declaration is of this library's version.
 */
#ifndef LBREC_SERVER_DECLARATION_H
#define LBREC_SERVER_DECLARATION_H

#include "pg/server/lbrec.h"

/* Turns a call through an old SQL declaration into an error, not a crash. */
extern void lbrec_check_declaration(FunctionCallInfo fcinfo, int n_args,
									int most_columns);

#endif							/* LBREC_SERVER_DECLARATION_H */
