/*
 * JSON: reading by yyjson under bounds, writing by one streaming writer.
 *
 * json_parse() refuses what is too deep (JSON_DEPTH_MAX) or not strict JSON. Values are yyjson's
 * own and stay valid until json_doc_free(). The json_get_* helpers read one member of an object: an
 * absent or null member leaves the output as it was (so the caller sets the default first) and is
 * no error; a wrong type is -EINVAL with a text that names key, expected and found type.
 *
 * The writer appends to a struct buf and places commas itself. It never fails by itself: check
 * buf_failed() once at the end. Used by every floor above.
 */
#ifndef SKERRY_DATA_JSON_H
#define SKERRY_DATA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "init/base/buf.h"
#include "init/base/err.h"

/* nesting of arrays and objects; bytes of one document unless the caller has a bound of its own */
enum { JSON_DEPTH_MAX = 64, JSON_SIZE_MAX = 4 << 20 };

/* --- reading --- */

static inline UNUSED void json_doc_free(yyjson_doc *doc)
{
	yyjson_doc_free(doc);
}
DEFINE_CLEANUP(yyjson_doc *, json_doc_free)

/* The whole text is one JSON value (RFC 8259), at most JSON_SIZE_MAX bytes. -EINVAL with the place
 * ("line 3, column 7: ..."), -EFBIG, -ENOMEM. */
int json_parse(const char *text, size_t len, yyjson_doc **ret_doc, struct err *e);
/* The same, and the value must be an object; ret_root may be NULL. */
int json_parse_object(const char *text, size_t len, yyjson_doc **ret_doc, yyjson_val **ret_root,
		      struct err *e);

/* "null", "bool", "number", "string", "array", "object" */
const char *json_type_name(const yyjson_val *v);

/* The member, NULL when absent or null (or obj is NULL). Keys match exactly, or else without regard
 * to case, as Go's decoder has it; of several the last counts. */
yyjson_val *json_member(yyjson_val *obj, const char *key);

/* Strings stay owned by the document; one with a NUL character in it is -EINVAL. */
int json_get_text(yyjson_val *obj, const char *key, const char **ret_text, struct err *e);
/* A copy in new memory that replaces *ret_text (freed). */
int json_get_copy(yyjson_val *obj, const char *key, char **ret_text, struct err *e);
int json_get_bool(yyjson_val *obj, const char *key, bool *ret_value, struct err *e);
int json_get_i64(yyjson_val *obj, const char *key, int64_t *ret_value, struct err *e);
int json_get_u64(yyjson_val *obj, const char *key, uint64_t *ret_value, struct err *e);
int json_get_double(yyjson_val *obj, const char *key, double *ret_value, struct err *e);
int json_get_object(yyjson_val *obj, const char *key, yyjson_val **ret_value, struct err *e);
int json_get_array(yyjson_val *obj, const char *key, yyjson_val **ret_value, struct err *e);
/* An array of strings as a new vector that replaces *ret_v (freed); at most JSON_ITEMS_MAX. */
int json_get_strv(yyjson_val *obj, const char *key, char ***ret_v, struct err *e);

enum { JSON_ITEMS_MAX = 65536 };

/* As the getters, but an absent or null member is -EINVAL too ("Image: missing"). */
int json_need_text(yyjson_val *obj, const char *key, const char **ret_text, struct err *e);

/* --- writing --- */

struct json_writer {
	struct buf *out;
	bool comma; /* the next value or key needs one in front */
};

void json_writer_init(struct json_writer *w, struct buf *out);

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);

void json_str(struct json_writer *w, const char *s); /* NULL is written as null */
void json_strn(struct json_writer *w, const char *s, size_t len); /* may hold NUL characters */
void json_strf(struct json_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void json_strv(struct json_writer *w, char *const *v); /* an array; NULL is written as null */
void json_i64(struct json_writer *w, int64_t v);
void json_u64(struct json_writer *w, uint64_t v);
void json_double(struct json_writer *w, double v); /* not finite: null */
void json_bool(struct json_writer *w, bool v);
void json_null(struct json_writer *w);
/* A time as clock_format writes it. */
void json_time(struct json_writer *w, int64_t real_ns);
/* Finished JSON text, trusted to be one value. */
void json_raw(struct json_writer *w, const char *text);
/* A parsed value as it is; NULL is written as null. */
void json_value(struct json_writer *w, const yyjson_val *v);

/* key and value at once */
void json_member_str(struct json_writer *w, const char *key, const char *s);
void json_member_i64(struct json_writer *w, const char *key, int64_t v);
void json_member_u64(struct json_writer *w, const char *key, uint64_t v);
void json_member_bool(struct json_writer *w, const char *key, bool v);

#endif
