/*
 * Strings: comparisons, bounded copies, numbers, hex, string vectors. All bounded, none
 * locale-dependent.
 */
#ifndef SKERRY_BASE_STR_H
#define SKERRY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "init/base/err.h"
#include "init/base/util.h"

static inline UNUSED bool str_eq(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
static inline UNUSED bool str_empty(const char *s)
{
	return !s || !*s;
}

/* Copies src with its NUL into dst[size]; -ENAMETOOLONG if it does not fit (dst is then ""). */
int str_copy(char *dst, size_t size, const char *src);
/* printf into dst[size]; -ENAMETOOLONG if cut (dst is then ""). */
int str_format(char *dst, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* printf into new memory (free()); NULL on ENOMEM. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* strdup that hands NULL through. */
char *str_dup(const char *s);
/* Replaces *dst (freed) by a copy of src (NULL allowed); -ENOMEM leaves *dst as it was. */
int str_set(char **dst, const char *src);
/* Cuts leading and trailing blanks (space, tab, CR, LF) in place and returns the start. */
char *str_trim(char *s);
/* Bytes of the well-formed UTF-8 character at s (of n bytes), 0 when there is none. */
size_t str_utf8_len(const char *s, size_t n);

/* Whole string as a number, no blanks, no sign for u64; base 10, or as named. -EINVAL, -ERANGE. */
int str_to_u64(const char *s, uint64_t *ret_value);
int str_to_u64_base(const char *s, int base, uint64_t *ret_value);
int str_to_i64(const char *s, int64_t *ret_value);
/* "5" or "0-3" in front of *s, which is moved behind it. -EINVAL, also when it ends before it
 * starts or above max. */
int str_take_range(const char **s, uint64_t max, uint64_t *ret_first, uint64_t *ret_last);
/* "512", "64k", "1.5g", "10MB", "2GiB": bytes; units are powers of 1024 (docker/go-units
 * RAMInBytes). */
int str_to_bytes(const char *s, uint64_t *ret_bytes);
/* Go's time.ParseDuration forms ("1h2m3.5s", "500ms", "0"), nanoseconds; negative allowed. */
int str_to_duration(const char *s, int64_t *ret_nanoseconds);

void hex_encode(char *dst, const void *src, size_t len); /* 2*len+1 bytes, lower case */
int hex_decode(void *dst, size_t size, const char *hex); /* exactly 2*size digits; -EINVAL */
/* base64 (RFC 4648 section 4; decode also takes section 5 and missing padding). New memory. */
char *base64_encode(const void *src, size_t len);
int base64_decode(const char *text, void **ret_data, size_t *ret_len);

/* NULL-terminated vector of strings, the vector and its strings on the heap. */
size_t strv_len(char *const *v); /* NULL counts as empty */
void strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
int strv_add(char ***v, const char *s); /* appends a copy; -ENOMEM leaves *v as it was */
int strv_addf(char ***v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char **strv_copy(char *const *v); /* NULL on ENOMEM or when v is NULL */
bool strv_has(char *const *v, const char *s);
/* Splits at any character of `seps`, empty fields dropped unless keep_empty. NULL on ENOMEM. */
char **strv_split(const char *s, const char *seps, bool keep_empty);
char *strv_join(char *const *v, const char *sep);
/* environment lists: the value behind "NAME=", or NULL */
const char *strv_env_get(char *const *env, const char *name);
/* Takes "NAME=..." out; absent is fine. */
void strv_env_remove(char **env, const char *name);
/* replaces or appends "NAME=value" */
int strv_env_set(char ***env, const char *name, const char *value);

#endif
