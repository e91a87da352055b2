/*
 * What a record says beside its text: the labels and variables that the options name, and the tag
 * (log_config.h).
 *
 * The precedence is Docker's: a variable wins over a label of the same name, the tag over both.
 * Called when shim.json is written, so once per start.
 */
#include <regex.h>
#include <string.h>

#include "engine/container/log_config.h"
#include "init/base/str.h"

enum { REGEX_MAX = 256, TAG_MAX = 1024, TAG_SHORT = 12 };

/* ---- the tag ---- */

static const char *id_of(const struct container *c)
{
	return c->id;
}

static const char *name_of(const struct container *c)
{
	return c->name;
}

static const char *image_id_of(const struct container *c)
{
	return c->image_id;
}

static const char *image_name_of(const struct container *c)
{
	return c->asked.config.image;
}

/* Receivers sort by it, so it is the name that Docker's daemon has. */
static const char *daemon_of(const struct container *c)
{
	(void)c;
	return "docker";
}

/* Docker's logger.Info. */
static const struct tag_field {
	const char *name, *before;
	const char *(*value)(const struct container *c);
	size_t cut; /* characters, 0: all */
} fields[] = {
	{ "ID", "", id_of, TAG_SHORT },
	{ "FullID", "", id_of, 0 },
	{ "Name", "", name_of, 0 },
	{ "ImageID", "", image_id_of, TAG_SHORT },
	{ "ImageFullID", "", image_id_of, 0 },
	{ "ImageName", "", image_name_of, 0 },
	{ "DaemonName", "", daemon_of, 0 },
	{ "ContainerID", "", id_of, 0 },
	{ "ContainerName", "/", name_of, 0 },
	{ "ContainerImageID", "", image_id_of, 0 },
	{ "ContainerImageName", "", image_name_of, 0 },
};

/* The field of "{{ .Name }}" at *at, which is moved behind it; NULL when it is none. */
static const struct tag_field *take_field(const char **at)
{
	const char *end = strstr(*at, "}}");
	_cleanup_(mem_free) char *inside = end ? strndup(*at + 2, (size_t)(end - *at - 2)) : NULL;
	const char *name = inside ? str_trim(inside) : "";

	for (size_t i = 0; name[0] == '.' && i < ARRAY_SIZE(fields); i++) {
		if (str_eq(fields[i].name, name + 1)) {
			*at = end + 2;
			return &fields[i];
		}
	}
	return NULL;
}

int log_tag_check(const char *text, struct err *e)
{
	const char *at = text;

	if (strlen(text) > TAG_MAX)
		return err_set(e, EINVAL, "log opt tag: at most %d characters", TAG_MAX);
	while ((at = strstr(at, "{{")))
		if (!take_field(&at))
			return err_set(e, EINVAL,
				       "log opt tag: '%.100s' is not supported; what can be put in "
				       "is {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageID}}, "
				       "{{.ImageFullID}}, {{.ImageName}} and {{.DaemonName}}",
				       at);
	return 0;
}

static void add_field(struct buf *out, const struct tag_field *f, const struct container *c)
{
	const char *value = f->value(c);
	size_t len = value ? strlen(value) : 0;

	buf_add_text(out, f->before);
	if (value)
		buf_add(out, value, f->cut ? MIN(len, f->cut) : len);
}

char *log_tag(const struct container *c, const char *standard)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(16 << 10);
	const char *at = log_option(&c->asked.host, "tag");

	if (!at)
		at = standard ? standard : "";
	while (*at) {
		const struct tag_field *f = at[0] == '{' && at[1] == '{' ? take_field(&at) : NULL;

		if (f)
			add_field(&out, f, c);
		else
			buf_add_char(&out, *at++);
	}
	return buf_failed(&out) < 0 ? NULL : buf_take(&out);
}

/* ---- labels and variables ---- */

/* Counted repetition and back references can take any amount of memory and time. */
int log_regex_check(const char *key, const char *text, struct err *e)
{
	char why[128];
	regex_t re;
	int r;

	if (strlen(text) > REGEX_MAX)
		return err_set(e, EINVAL, "log opt %s: at most %d characters", key, REGEX_MAX);
	for (const char *p = text; *p; p++)
		if (*p == '{' || (*p == '\\' && p[1] >= '1' && p[1] <= '9'))
			return err_set(e, EINVAL,
				       "log opt %s: '%s': counts in braces and back references are "
				       "not supported",
				       key, text);
	r = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		(void)regerror(r, &re, why, sizeof(why));
		return err_set(e, EINVAL, "log opt %s: '%s' is no regular expression: %s", key,
			       text, why);
	}
	regfree(&re);
	return 0;
}

/* Adds what `names` (a,b) names, then what the expression finds, of `all`. */
static int choose(const struct bind_pairs *all, const char *names, const char *regex,
		  struct bind_pairs *out)
{
	_cleanup_(strv_free) char **list = names ? strv_split(names, ",", false) : NULL;
	bool has_regex = false;
	regex_t re;
	int r = 0;

	if (regex) {
		if (regcomp(&re, regex, REG_EXTENDED | REG_NOSUB) != 0)
			return -ENOMEM;
		has_regex = true;
	}
	for (size_t i = 0; r == 0 && i < all->n; i++) {
		const char *key = all->v[i].key;

		if (strv_has(list, key) || (has_regex && regexec(&re, key, 0, NULL, 0) == 0))
			r = pairs_set(out, key, all->v[i].value);
	}
	if (has_regex)
		regfree(&re);
	return r;
}

static int variables(const struct container *c, struct bind_pairs *ret)
{
	int r = 0;

	for (char **v = c->asked.config.env; r == 0 && v && *v; v++) {
		const char *value = strchr(*v, '=');
		_cleanup_(mem_free) char *key = value ? strndup(*v, (size_t)(value - *v)) : NULL;

		if (value)
			r = key ? pairs_set(ret, key, value + 1) : -ENOMEM;
	}
	return r;
}

static int collect(const struct container *c, struct bind_pairs *out)
{
	const struct host_config *h = &c->asked.host;
	struct bind_pairs env = { 0 };
	int r = choose(&c->asked.config.labels, log_option(h, "labels"),
		       log_option(h, "labels-regex"), out);

	if (r == 0)
		r = variables(c, &env);
	if (r == 0)
		r = choose(&env, log_option(h, "env"), log_option(h, "env-regex"), out);
	if (r == 0 && log_option(h, "tag")) {
		_cleanup_(mem_free) char *tag = log_tag(c, NULL);

		r = tag ? pairs_set(out, "tag", tag) : -ENOMEM;
	}
	pairs_free(&env);
	return r;
}

int log_attrs_write(const struct container *c, struct json_writer *w, struct err *e)
{
	struct bind_pairs attrs = { 0 };
	size_t bytes = 0;
	int r = collect(c, &attrs);

	json_begin_object(w);
	for (size_t i = 0; r == 0 && i < attrs.n; i++) {
		bytes += strlen(attrs.v[i].key) + strlen(attrs.v[i].value);
		json_member_str(w, attrs.v[i].key, attrs.v[i].value);
	}
	json_end_object(w);
	pairs_free(&attrs);
	if (r < 0)
		return err_errno(e, -r, "log attributes");
	if (bytes > LOG_ATTRS_MAX)
		return err_set(e, E2BIG,
			       "the labels and variables of the log options are more than %d KiB",
			       LOG_ATTRS_MAX >> 10);
	return 0;
}
