/*
 * Reading JSON: bounds before yyjson sees the text, typed access after it.
 *
 * yyjson parses without recursion and builds one block of memory in proportion to the text, so size
 * and depth bound everything. Called wherever a body, a state file or an image's document is read.
 */
#include "engine/data/json.h"

#include <string.h>
#include <strings.h>

#include "init/base/str.h"

/* Brackets open at once, outside of strings; ends early when it is too much. */
static bool too_deep(const char *text, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return true;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

static int explain(const char *text, size_t len, const yyjson_read_err *error, struct err *e)
{
	size_t line = 1, column = 1;

	if (error->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
		return err_set(e, ENOMEM, "out of memory for a JSON document");
	for (size_t i = 0; i < len && i < error->pos; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	return err_set(e, EINVAL, "not valid JSON: line %zu, column %zu: %s", line, column,
		       error->msg);
}

int json_parse(const char *text, size_t len, yyjson_doc **ret_doc, struct err *e)
{
	yyjson_read_err error = { 0 };
	yyjson_doc *doc;

	if (len > JSON_SIZE_MAX)
		return err_set(e, EFBIG, "a JSON document has at most %d bytes, this one %zu",
			       JSON_SIZE_MAX, len);
	if (len == 0)
		return err_set(e, EINVAL, "not valid JSON: it is empty");
	if (too_deep(text, len))
		return err_set(e, EINVAL, "not valid JSON here: nested more than %d deep",
			       JSON_DEPTH_MAX);
	/* without YYJSON_READ_INSITU the text is only read */
	doc = yyjson_read_opts((char *)(uintptr_t)text, len, 0, NULL, &error);
	if (!doc)
		return explain(text, len, &error, e);
	*ret_doc = doc;
	return 0;
}

int json_parse_object(const char *text, size_t len, yyjson_doc **ret_doc, yyjson_val **ret_root,
		      struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r = json_parse(text, len, &doc, e);

	if (r < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root))
		return err_set(e, EINVAL, "expected a JSON object, not %s", json_type_name(root));
	if (ret_root)
		*ret_root = root;
	*ret_doc = take_ptr(doc);
	return 0;
}

const char *json_type_name(const yyjson_val *v)
{
	switch (yyjson_get_type((yyjson_val *)(uintptr_t)v)) {
	case YYJSON_TYPE_BOOL:
		return "bool";
	case YYJSON_TYPE_NUM:
		return "number";
	case YYJSON_TYPE_STR:
		return "string";
	case YYJSON_TYPE_ARR:
		return "array";
	case YYJSON_TYPE_OBJ:
		return "object";
	default:
		return "null";
	}
}

yyjson_val *json_member(yyjson_val *obj, const char *key)
{
	yyjson_val *k, *v, *exact = NULL, *loose = NULL;
	size_t i, n;

	if (!yyjson_is_obj(obj))
		return NULL;
	yyjson_obj_foreach(obj, i, n, k, v)
	{
		const char *name = yyjson_get_str(k);

		if (strcmp(name, key) == 0)
			exact = v;
		else if (strcasecmp(name, key) == 0)
			loose = v;
	}
	if (!exact)
		exact = loose;
	return yyjson_is_null(exact) ? NULL : exact;
}

static int wrong_type(const char *key, const char *want, const yyjson_val *v, struct err *e)
{
	return err_set(e, EINVAL, "%s: expected %s, not %s", key, want, json_type_name(v));
}

/* a string without NUL characters */
static int check_text(const char *key, yyjson_val *v, struct err *e)
{
	if (!yyjson_is_str(v))
		return wrong_type(key, "a string", v, e);
	if (strlen(yyjson_get_str(v)) != yyjson_get_len(v))
		return err_set(e, EINVAL, "%s: the string holds a NUL character", key);
	return 0;
}

int json_get_text(yyjson_val *obj, const char *key, const char **ret_text, struct err *e)
{
	yyjson_val *v = json_member(obj, key);
	int r = v ? check_text(key, v, e) : 0;

	if (v && r == 0)
		*ret_text = yyjson_get_str(v);
	return r;
}

int json_need_text(yyjson_val *obj, const char *key, const char **ret_text, struct err *e)
{
	if (!json_member(obj, key))
		return err_set(e, EINVAL, "%s: missing", key);
	return json_get_text(obj, key, ret_text, e);
}

int json_get_copy(yyjson_val *obj, const char *key, char **ret_text, struct err *e)
{
	const char *text = NULL;
	int r = json_get_text(obj, key, &text, e);

	if (r == 0 && text && str_set(ret_text, text) < 0)
		return err_set(e, ENOMEM, "out of memory for %s", key);
	return r;
}

int json_get_bool(yyjson_val *obj, const char *key, bool *ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_bool(v))
		return wrong_type(key, "a bool", v, e);
	*ret_value = yyjson_get_bool(v);
	return 0;
}

int json_get_i64(yyjson_val *obj, const char *key, int64_t *ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_num(v))
		return wrong_type(key, "a whole number", v, e);
	if (!yyjson_is_int(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
		return err_set(e, EINVAL, "%s: expected a whole number of 64 bits with sign", key);
	*ret_value = yyjson_get_sint(v);
	return 0;
}

int json_get_u64(yyjson_val *obj, const char *key, uint64_t *ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_num(v))
		return wrong_type(key, "a whole number", v, e);
	if (!yyjson_is_uint(v))
		return err_set(e, EINVAL, "%s: expected a whole number of 64 bits without sign",
			       key);
	*ret_value = yyjson_get_uint(v);
	return 0;
}

int json_get_double(yyjson_val *obj, const char *key, double *ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_num(v))
		return wrong_type(key, "a number", v, e);
	*ret_value = yyjson_get_num(v);
	return 0;
}

int json_get_object(yyjson_val *obj, const char *key, yyjson_val **ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_obj(v))
		return wrong_type(key, "an object", v, e);
	*ret_value = v;
	return 0;
}

int json_get_array(yyjson_val *obj, const char *key, yyjson_val **ret_value, struct err *e)
{
	yyjson_val *v = json_member(obj, key);

	if (!v)
		return 0;
	if (!yyjson_is_arr(v))
		return wrong_type(key, "an array", v, e);
	*ret_value = v;
	return 0;
}

static int copy_strings(const char *key, yyjson_val *array, char **v, struct err *e)
{
	yyjson_val *item;
	size_t i, n;

	yyjson_arr_foreach(array, i, n, item)
	{
		char where[80];

		snprintf(where, sizeof(where), "%.60s[%zu]", key, i);
		if (check_text(where, item, e) < 0)
			return -EINVAL;
		v[i] = strdup(yyjson_get_str(item));
		if (!v[i])
			return err_set(e, ENOMEM, "out of memory for %s", key);
	}
	return 0;
}

int json_get_strv(yyjson_val *obj, const char *key, char ***ret_v, struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	yyjson_val *array = NULL;
	int r = json_get_array(obj, key, &array, e);

	if (r < 0 || !array)
		return r;
	if (yyjson_arr_size(array) > JSON_ITEMS_MAX)
		return err_set(e, EFBIG, "%s: more than %d elements", key, JSON_ITEMS_MAX);
	v = calloc(yyjson_arr_size(array) + 1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "out of memory for %s", key);
	r = copy_strings(key, array, v, e);
	if (r < 0)
		return r;
	strv_free(*ret_v);
	*ret_v = take_ptr(v);
	return 0;
}
