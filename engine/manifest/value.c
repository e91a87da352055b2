/*
 * Typed reading of YAML values (see value.h): scalars, words, pairs, and mappings by table.
 */
#include "engine/manifest/value.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/manifest/words.h"
#include "init/base/str.h"

struct place place_at(const struct place *p, const char *key, size_t index)
{
	struct place at = { .doc = p->doc };

	if (key)
		snprintf(at.path, sizeof(at.path), "%s%s%s", p->path, *p->path ? "." : "", key);
	else
		snprintf(at.path, sizeof(at.path), "%s[%zu]", p->path, index);
	return at;
}

int value_wrong(const struct place *p, const struct yaml_node *n, const char *want, struct err *e)
{
	return yaml_err(n ? n->doc : p->doc, n ? n->line : 1, p->path, e, "expected %s, not %s",
			want, yaml_kind_name(n));
}

static int no_memory(const struct place *p, struct err *e)
{
	return err_errno(e, ENOMEM, "%s", p->path);
}

int value_text(const struct place *p, const struct yaml_node *n, char **ret, struct err *e)
{
	if (n->kind != YAML_SCALAR)
		return value_wrong(p, n, "a text", e);
	return str_set(ret, n->text) < 0 ? no_memory(p, e) : 0;
}

int value_bool(const struct place *p, const struct yaml_node *n, bool *ret, struct err *e)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "true", true }, { "yes", true },    { "on", true },  { "y", true },
		{ "1", true },	  { "false", false }, { "no", false }, { "off", false },
		{ "n", false },	  { "0", false },
	};

	if (yaml_bool(n, ret) == 0)
		return 0;
	/* a text, perhaps from a variable, is taken as compose takes it */
	for (size_t i = 0; n->kind == YAML_SCALAR && !n->plain && i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(n->text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return value_wrong(p, n, "true or false", e);
}

int value_i64(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e)
{
	return yaml_i64(n, ret) < 0 ? value_wrong(p, n, "a whole number", e) : 0;
}

int value_bytes(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e)
{
	uint64_t bytes;

	if (n->kind != YAML_SCALAR || str_to_bytes(n->text, &bytes) < 0 || bytes > INT64_MAX)
		return value_wrong(p, n, "a size such as 64m or 1g", e);
	*ret = (int64_t)bytes;
	return 0;
}

int value_nano_cpus(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e)
{
	char *end = NULL;
	double cpus = n->kind == YAML_SCALAR ? strtod(n->text, &end) : -1;

	if (n->kind != YAML_SCALAR || end == n->text || *end || !(cpus >= 0 && cpus <= 4096))
		return value_wrong(p, n, "a number of processors such as 0.5", e);
	*ret = (int64_t)llround(cpus * 1e9);
	return 0;
}

int value_duration(const struct place *p, const struct yaml_node *n, int64_t *ret_ns, struct err *e)
{
	if (n->kind != YAML_SCALAR || str_to_duration(n->text, ret_ns) < 0 || *ret_ns < 0)
		return value_wrong(p, n, "a time such as 10s or 1m30s", e);
	return 0;
}

int value_words(const struct place *p, const struct yaml_node *n, char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;

	if (n->kind == YAML_MAP)
		return value_wrong(p, n, "a list of texts", e);
	if (n->kind == YAML_SCALAR && strv_add(&words, n->text) < 0)
		return no_memory(p, e);
	for (size_t i = 0; n->kind == YAML_LIST && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);

		if (n->items[i]->kind != YAML_SCALAR)
			return value_wrong(&at, n->items[i], "a text", e);
		if (strv_add(&words, n->items[i]->text) < 0)
			return no_memory(p, e);
	}
	strv_free(*ret);
	*ret = take_ptr(words);
	return 0;
}

int value_command(const struct place *p, const struct yaml_node *n, char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;

	if (n->kind != YAML_SCALAR)
		return value_words(p, n, ret, e);
	if (words_split(n->text, &words) < 0)
		return yaml_err(n->doc, n->line, p->path, e, "a quote is not closed in: %s",
				n->text);
	strv_free(*ret);
	*ret = words ? take_ptr(words) : calloc(1, sizeof(char *));
	return *ret ? 0 : no_memory(p, e);
}

