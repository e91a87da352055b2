/*
 * Parsing and matching of filters (filters.h).
 *
 * Values keep the order in which they came. Regular expressions come from clients, so they are
 * bounded and repetition counts in braces, which make compilers explode, are taken literally.
 */
#include "engine/api/filters.h"

#include <regex.h>
#include <string.h>

#include "init/base/str.h"
#include "engine/data/json.h"

enum { REGEX_MAX = 256 };

struct filter_key {
	char *name;
	char **values;
};

struct filters {
	struct filter_key keys[FILTER_KEYS_MAX];
	size_t n;
};

static int wrong(struct err *e)
{
	return err_set(e, EINVAL, "invalid filter");
}

static int add_value(struct filter_key *k, const char *value, struct err *e)
{
	if (strv_len(k->values) == FILTER_VALUES_MAX)
		return err_set(e, EINVAL, "invalid filter '%.60s': it has too many values",
			       k->name);
	if (strv_has(k->values, value))
		return 0;
	return strv_add(&k->values, value) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* {"value": true} */
static int read_object(struct filter_key *k, yyjson_val *v, struct err *e)
{
	yyjson_obj_iter it = yyjson_obj_iter_with(v);
	yyjson_val *key;
	int r = 0;

	while (r == 0 && (key = yyjson_obj_iter_next(&it))) {
		if (!yyjson_is_bool(yyjson_obj_iter_get_val(key)))
			return wrong(e);
		if (yyjson_get_bool(yyjson_obj_iter_get_val(key)))
			r = add_value(k, yyjson_get_str(key), e);
	}
	return r;
}

static int read_array(struct filter_key *k, yyjson_val *v, struct err *e)
{
	yyjson_arr_iter it = yyjson_arr_iter_with(v);
	yyjson_val *item;
	int r = 0;

	while (r == 0 && (item = yyjson_arr_iter_next(&it)))
		r = yyjson_is_str(item) ? add_value(k, yyjson_get_str(item), e) : wrong(e);
	return r;
}

static int read_key(struct filters *f, const char *name, yyjson_val *v, const char *const *allowed,
		    struct err *e)
{
	struct filter_key *k = &f->keys[f->n];
	bool known = false;

	for (; *allowed; allowed++)
		known |= strcmp(*allowed, name) == 0;
	if (!known || f->n == FILTER_KEYS_MAX)
		return err_set(e, EINVAL, "invalid filter '%.60s'", name);
	k->name = str_dup(name);
	if (!k->name)
		return err_set(e, ENOMEM, "out of memory");
	f->n++;
	if (yyjson_is_obj(v))
		return read_object(k, v, e);
	return yyjson_is_arr(v) ? read_array(k, v, e) : wrong(e);
}

int filters_parse(const char *text, const char *const *allowed, struct filters **ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(filters_free) struct filters *f = calloc(1, sizeof(*f));
	yyjson_val *root, *key;
	yyjson_obj_iter it;
	int r = 0;

	if (!f)
		return err_set(e, ENOMEM, "out of memory");
	if (!str_empty(text)) {
		if (json_parse_object(text, strlen(text), &doc, &root, NULL) < 0)
			return wrong(e);
		it = yyjson_obj_iter_with(root);
		while (r == 0 && (key = yyjson_obj_iter_next(&it)))
			r = read_key(f, yyjson_get_str(key), yyjson_obj_iter_get_val(key), allowed,
				     e);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(f);
	return 0;
}

void filters_free(struct filters *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		free(f->keys[i].name);
		strv_free(f->keys[i].values);
	}
	free(f);
}

static char *const *values_of(const struct filters *f, const char *key)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->keys[i].name, key) == 0)
			return f->keys[i].values;
	return NULL;
}

bool filters_has(const struct filters *f, const char *key)
{
	return strv_len(values_of(f, key)) > 0;
}

size_t filters_count(const struct filters *f, const char *key)
{
	return strv_len(values_of(f, key));
}

const char *filters_value(const struct filters *f, const char *key, size_t i)
{
	return i < filters_count(f, key) ? values_of(f, key)[i] : NULL;
}

bool filters_exact(const struct filters *f, const char *key, const char *text)
{
	return !filters_has(f, key) || strv_has(values_of(f, key), text);
}

bool filters_prefix(const struct filters *f, const char *key, const char *text)
{
	const char *value;

	for (size_t i = 0; (value = filters_value(f, key, i)); i++)
		if (str_starts(text, value))
			return true;
	return !filters_has(f, key);
}

static bool regex_found(const char *pattern, const char *text)
{
	regex_t re;
	bool found;

	if (strlen(pattern) > REGEX_MAX || strchr(pattern, '{') ||
	    regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return strstr(text, pattern) != NULL;
	found = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

bool filters_regex(const struct filters *f, const char *key, const char *text)
{
	const char *value;

	for (size_t i = 0; (value = filters_value(f, key, i)); i++)
		if (strcmp(value, text) == 0 || regex_found(value, text))
			return true;
	return !filters_has(f, key);
}

static bool label_matches(const char *want, const char *(*get)(const void *, const char *),
			  const void *object)
{
	const char *equals = strchr(want, '='), *have;
	char name[1024];

	if (!equals)
		return get(object, want) != NULL;
	if ((size_t)(equals - want) >= sizeof(name))
		return false;
	memcpy(name, want, (size_t)(equals - want));
	name[equals - want] = '\0';
	have = get(object, name);
	return have && strcmp(have, equals + 1) == 0;
}

bool filters_labels(const struct filters *f, const char *key,
		    const char *(*get)(const void *object, const char *label), const void *object)
{
	const char *value;

	for (size_t i = 0; (value = filters_value(f, key, i)); i++)
		if (!label_matches(value, get, object))
			return false;
	return true;
}

int filters_bool(const struct filters *f, const char *key, bool *value, struct err *e)
{
	const char *text = filters_value(f, key, 0);

	if (!text)
		return 0;
	if (filters_count(f, key) == 1 && (str_eq(text, "true") || str_eq(text, "1")))
		*value = true;
	else if (filters_count(f, key) == 1 && (str_eq(text, "false") || str_eq(text, "0")))
		*value = false;
	else
		return err_set(e, EINVAL, "invalid filter '%s=[%.60s]'", key, text);
	return 0;
}
