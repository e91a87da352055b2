/*
 * The typed readers of plan_json.h over yyjson.
 *
 * Called by the plan_*.c parsers only. Each output is new memory of the plan, so the document is
 * gone when the plan is done.
 */
#include "engine/runtime/plan_json.h"

#include <limits.h>
#include <string.h>

#include "init/base/str.h"

const char *key_of(char buf[KEY_MAX], const char *at, const char *key)
{
	if (str_format(buf, KEY_MAX, "%s%s%s", at, *at ? "." : "", key) < 0)
		(void)str_copy(buf, KEY_MAX, "(deep key)");
	return buf;
}

const char *key_item(char buf[KEY_MAX], const char *at, const char *key, size_t i)
{
	if (str_format(buf, KEY_MAX, "%s%s%s[%zu]", at, *at ? "." : "", key, i) < 0)
		(void)str_copy(buf, KEY_MAX, "(deep key)");
	return buf;
}

static int wrong(const char *at, const char *key, const char *want, struct err *e)
{
	char buf[KEY_MAX];

	return err_set(e, EINVAL, "%s: must be %s", key_of(buf, at, key), want);
}

/* The member, NULL when absent or null. */
static yyjson_val *member(yyjson_val *o, const char *key)
{
	yyjson_val *v = yyjson_obj_get(o, key);

	return yyjson_is_null(v) ? NULL : v;
}

int get_object(yyjson_val *o, const char *at, const char *key, yyjson_val **ret, struct err *e)
{
	yyjson_val *v = member(o, key);

	if (!v)
		return 0;
	if (!yyjson_is_obj(v))
		return wrong(at, key, "an object", e);
	*ret = v;
	return 1;
}

int get_array(yyjson_val *o, const char *at, const char *key, size_t max, yyjson_val **ret,
	      struct err *e)
{
	yyjson_val *v = member(o, key);
	char buf[KEY_MAX];

	if (!v)
		return 0;
	if (!yyjson_is_arr(v))
		return wrong(at, key, "a list", e);
	if (yyjson_arr_size(v) > max)
		return err_set(e, EINVAL, "%s: %zu entries are too many (at most %zu)",
			       key_of(buf, at, key), yyjson_arr_size(v), max);
	*ret = v;
	return 1;
}

/* The caller puts the key in front of an error: there are hundreds of texts and few errors. */
static int text_of(yyjson_val *v, size_t max, char **ret, struct err *e)
{
	char *copy;

	if (!yyjson_is_str(v))
		return err_set(e, EINVAL, "must be a string");
	if (yyjson_get_len(v) > max)
		return err_set(e, EINVAL, "longer than %zu bytes", max);
	if (memchr(yyjson_get_str(v), 0, yyjson_get_len(v)))
		return err_set(e, EINVAL, "must not hold a NUL character");
	copy = str_dup(yyjson_get_str(v));
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	free(*ret);
	*ret = copy;
	return 1;
}

int get_text(yyjson_val *o, const char *at, const char *key, size_t max, char **ret, struct err *e)
{
	yyjson_val *v = member(o, key);
	int r = v ? text_of(v, max, ret, e) : 0;
	char buf[KEY_MAX];

	return r < 0 ? err_wrap(e, "%s", key_of(buf, at, key)) : r;
}

int get_bool(yyjson_val *o, const char *at, const char *key, bool *ret, struct err *e)
{
	yyjson_val *v = member(o, key);

	if (!v)
		return 0;
	if (!yyjson_is_bool(v))
		return wrong(at, key, "true or false", e);
	*ret = yyjson_get_bool(v);
	return 1;
}

int get_i64(yyjson_val *o, const char *at, const char *key, int64_t min, int64_t max, int64_t *ret,
	    struct err *e)
{
	yyjson_val *v = member(o, key);
	char buf[KEY_MAX];
	int64_t n;

	if (!v)
		return 0;
	if (!yyjson_is_int(v))
		return wrong(at, key, "a whole number", e);
	if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX)
		n = INT64_MAX;
	else
		n = yyjson_get_sint(v);
	if (n < min || n > max || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
		return err_set(e, EINVAL, "%s: must be from %lld to %lld", key_of(buf, at, key),
			       (long long)min, (long long)max);
	*ret = n;
	return 1;
}

int get_u64(yyjson_val *o, const char *at, const char *key, uint64_t max, uint64_t *ret,
	    struct err *e)
{
	yyjson_val *v = member(o, key);
	char buf[KEY_MAX];

	if (!v)
		return 0;
	if (!yyjson_is_int(v))
		return wrong(at, key, "a whole number", e);
	if ((yyjson_is_sint(v) && yyjson_get_sint(v) < 0) || yyjson_get_uint(v) > max)
		return err_set(e, EINVAL, "%s: must be from 0 to %llu", key_of(buf, at, key),
			       (unsigned long long)max);
	*ret = yyjson_get_uint(v);
	return 1;
}

int get_u32(yyjson_val *o, const char *at, const char *key, uint32_t *ret, struct err *e)
{
	uint64_t v;
	int r = get_u64(o, at, key, UINT32_MAX, &v, e);

	if (r == 1)
		*ret = (uint32_t)v;
	return r;
}

int get_strv(yyjson_val *o, const char *at, const char *key, size_t max, size_t max_bytes,
	     char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, key, max, &list, e);

	if (r <= 0)
		return r;
	v = calloc(yyjson_arr_size(list) + 1, sizeof(*v));
	if (!v)
		return err_errno(e, ENOMEM, "%s", key);
	yyjson_arr_foreach(list, i, n, item)
	{
		char buf[KEY_MAX];

		if (text_of(item, max_bytes, &v[i], e) < 0)
			return err_wrap(e, "%s", key_item(buf, at, key, i));
	}
	strv_free(*ret);
	*ret = take_ptr(v);
	return 1;
}

int refuse(yyjson_val *o, const char *at, const char *key, const char *why, struct err *e)
{
	char buf[KEY_MAX];

	return member(o, key) ? err_set(e, EOPNOTSUPP, "%s: %s", key_of(buf, at, key), why) : 0;
}

int refuse_set(yyjson_val *o, const char *at, const char *key, const char *why, struct err *e)
{
	yyjson_val *v = member(o, key);

	if (yyjson_is_false(v) || (yyjson_is_str(v) && yyjson_get_len(v) == 0) ||
	    (yyjson_is_obj(v) && yyjson_obj_size(v) == 0) ||
	    (yyjson_is_arr(v) && yyjson_arr_size(v) == 0))
		return 0;
	return refuse(o, at, key, why, e);
}

int need(int r, const char *at, const char *key, struct err *e)
{
	char buf[KEY_MAX];

	if (r == 0)
		return err_set(e, EINVAL, "%s: is missing", key_of(buf, at, key));
	return r < 0 ? r : 0;
}

void *array_add(void *array_ptr, size_t *n, size_t size)
{
	void **array = array_ptr;
	char *bigger;

	/* grows in powers of two, so a list of n costs O(n) */
	if ((*n & (*n - 1)) == 0) {
		bigger = reallocarray(*array, *n ? *n * 2 : 1, size);
		if (!bigger)
			return NULL;
		*array = bigger;
	}
	bigger = (char *)*array + *n * size;
	memset(bigger, 0, size);
	(*n)++;
	return bigger;
}
