/*
 * Strings: bounded copies, numbers with and without units, string vectors.
 *
 * Every parser takes the whole string or fails: no trailing rubbish, no locale, no silent
 * wrap-around. Encodings (hex, base64, UTF-8) are in text.c. Used by everybody.
 */
#include "init/base/str.h"

#include <stdarg.h>

bool str_starts(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = s ? strlen(s) : 0, m = strlen(suffix);

	return s && n >= m && memcmp(s + n - m, suffix, m) == 0;
}

int str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);

	if (len >= size) {
		if (size > 0)
			dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, len + 1);
	return 0;
}

int str_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size) {
		if (size > 0)
			dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	return 0;
}

static char *vprintf_new(const char *fmt, va_list ap)
{
	char *s = NULL;

	return vasprintf(&s, fmt, ap) < 0 ? NULL : s;
}

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vprintf_new(fmt, ap);
	va_end(ap);
	return s;
}

char *str_dup(const char *s)
{
	return s ? strdup(s) : NULL;
}

int str_set(char **dst, const char *src)
{
	char *copy = str_dup(src);

	if (src && !copy)
		return -ENOMEM;
	free(*dst);
	*dst = copy;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *str_trim(char *s)
{
	size_t len;

	while (is_blank(*s))
		s++;
	len = strlen(s);
	while (len > 0 && is_blank(s[len - 1]))
		s[--len] = '\0';
	return s;
}

/* the value of a digit in any base up to 36, or 36 */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 10;
	return 36;
}

int str_to_u64_base(const char *s, int base, uint64_t *ret_value)
{
	uint64_t v = 0;
	bool over = false;

	if (str_empty(s))
		return -EINVAL;
	for (; *s; s++) {
		unsigned d = digit_value(*s);

		if (d >= (unsigned)base)
			return -EINVAL;
		over |= __builtin_mul_overflow(v, (uint64_t)base, &v);
		over |= __builtin_add_overflow(v, (uint64_t)d, &v);
	}
	if (over)
		return -ERANGE;
	*ret_value = v;
	return 0;
}

int str_to_u64(const char *s, uint64_t *ret_value)
{
	return str_to_u64_base(s, 10, ret_value);
}

int str_to_i64(const char *s, int64_t *ret_value)
{
	bool negative = s && *s == '-';
	uint64_t v;
	int r = str_to_u64(negative ? s + 1 : s, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret_value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

static int take_number(const char **s, uint64_t max, uint64_t *ret)
{
	unsigned d = digit_value(**s);

	if (d > 9)
		return -EINVAL;
	for (*ret = 0; d <= 9; d = digit_value(*++*s))
		if (__builtin_mul_overflow(*ret, UINT64_C(10), ret) ||
		    __builtin_add_overflow(*ret, (uint64_t)d, ret) || *ret > max)
			return -EINVAL;
	return 0;
}

int str_take_range(const char **s, uint64_t max, uint64_t *ret_first, uint64_t *ret_last)
{
	int r = take_number(s, max, ret_first);

	*ret_last = *ret_first;
	if (r == 0 && **s == '-') {
		(*s)++;
		r = take_number(s, max, ret_last);
	}
	return r < 0 || *ret_first > *ret_last ? -EINVAL : 0;
}

/* "12.5" at *s: the whole part, and the fraction as a value below 1; moves *s behind it */
static int parse_decimal(const char **s, uint64_t *ret_whole, double *ret_fraction)
{
	double fraction = 0, unit = 0.1;
	uint64_t whole = 0;
	int n = 0;

	for (; **s >= '0' && **s <= '9'; (*s)++, n++) {
		if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(**s - '0'), &whole))
			return -ERANGE;
	}
	if (**s == '.') {
		for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, n++, unit /= 10)
			fraction += (**s - '0') * unit;
	}
	if (n == 0)
		return -EINVAL;
	*ret_whole = whole;
	*ret_fraction = fraction;
	return 0;
}

/* whole * unit + fraction * unit */
static int scale(uint64_t whole, double fraction, uint64_t unit, uint64_t *ret_value)
{
	uint64_t v;

	if (__builtin_mul_overflow(whole, unit, &v) ||
	    __builtin_add_overflow(v, (uint64_t)(fraction * (double)unit + 1e-6), &v))
		return -ERANGE;
	*ret_value = v;
	return 0;
}

int str_to_bytes(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "kmgtp";
	const char *unit;
	uint64_t whole, value;
	double fraction;
	int shift = 0, r;

	if (str_empty(s))
		return -EINVAL;
	r = parse_decimal(&s, &whole, &fraction);
	if (r < 0)
		return r;
	if (*s == ' ')
		s++;
	unit = *s ? strchr(units, *s | 0x20) : NULL;
	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		s++;
		if ((s[0] == 'i' || s[0] == 'I') && (s[1] == 'b' || s[1] == 'B'))
			s++;
	}
	if (*s == 'b' || *s == 'B')
		s++;
	if (*s)
		return -EINVAL;
	r = scale(whole, fraction, UINT64_C(1) << shift, &value);
	if (r < 0 || value > INT64_MAX)
		return -ERANGE;
	*ret_bytes = value;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ns;
} duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 }, /* micro sign */
	{ "\xce\xbcs", 1000 }, /* Greek mu */
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", UINT64_C(60000000000) },
	{ "h", UINT64_C(3600000000000) },
};

