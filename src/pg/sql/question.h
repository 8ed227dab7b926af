/*
 * question.h
 *		The arguments that give the plays before lbrec_next() and
 *		lbrec_explain_next().
 */
#ifndef LBREC_SQL_QUESTION_H
#define LBREC_SQL_QUESTION_H

#include "pg/serve/listener.h"
#include "pg/serve/next.h"
#include "pg/serve/queries.h"
#include "pg/serve/user_listens.h"

/* The positions of a function's arguments. */
typedef struct QuestionPlaces
{
	int			recent;
	int			user_id;
	int			listens;
	int			at;
} QuestionPlaces;

typedef struct Question
{
	Moment		moment;
	bool		has_user;
	int64		user_id;
	RecordingList recent;		/* just played, oldest first */
	ListenList	listens;		/* of the user */
} Question;

extern Question lbrec_read_question(FunctionCallInfo fcinfo,
									const QuestionPlaces *places);
extern bool lbrec_find_asked(NextListener *next, const ServingModel *serving,
							 const Question *question);

#endif							/* LBREC_SQL_QUESTION_H */
