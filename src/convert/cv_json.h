/*
 * cv_json.h
 *		Turns JSON into listens.  simdjson is C++; the other files see only this
 *		header.
 */
#ifndef CV_JSON_H
#define CV_JSON_H

#include "cv.h"

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct CvJson CvJson;

extern CvJson *cv_json_create(void);
extern void cv_json_free(CvJson *json);

/*
 * Reads one line.  CV_PADDING bytes after its end must be readable.  The texts
 * of *listen live in the parser until the next call.
 */
extern CvReason cv_json_listen(CvJson *json, const char *line, size_t len,
							   const CvDefaults *defaults, CvListen *listen);

/*
 * Called for each element of a document that holds several listens; false
 * stops the walk.
 */
typedef bool (*CvElement) (void *arg, CvReason reason, const CvListen *listen);

typedef enum CvDocument
{
	CV_DOCUMENT_OK,
	CV_DOCUMENT_BAD,			/* not JSON, or not of the expected shape */
	CV_DOCUMENT_STOPPED			/* the callback returned false */
} CvDocument;

/*
 * Reads a whole document of the API, {"payload": {"listens": [...]}}.  *detail
 * names the fault of a bad one.
 */
extern CvDocument cv_json_payload(CvJson *json, const char *text, size_t len,
								  const CvDefaults *defaults,
								  CvElement element, void *arg,
								  const char **detail);

typedef enum CvFieldKind
{
	CV_FIELD_ABSENT,
	CV_FIELD_NULL,
	CV_FIELD_TRUTH,
	CV_FIELD_NUMBER,
	CV_FIELD_TEXT,
	CV_FIELD_OBJECT
} CvFieldKind;

typedef struct CvField
{
	CvFieldKind kind;
	bool		truth;
	double		number;			/* also set if the value is a text that holds
								 * a number */
	CvText		text;			/* a list of texts is joined by ", " */
} CvField;

/*
 * Reads fields of an object, for formats written in C.  Names are paths such
 * as "track.title".  Returns CV_LISTEN, or the reason for a reject and
 * *detail.  The texts live in the parser until the next call.
 */
extern CvReason cv_json_fields(CvJson *json, const char *text, size_t len,
							   const char *const *names, int n,
							   CvField *fields, const char **detail);

extern bool cv_json_is_utf8(const char *text, size_t len);

/* Reads an integer field of a small object, such as user.json. */
extern bool cv_json_integer(CvJson *json, const char *text, size_t len,
							const char *key, int64_t *value);

#ifdef __cplusplus
}
#endif

#endif							/* CV_JSON_H */
