/*
 * cv_json.h
 *		JSON to listens.  simdjson is C++: this header is all that the rest of
 *		the converter sees of it.
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
 * One line.  CV_PADDING bytes after its end must be readable.  The texts of
 * *listen live in the parser until the next call.
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
	CV_DOCUMENT_STOPPED			/* the callback said so */
} CvDocument;

/*
 * A whole document: {"payload": {"listens": [...]}} of the API.  *detail says
 * what is wrong with a bad one.
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
	double		number;			/* also of a text that is one */
	CvText		text;			/* a list's texts with ", " between */
} CvField;

/*
 * Fields of an object, for formats that are read in C: names are paths such
 * as "track.title".  CV_LISTEN, or the reason not to read it with *detail.
 * The texts live in the parser until the next call.
 */
extern CvReason cv_json_fields(CvJson *json, const char *text, size_t len,
							   const char *const *names, int n,
							   CvField *fields, const char **detail);

extern bool cv_json_is_utf8(const char *text, size_t len);

/* An integer member of a small object, such as a user export's user.json. */
extern bool cv_json_integer(CvJson *json, const char *text, size_t len,
							const char *key, int64_t *value);

#ifdef __cplusplus
}
#endif

#endif							/* CV_JSON_H */