/* the unit at *s up to the next digit, dot or the end; 0 when unknown */
static uint64_t parse_unit(const char **s)
{
	size_t len = strcspn(*s, "0123456789.");

	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
		const char *name = duration_units[i].name;

		if (strlen(name) == len && memcmp(name, *s, len) == 0) {
			*s += len;
			return duration_units[i].ns;
		}
	}
	return 0;
}

int str_to_duration(const char *s, int64_t *ret_nanoseconds)
{
	uint64_t total = 0, whole, unit, part;
	bool negative;
	double fraction;
	int r;

	if (str_empty(s))
		return -EINVAL;
	negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	if (!str_eq(s, "0")) {
		do {
			r = parse_decimal(&s, &whole, &fraction);
			if (r < 0)
				return r;
			unit = parse_unit(&s);
			if (unit == 0)
				return -EINVAL;
			r = scale(whole, fraction, unit, &part);
			if (r < 0 || __builtin_add_overflow(total, part, &total))
				return -ERANGE;
		} while (*s);
	}
	if (total > INT64_MAX)
		return -ERANGE;
	*ret_nanoseconds = negative ? -(int64_t)total : (int64_t)total;
	return 0;
}

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

/* appends s itself; frees it on failure */
static int strv_push(char ***v, char *s)
{
	size_t n = strv_len(*v);
	char **grown;

	if (!s)
		return -ENOMEM;
	grown = realloc(*v, (n + 2) * sizeof(**v));
	if (!grown) {
		free(s);
		return -ENOMEM;
	}
	*v = grown;
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
	return 0;
}

int strv_add(char ***v, const char *s)
{
	return strv_push(v, strdup(s));
}

int strv_addf(char ***v, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vprintf_new(fmt, ap);
	va_end(ap);
	return strv_push(v, s);
}

/* an empty vector on the heap */
static char **strv_new(void)
{
	return calloc(1, sizeof(char *));
}

char **strv_copy(char *const *v)
{
	_cleanup_(strv_free) char **copy = NULL;

	if (!v)
		return NULL;
	copy = strv_new();
	for (size_t i = 0; copy && v[i]; i++) {
		if (strv_add(&copy, v[i]) < 0)
			return NULL;
	}
	return take_ptr(copy);
}

bool strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++) {
		if (strcmp(v[i], s) == 0)
			return true;
	}
	return false;
}

char **strv_split(const char *s, const char *seps, bool keep_empty)
{
	_cleanup_(strv_free) char **v = strv_new();
	size_t len;

	for (; v; s += len + 1) {
		len = strcspn(s, seps);
		if ((len > 0 || keep_empty) && strv_push(&v, strndup(s, len)) < 0)
			return NULL;
		if (!s[len])
			break;
	}
	return take_ptr(v);
}

char *strv_join(char *const *v, const char *sep)
{
	size_t size = 1, at = 0, sep_len = strlen(sep);
	char *s;

	for (size_t i = 0; v && v[i]; i++)
		size += strlen(v[i]) + sep_len;
	s = malloc(size);
	if (!s)
		return NULL;
	for (size_t i = 0; v && v[i]; i++) {
		size_t len = strlen(v[i]);

		if (i > 0) {
			memcpy(s + at, sep, sep_len);
			at += sep_len;
		}
		memcpy(s + at, v[i], len);
		at += len;
	}
	s[at] = '\0';
	return s;
}

/* the place of "NAME=..." in env, or its length */
static size_t env_find(char *const *env, const char *name)
{
	size_t len = strlen(name), i;

	for (i = 0; env && env[i]; i++) {
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			break;
	}
	return i;
}

const char *strv_env_get(char *const *env, const char *name)
{
	const char *entry = env ? env[env_find(env, name)] : NULL;

	return entry ? entry + strlen(name) + 1 : NULL;
}

int strv_env_set(char ***env, const char *name, const char *value)
{
	size_t i = env_find(*env, name);
	char *entry = str_printf("%s=%s", name, value);

	if (!entry)
		return -ENOMEM;
	if (!*env || !(*env)[i])
		return strv_push(env, entry);
	free((*env)[i]);
	(*env)[i] = entry;
	return 0;
}

void strv_env_remove(char **env, const char *name)
{
	size_t i = env_find(env, name);

	if (!env || !env[i])
		return;
	free(env[i]);
	for (; env[i]; i++)
		env[i] = env[i + 1];
}
