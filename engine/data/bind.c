/*
 * The one reader, writer and destructor behind all bind tables (see bind.h).
 *
 * Each function walks the rows of a table; what differs by type stands in one switch per function,
 * and elements of lists and dictionaries recurse through the table of their struct. Depth is
 * bounded by the depth of the tables, which are constants.
 */
#include "engine/data/bind.h"

#include <strings.h>

#include "init/base/str.h"

static const char *type_name(yyjson_val *v)
{
	switch (yyjson_get_type(v)) {
	case YYJSON_TYPE_NULL:
		return "null";
	case YYJSON_TYPE_BOOL:
		return "a boolean";
	case YYJSON_TYPE_NUM:
		return "a number";
	case YYJSON_TYPE_STR:
		return "a string";
	case YYJSON_TYPE_ARR:
		return "an array";
	case YYJSON_TYPE_OBJ:
		return "an object";
	default:
		return "something else";
	}
}

static int wrong_type(const char *where, const char *key, const char *want, yyjson_val *v,
		      struct err *e)
{
	return err_set(e, EINVAL, "invalid JSON: %s%s%s: expected %s, not %s", where,
		       *where ? "." : "", key, want, type_name(v));
}

/* The row carries a dictionary's key, which stands outside the object. */
static bool is_dict_key(const struct bind *row)
{
	return row->key[0] == '\0';
}

/* The table's key exactly, or with other case. */
static const struct bind *row_find(const struct bind_table *t, const char *key)
{
	const struct bind *other = NULL;

	for (size_t i = 0; i < t->n_rows; i++) {
		if (str_eq(t->rows[i].key, key))
			return &t->rows[i];
		if (strcasecmp(t->rows[i].key, key) == 0)
			other = &t->rows[i];
	}
	return other;
}

void pairs_free(struct bind_pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].key);
		free(p->v[i].value);
	}
	free(p->v);
	*p = (struct bind_pairs){ 0 };
}

const char *pairs_get(const struct bind_pairs *p, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].key, key))
			return p->v[i].value;
	return NULL;
}

int pairs_set(struct bind_pairs *p, const char *key, const char *value)
{
	struct bind_pair *grown;

	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].key, key))
			return str_set(&p->v[i].value, value);
	grown = reallocarray(p->v, p->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->v = grown;
	grown[p->n] = (struct bind_pair){ .key = str_dup(key), .value = str_dup(value) };
	if (!grown[p->n].key || !grown[p->n].value) {
		free(grown[p->n].key);
		free(grown[p->n].value);
		return -ENOMEM;
	}
	p->n++;
	return 0;
}

static void list_free(const struct bind_table *t, struct bind_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		bind_free(t, (char *)list->items + i * t->size);
	free(list->items);
	*list = (struct bind_list){ 0 };
}

static void lists_free(const struct bind_table *t, struct bind_list *lists)
{
	struct bind_named_list *named = lists->items;

	for (size_t i = 0; i < lists->n; i++) {
		free(named[i].key);
		list_free(t, &named[i].list);
	}
	free(named);
	*lists = (struct bind_list){ 0 };
}

/* Only the members that the rows name: an embedded object may share its struct with its parent. */
void bind_init(const struct bind_table *t, void *obj)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		void *at = (char *)obj + t->rows[i].offset;

		switch (t->rows[i].type) {
		case BIND_BOOL:
			*(bool *)at = false;
			break;
		case BIND_OPT_BOOL:
			*(int8_t *)at = BIND_UNSET_BOOL;
			break;
		case BIND_I64:
			*(int64_t *)at = 0;
			break;
		case BIND_OPT_I64:
			*(int64_t *)at = BIND_UNSET_I64;
			break;
		case BIND_OBJECT:
			bind_init(t->rows[i].of, at);
			break;
		case BIND_PAIRS:
			*(struct bind_pairs *)at = (struct bind_pairs){ 0 };
			break;
		case BIND_LIST:
		case BIND_DICT:
		case BIND_LISTS:
			*(struct bind_list *)at = (struct bind_list){ 0 };
			break;
		case BIND_REFUSED:
		case BIND_FIXED:
			break;
		default:
			*(void **)at = NULL;
		}
	}
}

