/*
 * default.h
 *		The default table of listens, for calls that name none.
 */
#ifndef LBREC_LISTENS_DEFAULT_H
#define LBREC_LISTENS_DEFAULT_H

extern Oid	lbrec_default_relation(void);
extern char *lbrec_default_listens(void);
extern char *lbrec_needed_listens(void);
extern bool lbrec_default_is_readable(void);

#endif							/* LBREC_LISTENS_DEFAULT_H */