/* Calls fn for each KEY and value (NULL when there is none) of a mapping or a list of KEY=value. */
static int each_pair(const struct place *p, const struct yaml_node *n,
		     int (*fn)(const char *key, const char *value, void *data), void *data,
		     struct err *e)
{
	if (n->kind == YAML_SCALAR)
		return value_wrong(p, n, "a mapping or a list of KEY=value", e);
	for (size_t i = 0; i < n->n; i++) {
		const struct yaml_node *v = n->kind == YAML_MAP ? n->pairs[i].value : n->items[i];
		struct place at = place_at(p, n->kind == YAML_MAP ? n->pairs[i].key : NULL, i);
		_cleanup_(mem_free) char *key = NULL;
		const char *value;

		if (v->kind != YAML_SCALAR)
			return value_wrong(&at, v, "a text", e);
		if (n->kind == YAML_MAP) {
			key = str_dup(n->pairs[i].key);
			value = yaml_is_null(v) ? NULL : v->text;
		} else {
			key = strndup(v->text, strcspn(v->text, "="));
			value = strchr(v->text, '=') ? strchr(v->text, '=') + 1 : NULL;
		}
		if (key && !*key)
			return yaml_err(v->doc, v->line, at.path, e, "a name is missing before =");
		if (!key || fn(key, value, data) < 0)
			return no_memory(p, e);
	}
	return 0;
}

static int put_pair(const char *key, const char *value, void *data)
{
	return pairs_set(data, key, value ? value : "");
}

int value_pairs(const struct place *p, const struct yaml_node *n, struct bind_pairs *ret,
		struct err *e)
{
	return each_pair(p, n, put_pair, ret, e);
}

static int put_env(const char *key, const char *value, void *data)
{
	return value ? strv_env_set(data, key, value) : 0;
}

int value_env(const struct place *p, const struct yaml_node *n, char ***env, struct err *e)
{
	return each_pair(p, n, put_env, env, e);
}

/* ---- mappings ---- */

static int read_value(const struct key_row *row, void *target, const struct place *p,
		      const struct yaml_node *n, struct err *e)
{
	void *at = (char *)target + row->offset;

	switch (row->type) {
	case VALUE_LATER:
		return yaml_err(n->doc, n->line, p->path, e,
				"is not supported by this version of Skerry");
	case VALUE_CALL:
		return row->fn(target, p, n, e);
	case VALUE_SKIP:
		return 0;
	case VALUE_TEXT:
		return value_text(p, n, at, e);
	case VALUE_BOOL:
		return value_bool(p, n, at, e);
	case VALUE_I64:
		return value_i64(p, n, at, e);
	case VALUE_BYTES:
		return value_bytes(p, n, at, e);
	case VALUE_CPUS:
		return value_nano_cpus(p, n, at, e);
	case VALUE_DURATION:
		return value_duration(p, n, at, e);
	case VALUE_WORDS:
		return value_words(p, n, at, e);
	case VALUE_COMMAND:
		return value_command(p, n, at, e);
	case VALUE_PAIRS:
		return value_pairs(p, n, at, e);
	case VALUE_ENV:
		return value_env(p, n, at, e);
	}
	return 0;
}

/* Levenshtein distance, cut off: words longer than the row are "far". */
static size_t distance(const char *a, const char *b)
{
	size_t row[40], n = strlen(b);

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = MIN(best, row[j] + 1);
			row[j] = MIN(best, row[j - 1] + 1);
		}
	}
	return row[n];
}

static const char *nearest(const char *key, const struct key_row *rows, size_t n_rows)
{
	size_t best = 4;
	const char *found = NULL;

	for (size_t i = 0; i < n_rows; i++) {
		size_t d = distance(key, rows[i].key);

		if (d < best) {
			best = d;
			found = rows[i].key;
		}
	}
	return found;
}

static const struct key_row *find_row(const char *key, const struct key_row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++)
		if (str_eq(rows[i].key, key))
			return &rows[i];
	return NULL;
}

int value_map(const struct place *p, const struct yaml_node *n, const struct key_row *rows,
	      size_t n_rows, void *target, struct err *e)
{
	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_MAP)
		return value_wrong(p, n, "a mapping", e);
	for (size_t i = 0; i < n->n; i++) {
		const char *key = n->pairs[i].key;
		const struct key_row *row = find_row(key, rows, n_rows);
		struct place at = place_at(p, key, 0);
		const char *near;
		int r;

		if (!row && str_starts(key, "x-"))
			continue;
		near = row ? NULL : nearest(key, rows, n_rows);
		if (!row)
			return yaml_err(n->pairs[i].value->doc, n->pairs[i].line, at.path, e,
					"unknown key%s%s%s", near ? "; did you mean '" : "",
					near ? near : "", near ? "'?" : "");
		if (yaml_is_null(n->pairs[i].value))
			continue;
		r = read_value(row, target, &at, n->pairs[i].value, e);
		if (r < 0)
			return r;
	}
	return 0;
}