/* Frees one member and leaves zero bytes (or the nested "nothing given"). */
static void member_free(const struct bind *row, void *at)
{
	switch (row->type) {
	case BIND_TEXT:
	case BIND_JSON:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case BIND_STRV:
	case BIND_WORDS:
	case BIND_SET:
		strv_free(*(char ***)at);
		*(char ***)at = NULL;
		break;
	case BIND_PAIRS:
		pairs_free(at);
		break;
	case BIND_OBJECT:
		bind_free(row->of, at);
		break;
	case BIND_POINTER:
		if (*(void **)at)
			bind_free(row->of, *(void **)at);
		free(*(void **)at);
		*(void **)at = NULL;
		break;
	case BIND_LIST:
	case BIND_DICT:
		list_free(row->of, at);
		break;
	case BIND_LISTS:
		lists_free(row->of, at);
		break;
	default:
		break;
	}
}

void bind_free(const struct bind_table *t, void *obj)
{
	for (size_t i = 0; i < t->n_rows; i++)
		member_free(&t->rows[i], (char *)obj + t->rows[i].offset);
	bind_init(t, obj);
}

/* ---- reading ---- */

static int read_text(const char *where, const char *key, yyjson_val *v, char **ret, struct err *e)
{
	char *copy;

	if (!yyjson_is_str(v))
		return wrong_type(where, key, "a string", v, e);
	if (strlen(yyjson_get_str(v)) != yyjson_get_len(v))
		return err_set(e, EINVAL,
			       "invalid JSON: %s%s%s: a string must not contain a NUL character",
			       where, *where ? "." : "", key);
	copy = str_dup(yyjson_get_str(v));
	if (!copy)
		return err_errno(e, ENOMEM, "%s", key);
	free(*ret);
	*ret = copy;
	return 0;
}

static int read_i64(const char *where, const char *key, yyjson_val *v, int64_t *ret, struct err *e)
{
	if (yyjson_is_sint(v)) {
		*ret = yyjson_get_sint(v);
	} else if (yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX) {
		*ret = (int64_t)yyjson_get_uint(v);
	} else if (yyjson_is_real(v) && yyjson_get_real(v) > -9e18 && yyjson_get_real(v) < 9e18 &&
		   (double)(int64_t)yyjson_get_real(v) == yyjson_get_real(v)) {
		*ret = (int64_t)yyjson_get_real(v);
	} else {
		return wrong_type(where, key, "a whole number", v, e);
	}
	return 0;
}

static int read_words(const char *where, const char *key, yyjson_val *v, bool or_text, char ***ret,
		      struct err *e)
{
	_cleanup_(strv_free) char **words = calloc(1, sizeof(char *));
	size_t i, n;
	yyjson_val *item;

	if (!words)
		return err_errno(e, ENOMEM, "%s", key);
	if (or_text && yyjson_is_str(v)) {
		if (strv_add(&words, yyjson_get_str(v)) < 0)
			return err_errno(e, ENOMEM, "%s", key);
	} else if (!yyjson_is_arr(v)) {
		return wrong_type(
			where, key,
			or_text ? "an array of strings or a string" : "an array of strings", v, e);
	} else {
		if (yyjson_arr_size(v) > BIND_ITEMS_MAX)
			return err_set(e, EINVAL, "%s: more than %d elements", key, BIND_ITEMS_MAX);
		/* strv_add is linear; place the copies directly */
		free(words);
		words = calloc(yyjson_arr_size(v) + 1, sizeof(char *));
		if (!words)
			return err_errno(e, ENOMEM, "%s", key);
		yyjson_arr_foreach(v, i, n, item)
		{
			int r = read_text(where, key, item, &words[i], e);

			if (r < 0)
				return r;
		}
	}
	strv_free(*ret);
	*ret = take_ptr(words);
	return 0;
}

static int read_set(const char *where, const char *key, yyjson_val *v, char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;
	size_t i, n;
	yyjson_val *k, *item;

	if (!yyjson_is_obj(v))
		return wrong_type(where, key, "an object", v, e);
	if (yyjson_obj_size(v) > BIND_ITEMS_MAX)
		return err_set(e, EINVAL, "%s: more than %d elements", key, BIND_ITEMS_MAX);
	words = calloc(yyjson_obj_size(v) + 1, sizeof(char *));
	if (!words)
		return err_errno(e, ENOMEM, "%s", key);
	yyjson_obj_foreach(v, i, n, k, item)
	{
		int r = read_text(where, key, k, &words[i], e);

		if (r == 0 && !yyjson_is_obj(item) && !yyjson_is_null(item))
			r = wrong_type(where, key, "an object of empty objects", item, e);
		if (r < 0)
			return r;
	}
	strv_free(*ret);
	*ret = take_ptr(words);
	return 0;
}

static int read_pairs(const char *where, const char *key, yyjson_val *v, struct bind_pairs *ret,
		      struct err *e)
{
	size_t i, n;
	yyjson_val *k, *item;

