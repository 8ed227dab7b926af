/*
 * declaration.h
 *		Checks that a function is called as this version declares it in SQL.
 */
#ifndef LBREC_SERVER_DECLARATION_H
#define LBREC_SERVER_DECLARATION_H

#include "pg/server/lbrec.h"

/* An old declaration in SQL gets an error, not a crash. */
extern void lbrec_check_declaration(FunctionCallInfo fcinfo, int n_args,
									int most_columns);

#endif							/* LBREC_SERVER_DECLARATION_H */