	if (!yyjson_is_obj(v))
		return wrong_type(where, key, "an object of strings", v, e);
	if (yyjson_obj_size(v) > BIND_ITEMS_MAX)
		return err_set(e, EINVAL, "%s: more than %d elements", key, BIND_ITEMS_MAX);
	pairs_free(ret);
	yyjson_obj_foreach(v, i, n, k, item)
	{
		if (!yyjson_is_str(item) && !yyjson_is_null(item))
			return wrong_type(where, key, "an object of strings", item, e);
		if (pairs_set(ret, yyjson_get_str(k),
			      yyjson_is_str(item) ? yyjson_get_str(item) : "") < 0)
			return err_errno(e, ENOMEM, "%s", key);
	}
	return 0;
}

/* Arrays (keys NULL) and objects of structs. */
static int read_list(const struct bind *row, const char *where, yyjson_val *v,
		     struct bind_list *ret, struct err *e)
{
	size_t i, n, size = row->of->size;
	size_t count = row->type == BIND_DICT ? yyjson_obj_size(v) : yyjson_arr_size(v);
	yyjson_val *k, *item;
	int r = 0;

	if (row->type == BIND_DICT ? !yyjson_is_obj(v) : !yyjson_is_arr(v))
		return wrong_type(where, row->key,
				  row->type == BIND_DICT ? "an object" : "an array", v, e);
	if (count > BIND_ITEMS_MAX)
		return err_set(e, EINVAL, "%s: more than %d elements", row->key, BIND_ITEMS_MAX);
	list_free(row->of, ret);
	ret->items = calloc(count ? count : 1, size);
	if (!ret->items)
		return err_errno(e, ENOMEM, "%s", row->key);
	if (row->type == BIND_LIST) {
		yyjson_arr_foreach(v, i, n, item)
		{
			bind_init(row->of, (char *)ret->items + i * size);
			ret->n++;
			r = bind_read(row->of, item, (char *)ret->items + i * size, row->key, e);
			if (r < 0)
				return r;
		}
		return 0;
	}
	yyjson_obj_foreach(v, i, n, k, item)
	{
		char *element = (char *)ret->items + i * size;

		bind_init(row->of, element);
		ret->n++;
		r = read_text(where, row->key, k, (char **)element, e);
		if (r == 0)
			r = bind_read(row->of, item, element, row->key, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_lists(const struct bind *row, const char *where, yyjson_val *v,
		      struct bind_list *ret, struct err *e)
{
	const struct bind element = { .key = row->key, .type = BIND_LIST, .of = row->of };
	struct bind_named_list *named;
	size_t i, n;
	yyjson_val *k, *item;

	if (!yyjson_is_obj(v))
		return wrong_type(where, row->key, "an object of arrays", v, e);
	if (yyjson_obj_size(v) > BIND_ITEMS_MAX)
		return err_set(e, EINVAL, "%s: more than %d elements", row->key, BIND_ITEMS_MAX);
	lists_free(row->of, ret);
	named = calloc(yyjson_obj_size(v) + 1, sizeof(*named));
	if (!named)
		return err_errno(e, ENOMEM, "%s", row->key);
	ret->items = named;
	yyjson_obj_foreach(v, i, n, k, item)
	{
		int r = read_text(where, row->key, k, &named[i].key, e);

		ret->n++;
		if (r == 0 && !yyjson_is_null(item))
			r = read_list(&element, where, item, &named[i].list, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_empty(yyjson_val *v)
{
	switch (yyjson_get_type(v)) {
	case YYJSON_TYPE_NULL:
		return true;
	case YYJSON_TYPE_BOOL:
		return !yyjson_get_bool(v);
	case YYJSON_TYPE_NUM:
		return yyjson_get_num(v) == 0;
	case YYJSON_TYPE_STR:
		return yyjson_get_len(v) == 0;
	case YYJSON_TYPE_ARR:
		return yyjson_arr_size(v) == 0;
	case YYJSON_TYPE_OBJ:
		return yyjson_obj_size(v) == 0;
	default:
		return false;
	}
}

static int read_pointer(const struct bind *row, yyjson_val *v, void **at, struct err *e)
{
	if (!*at) {
		*at = calloc(1, row->of->size);
		if (!*at)
			return err_errno(e, ENOMEM, "%s", row->key);
		bind_init(row->of, *at);
	}
	return bind_read(row->of, v, *at, row->key, e);
}

static int read_json(const struct bind *row, yyjson_val *v, char **at, struct err *e)
{
	char *text = yyjson_val_write(v, 0, NULL);

	if (!text)
		return err_errno(e, ENOMEM, "%s", row->key);
	free(*at);
	*at = text;
	return 0;
}

static int member_read(const struct bind *row, const char *where, yyjson_val *v, void *at,
		       struct err *e)
{
	switch (row->type) {
	case BIND_TEXT:
		return read_text(where, row->key, v, at, e);
	case BIND_BOOL:
		if (!yyjson_is_bool(v))
			return wrong_type(where, row->key, "a boolean", v, e);
		*(bool *)at = yyjson_get_bool(v);
		return 0;
	case BIND_OPT_BOOL:
		if (!yyjson_is_bool(v))
			return wrong_type(where, row->key, "a boolean", v, e);
		*(int8_t *)at = yyjson_get_bool(v);
		return 0;
	case BIND_I64:
	case BIND_OPT_I64:
		return read_i64(where, row->key, v, at, e);
	case BIND_STRV:
		return read_words(where, row->key, v, false, at, e);
	case BIND_WORDS:
		return read_words(where, row->key, v, true, at, e);
	case BIND_PAIRS:
		return read_pairs(where, row->key, v, at, e);
	case BIND_SET:
		return read_set(where, row->key, v, at, e);
	case BIND_OBJECT:
		return bind_read(row->of, v, at, row->key, e);
	case BIND_POINTER:
		return read_pointer(row, v, at, e);
	case BIND_LIST:
	case BIND_DICT:
		return read_list(row, where, v, at, e);
	case BIND_LISTS:
		return read_lists(row, where, v, at, e);
	case BIND_JSON:
		return read_json(row, v, at, e);
	case BIND_REFUSED:
		if (!is_empty(v))
			return err_set(e, EOPNOTSUPP, "%s%s%s is not supported by this engine",
				       where, *where ? "." : "", row->key);
		return 0;
	case BIND_FIXED:
		return 0;
	}
	return 0;
}

int bind_read(const struct bind_table *t, yyjson_val *val, void *obj, const char *where,
	      struct err *e)
{
	size_t i, n;
	yyjson_val *k, *v;

	if (!val || yyjson_is_null(val))
		return 0;
	if (!yyjson_is_obj(val))
		return err_set(e, EINVAL, "invalid JSON: %s%sexpected an object, not %s", where,
			       *where ? ": " : "", type_name(val));
	yyjson_obj_foreach(val, i, n, k, v)
	{
		const struct bind *row = row_find(t, yyjson_get_str(k));
		int r;

		if (!row || is_dict_key(row) || yyjson_is_null(v))
			continue;
		r = member_read(row, where, v, (char *)obj + row->offset, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- writing ---- */

static void write_strv(char *const *v, const struct bind *row, struct json_writer *w)
{
	if (!v) {
		json_raw(w, row->empty ? row->empty : "null");
		return;
	}
	json_begin_array(w);
	for (; *v; v++)
		json_str(w, *v);
	json_end_array(w);
}

static void write_set(char *const *v, const struct bind *row, struct json_writer *w)
{
	if (!v) {
		json_raw(w, row->empty ? row->empty : "null");
		return;
	}
	json_begin_object(w);
	for (; *v; v++) {
		json_key(w, *v);
		json_raw(w, "{}");
	}
	json_end_object(w);
}

static void write_pairs(const struct bind_pairs *p, const struct bind *row, struct json_writer *w)
{
	if (p->n == 0 && row->empty) {
		json_raw(w, row->empty);
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < p->n; i++) {
		json_key(w, p->v[i].key);
		json_str(w, p->v[i].value);
	}
	json_end_object(w);
}

static void write_list(const struct bind *row, const struct bind_list *list, struct json_writer *w)
{
	const char *at = list->items;

	if (!list->items) {
		json_raw(w, row->empty ? row->empty : "null");
		return;
	}
	if (row->type == BIND_DICT)
		json_begin_object(w);
	else
		json_begin_array(w);
	for (size_t i = 0; i < list->n; i++, at += row->of->size) {
		if (row->type == BIND_DICT)
			json_key(w, *(char *const *)at);
		bind_write(row->of, at, w);
	}
	if (row->type == BIND_DICT)
		json_end_object(w);
	else
		json_end_array(w);
}

static void write_lists(const struct bind *row, const struct bind_list *lists,
			struct json_writer *w)
{
	const struct bind element = {
		.key = row->key, .type = BIND_LIST, .of = row->of, .empty = "null"
	};
	const struct bind_named_list *named = lists->items;

	if (!named) {
		json_raw(w, row->empty ? row->empty : "{}");
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < lists->n; i++) {
		json_key(w, named[i].key);
		write_list(&element, &named[i].list, w);
	}
	json_end_object(w);
}

static void write_text(const char *text, const struct bind *row, struct json_writer *w)
{
	if (!text)
		json_raw(w, row->empty ? row->empty : "\"\"");
	else
		json_str(w, text);
}

static void member_write(const struct bind *row, const void *at, struct json_writer *w)
{
	switch (row->type) {
	case BIND_TEXT:
		write_text(*(char *const *)at, row, w);
		break;
	case BIND_BOOL:
		json_bool(w, *(const bool *)at);
		break;
	case BIND_OPT_BOOL:
		if (*(const int8_t *)at == BIND_UNSET_BOOL)
			json_raw(w, row->empty ? row->empty : "null");
		else
			json_bool(w, *(const int8_t *)at);
		break;
	case BIND_I64:
		json_i64(w, *(const int64_t *)at);
		break;
	case BIND_OPT_I64:
		if (*(const int64_t *)at == BIND_UNSET_I64)
			json_raw(w, row->empty ? row->empty : "null");
		else
			json_i64(w, *(const int64_t *)at);
		break;
	case BIND_STRV:
	case BIND_WORDS:
		write_strv(*(char *const *const *)at, row, w);
		break;
	case BIND_PAIRS:
		write_pairs(at, row, w);
		break;
	case BIND_SET:
		write_set(*(char *const *const *)at, row, w);
		break;
	case BIND_OBJECT:
		bind_write(row->of, at, w);
		break;
	case BIND_POINTER:
		if (*(void *const *)at)
			bind_write(row->of, *(void *const *)at, w);
		else
			json_raw(w, row->empty ? row->empty : "null");
		break;
	case BIND_LIST:
	case BIND_DICT:
		write_list(row, at, w);
		break;
	case BIND_LISTS:
		write_lists(row, at, w);
		break;
	case BIND_JSON:
		json_raw(w, *(char *const *)at ? *(char *const *)at
			    : row->empty       ? row->empty
					       : "null");
		break;
	case BIND_REFUSED:
	case BIND_FIXED:
		json_raw(w, row->empty ? row->empty : "null");
		break;
	}
}

static bool is_left_out(const struct bind *row, const void *obj)
{
	const struct bind_list *list = (const void *)((const char *)obj + row->offset);

	return row->type == BIND_LIST && row->empty && !*row->empty && list->n == 0;
}

void bind_write_members(const struct bind_table *t, const void *obj, struct json_writer *w)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		if (is_dict_key(&t->rows[i]) || is_left_out(&t->rows[i], obj))
			continue;
		json_key(w, t->rows[i].key);
		member_write(&t->rows[i], (const char *)obj + t->rows[i].offset, w);
	}
}

void bind_write(const struct bind_table *t, const void *obj, struct json_writer *w)
{
	json_begin_object(w);
	bind_write_members(t, obj, w);
	json_end_object(w);
}

int bind_copy(const struct bind_table *t, const void *from, void *to, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(0);
	struct json_writer w;
	yyjson_doc *doc;
	int r;

	json_writer_init(&w, &text);
	bind_write(t, from, &w);
	if (buf_failed(&text) < 0)
		return err_errno(e, -buf_failed(&text), "copying a document");
	doc = yyjson_read(buf_text(&text), text.len, 0);
	if (!doc)
		return err_errno(e, ENOMEM, "copying a document");
	r = bind_read(t, yyjson_doc_get_root(doc), to, "", e);
	yyjson_doc_free(doc);
	return r;
}

void *bind_list_add(const struct bind_table *t, struct bind_list *list)
{
	char *grown = reallocarray(list->items, list->n + 1, t->size);

	if (!grown)
		return NULL;
	list->items = grown;
	memset(grown + list->n * t->size, 0, t->size);
	bind_init(t, grown + list->n * t->size);
	return grown + list->n++ * t->size;
}

struct bind_list *bind_lists_get(struct bind_list *lists, const char *key)
{
	struct bind_named_list *named = lists->items, *grown;

	for (size_t i = 0; i < lists->n; i++)
		if (str_eq(named[i].key, key))
			return &named[i].list;
	grown = reallocarray(named, lists->n + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	lists->items = grown;
	grown[lists->n] = (struct bind_named_list){ .key = str_dup(key) };
	return grown[lists->n].key ? &grown[lists->n++].list : NULL;
}
