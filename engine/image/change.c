/*
 * Instructions to a config: see change.h.
 *
 * A line is an instruction and its arguments; the arguments are a JSON array of strings, or words
 * with quotes, backslashes and variables as Docker's shell lexer has them (without its ":-" forms,
 * which are refused). One table says what each instruction does.
 */
#include "engine/image/change.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "init/base/path.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

struct change {
	struct image_config *cfg;
	const char *name; /* of the instruction */
	bool cmd_set; /* by these changes */
};

/* ---- words ---- */

struct lexer {
	const char *at;
	const struct image_config *cfg;
	struct buf out; /* the word */
	char quote;
};

static bool is_name(char c, bool first)
{
	return c == '_' || isalpha((unsigned char)c) || (!first && isdigit((unsigned char)c));
}

/* At "$": appends the variable's value. */
static int expand(struct lexer *l, struct err *e)
{
	bool braces = l->at[1] == '{';
	const char *start = l->at + 1 + braces, *end = start, *value;
	char name[256];

	while (is_name(*end, end == start))
		end++;
	if (end == start && !braces) { /* a single "$" is one */
		buf_add_char(&l->out, *l->at++);
		return 0;
	}
	if (braces && (end == start || *end != '}'))
		return err_set(e, EINVAL, "\"%.40s\": only ${NAME} is supported", l->at);
	if (str_format(name, sizeof(name), "%.*s", (int)(end - start), start) < 0)
		return err_set(e, EINVAL, "the name of a variable is too long");
	value = strv_env_get(l->cfg->env, name);
	buf_add_text(&l->out, value ? value : "");
	l->at = end + braces;
	return 0;
}

/* One character of a word, or what stands for it. */
static int take(struct lexer *l, struct err *e)
{
	char c = *l->at;

	if (c == '\\' && l->quote != '\'' && l->at[1] && (!l->quote || strchr("\"\\$", l->at[1]))) {
		buf_add_char(&l->out, l->at[1]);
		l->at += 2;
		return 0;
	}
	if (l->quote ? c == l->quote : c == '"' || c == '\'') {
		l->quote = l->quote ? 0 : c;
		l->at++;
		return 0;
	}
	if (c == '$' && l->quote != '\'')
		return expand(l, e);
	buf_add_char(&l->out, c);
	l->at++;
	return 0;
}

/* The next word: 1, or 0 at the end. whole: all that is left is one. */
static int next_word(struct lexer *l, bool whole, struct err *e)
{
	int r;

	buf_reset(&l->out);
	l->at += strspn(l->at, " \t");
	if (!*l->at)
		return 0;
	while (*l->at && (whole || l->quote || !strchr(" \t", *l->at))) {
		r = take(l, e);
		if (r < 0)
			return r;
	}
	if (l->quote)
		return err_set(e, EINVAL,
			       "unexpected end of statement while looking for matching "
			       "%s-quote",
			       l->quote == '"' ? "double" : "single");
	return buf_failed(&l->out) ? err_set(e, EINVAL, "a word is too long") : 1;
}

#define LEXER(name, change, args)                                         \
	_cleanup_(lexer_free) struct lexer name = { .at = (args),         \
						    .cfg = (change)->cfg, \
						    .out = BUF_INIT(IMAGE_CHANGES_BYTES) }

static void lexer_free(struct lexer *l)
{
	buf_free(&l->out);
}
DEFINE_CLEANUP_VALUE(struct lexer, lexer_free)

static int add(char ***list, const char *text, struct err *e)
{
	if (strv_len(*list) >= BIND_ITEMS_MAX)
		return err_set(e, EINVAL, "more than %d entries", BIND_ITEMS_MAX);
	return strv_add(list, text) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int add_once(char ***list, const char *text, struct err *e)
{
	return strv_has(*list, text) ? 0 : add(list, text, e);
}

/* ["a","b"]: 1; 0: it is something else. */
static int json_words(const char *args, char ***ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root, *item;
	size_t i, max;
	int r;

	if (args[0] != '[' || json_parse(args, strlen(args), &doc, NULL) < 0)
		return 0;
	root = yyjson_doc_get_root(doc);
	yyjson_arr_foreach(root, i, max,
			   item) if (!yyjson_is_str(item) ||
				     strlen(yyjson_get_str(item)) != yyjson_get_len(item)) return 0;
	yyjson_arr_foreach(root, i, max, item)
	{
		r = add(ret, yyjson_get_str(item), e);
		if (r < 0)
			return r;
	}
	return 1;
}

/* Words, or a JSON array of them. */
static int list_words(const struct change *c, const char *args, char ***ret, struct err *e)
{
	LEXER(l, c, args);
	int r = json_words(args, ret, e);

	if (r != 0)
		return MIN(r, 0);
	while ((r = next_word(&l, false, e)) > 0) {
		r = add(ret, buf_text(&l.out), e);
		if (r < 0)
			return r;
	}
	return r;
}

static int one_text(const struct change *c, const char *args, char **ret, struct err *e)
{
	LEXER(l, c, args);
	int r = next_word(&l, true, e);

	if (r <= 0)
		return r < 0 ? r : err_set(e, EINVAL, "%s requires exactly one argument", c->name);
	return str_set(ret, buf_text(&l.out)) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- instructions ---- */

/* A program: a JSON array, or a line for the shell, as it is. */
static int program(struct change *c, const char *args, char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;
	int r = json_words(args, &words, e);

	if (r == 0) {
		char *const *shell = c->cfg->shell;

		for (size_t i = 0; r == 0 && i < strv_len(shell); i++)
			r = add(&words, shell[i], e);
		if (!shell && (r = add(&words, "/bin/sh", e)) == 0)
			r = add(&words, "-c", e);
		if (r == 0)
			r = add(&words, args, e);
	}
	if (r < 0)
		return r;
	strv_free(*ret);
	*ret = take_ptr(words);
	return 0;
}

static int do_cmd(struct change *c, const char *args, struct err *e)
{
	c->cmd_set = true;
	return program(c, args, &c->cfg->cmd, e);
}

static int do_entrypoint(struct change *c, const char *args, struct err *e)
{
	int r = program(c, args, &c->cfg->entrypoint, e);

	if (r == 0 && !c->cmd_set)
		strv_free(take_ptr(c->cfg->cmd)); /* it belonged to the old one */
	return r;
}

/* a=b c="d e", or the old form of one name and the rest. */
static int each_pair(struct change *c, const char *args, struct err *e,
		     int (*set)(struct change *c, const char *key, const char *value))
{
	_cleanup_(strv_free) char **words = NULL;
	LEXER(l, c, args);
	int r = next_word(&l, false, e);

	if (r > 0 && !strchr(buf_text(&l.out), '=')) {
		_cleanup_(mem_free) char *key = str_dup(buf_text(&l.out));

		r = next_word(&l, true, e);
		if (r == 0)
			return err_set(e, EINVAL, "%s must have two arguments", c->name);
		if (r > 0)
			r = !key || set(c, key, buf_text(&l.out)) < 0
				    ? err_set(e, ENOMEM, "out of memory")
				    : 0;
		return r;
	}
	/* all are read before the first one is set: variables are those from before the
	 * instruction */
	for (; r > 0; r = next_word(&l, false, e)) {
		r = add(&words, buf_text(&l.out), e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; r == 0 && i < strv_len(words); i++) {
		char *equals = strchr(words[i], '=');

		if (!equals || equals == words[i])
			return err_set(e, EINVAL,
				       "Syntax error - can't find = in \"%.80s\". Must be of the "
				       "form: name=value",
				       words[i]);
		*equals = '\0';
		if (set(c, words[i], equals + 1) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static int set_env(struct change *c, const char *key, const char *value)
{
	return strv_env_set(&c->cfg->env, key, value);
}

static int set_label(struct change *c, const char *key, const char *value)
{
	return pairs_set(&c->cfg->labels, key, value);
}

static int do_env(struct change *c, const char *args, struct err *e)
{
	return each_pair(c, args, e, set_env);
}

static int do_label(struct change *c, const char *args, struct err *e)
{
	return each_pair(c, args, e, set_label);
}

/* "80", "80/udp", "8000-8010/tcp" */
static int expose_one(struct change *c, const char *word, struct err *e)
{
	size_t dash = strcspn(word, "-/"), slash = strcspn(word, "/");
	const char *proto = word[slash] ? word + slash + 1 : "tcp";
	char first_text[8], last_text[8] = "", port[24];
	uint64_t first = 0, last = 0;
	int r = str_format(first_text, sizeof(first_text), "%.*s", (int)dash, word);

	if (r == 0 && dash < slash)
		r = str_format(last_text, sizeof(last_text), "%.*s", (int)(slash - dash - 1),
			       word + dash + 1);
	if (r < 0 || str_to_u64(first_text, &first) < 0 ||
	    str_to_u64(dash < slash ? last_text : first_text, &last) < 0 || first == 0 ||
	    last < first || last > 65535)
		return err_set(e, EINVAL, "invalid containerPort: %.60s", word);
	if (!str_eq(proto, "tcp") && !str_eq(proto, "udp") && !str_eq(proto, "sctp"))
		return err_set(e, EINVAL, "invalid proto: %.60s", proto);
	for (r = 0; r == 0 && first <= last; first++) {
		(void)str_format(port, sizeof(port), "%u/%s", (unsigned)first, proto);
		r = add_once(&c->cfg->exposed_ports, port, e);
	}
	return r;
}

static int do_expose(struct change *c, const char *args, struct err *e)
{
	LEXER(l, c, args);
	int r;

	while ((r = next_word(&l, false, e)) > 0) {
		r = expose_one(c, buf_text(&l.out), e);
		if (r < 0)
			return r;
	}
	return r;
}

static int do_volume(struct change *c, const char *args, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;
	int r = list_words(c, args, &words, e);

	for (size_t i = 0; r == 0 && i < strv_len(words); i++)
		r = words[i][0] ? add_once(&c->cfg->volumes, words[i], e)
				: err_set(e, EINVAL, "VOLUME specified can not be an empty string");
	return r;
}

static int do_user(struct change *c, const char *args, struct err *e)
{
	return one_text(c, args, &c->cfg->user, e);
}

static int do_workdir(struct change *c, const char *args, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	const char *old = c->cfg->working_dir;
	char joined[PATH_MAX], clean[PATH_MAX];
	int r = one_text(c, args, &text, e);

	if (r < 0)
		return r;
	r = str_format(joined, sizeof(joined), "%s/%s", text[0] == '/' || !old ? "" : old, text);
	if (r == 0)
		r = path_clean(clean, sizeof(clean), joined);
	if (r < 0)
		return err_set(e, EINVAL, "WORKDIR: the path is too long");
	return str_set(&c->cfg->working_dir, clean) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int do_stopsignal(struct change *c, const char *args, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	int r = one_text(c, args, &text, e);

	if (r < 0)
		return r;
	if (signal_from_text(text) <= 0)
		return err_set(e, EINVAL, "invalid signal: %.60s", text);
	return str_set(&c->cfg->stop_signal, text) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int do_onbuild(struct change *c, const char *args, struct err *e)
{
	static const char *const never[] = { "ONBUILD", "FROM", "MAINTAINER" };
	size_t len = strcspn(args, " \t");

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (strlen(never[i]) == len && strncasecmp(args, never[i], len) == 0)
			return err_set(e, EINVAL, "%s isn't allowed as an ONBUILD trigger",
				       never[i]);
	return add(&c->cfg->on_build, args, e);
}

/* ---- HEALTHCHECK ---- */

enum { HEALTH_LEAST = 1000000 }; /* ns: moby's container.MinimumDuration */

static const struct health_flag {
	const char *name;
	size_t offset;
	bool number; /* else a duration */
} health_flags[] = {
	{ "interval", offsetof(struct image_health, interval), false },
	{ "timeout", offsetof(struct image_health, timeout), false },
	{ "start-period", offsetof(struct image_health, start_period), false },
	{ "start-interval", offsetof(struct image_health, start_interval), false },
	{ "retries", offsetof(struct image_health, retries), true },
};

static int health_value(const struct health_flag *flag, const char *text, struct image_health *h,
			struct err *e)
{
	int64_t *to = (int64_t *)((char *)h + flag->offset);

	if (flag->number) {
		if (str_to_i64(text, to) < 0 || *to > INT32_MAX)
			return err_set(e, EINVAL, "--retries: \"%.60s\" is no number", text);
		return *to >= 0 ? 0
				: err_set(e, EINVAL, "--retries cannot be negative (%.60s)", text);
	}
	if (str_to_duration(text, to) < 0)
		return err_set(e, EINVAL, "time: invalid duration \"%.60s\"", text);
	if (*to < 0 || (*to > 0 && *to < HEALTH_LEAST))
		return err_set(e, EINVAL, "Interval \"%s\" cannot be less than 1ms", flag->name);
	return 0;
}

/* "--interval=5s" and its like in front, each once; *args goes behind them. */
static int health_options(const char **args, struct image_health *h, struct err *e)
{
	unsigned seen = 0;

	while (str_starts(*args, "--")) {
		size_t len = strcspn(*args, " \t"), i;
		char word[128], *equals;
		int r;

		if (len - 2 >= sizeof(word))
			return err_set(e, EINVAL, "Unknown flag: %.60s", *args + 2);
		memcpy(word, *args + 2, len - 2);
		word[len - 2] = '\0';
		equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		for (i = 0; i < ARRAY_SIZE(health_flags); i++)
			if (str_eq(word, health_flags[i].name))
				break;
		if (i == ARRAY_SIZE(health_flags))
			return err_set(e, EINVAL, "Unknown flag: %.60s", word);
		if (!equals)
			return err_set(e, EINVAL, "Missing a value on flag: %s", word);
		if (seen & 1u << i)
			return err_set(e, EINVAL, "Duplicate flag specified: %s", word);
		seen |= 1u << i;
		r = health_value(&health_flags[i], equals + 1, h, e);
		if (r < 0)
			return r;
		*args += len + strspn(*args + len, " \t");
	}
	return 0;
}

/* "CMD ..." as a JSON array or a line for the shell, or "NONE". */
static int health_test(const struct change *c, const char *args, char ***ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;
	size_t len = strcspn(args, " \t");
	const char *rest = args + len + strspn(args + len, " \t");
	int r;

	if (len == strlen("NONE") && strncasecmp(args, "NONE", len) == 0)
		return *rest ? err_set(e, EINVAL, "HEALTHCHECK NONE takes no arguments")
			     : add(ret, "NONE", e);
	if (len != strlen("CMD") || strncasecmp(args, "CMD", len) != 0)
		return err_set(e, EINVAL, "Unknown type \"%.*s\" in HEALTHCHECK (try CMD)",
			       (int)MIN(len, (size_t)60), args);
	r = json_words(rest, &words, e);
	if (r < 0)
		return r;
	if (r > 0 ? strv_len(words) == 0 : !*rest)
		return err_set(e, EINVAL, "Missing command after %s CMD", c->name);
	if (r == 0)
		return (r = add(ret, "CMD-SHELL", e)) < 0 ? r : add(ret, rest, e);
	r = add(ret, "CMD", e);
	for (size_t i = 0; r == 0 && i < strv_len(words); i++)
		r = add(ret, words[i], e);
	return r;
}

static int do_healthcheck(struct change *c, const char *args, struct err *e)
{
	struct image_health *h = calloc(1, sizeof(*h)), *old = c->cfg->health;
	int r = h ? health_options(&args, h, e) : err_set(e, ENOMEM, "out of memory");

	if (r == 0)
		r = health_test(c, args, &h->test, e);
	if (r == 0) {
		c->cfg->health = h;
		h = old;
	}
	if (h)
		strv_free(h->test);
	free(h);
	return r;
}

static const struct {
	const char *name;
	int (*fn)(struct change *c, const char *args, struct err *e);
} instructions[] = {
	{ "CMD", do_cmd },
	{ "ENTRYPOINT", do_entrypoint },
	{ "ENV", do_env },
	{ "EXPOSE", do_expose },
	{ "HEALTHCHECK", do_healthcheck },
	{ "LABEL", do_label },
	{ "ONBUILD", do_onbuild },
	{ "USER", do_user },
	{ "STOPSIGNAL", do_stopsignal },
	{ "VOLUME", do_volume },
	{ "WORKDIR", do_workdir },
};

/* ---- lines ---- */

static int do_line(struct change *c, char *line, struct err *e)
{
	char *args = line + strcspn(line, " \t");
	size_t len;

	if (*args)
		*args++ = '\0';
	args += strspn(args, " \t");
	for (len = strlen(args); len > 0 && strchr(" \t\r", args[len - 1]); len--)
		args[len - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (strcasecmp(instructions[i].name, line) != 0)
			continue;
		c->name = instructions[i].name;
		if (!*args)
			return err_set(e, EINVAL, "%s requires at least one argument", c->name);
		return instructions[i].fn(c, args, e);
	}
	return err_set(e, EINVAL,
		       "%.40s is not a valid change command: CMD, ENTRYPOINT, ENV, EXPOSE, "
		       "HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are",
		       line);
}

int image_config_change(struct image_config *cfg, const char *const *texts, struct err *e)
{
	struct change c = { .cfg = cfg };
	size_t total = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && texts && texts[i]; i++) {
		_cleanup_(strv_free) char **lines = strv_split(texts[i], "\n", false);

		total += strlen(texts[i]);
		if (total > IMAGE_CHANGES_BYTES)
			return err_set(e, EINVAL, "changes: more than %d bytes",
				       IMAGE_CHANGES_BYTES);
		for (size_t k = 0; r == 0 && lines && lines[k]; k++) {
			char *line = lines[k] + strspn(lines[k], " \t\r");

			if (*line && *line != '#')
				r = do_line(&c, line, e);
		}
	}
	return r;
}

/* ---- on top of another one ---- */

static int merge_text(char **to, const char *from)
{
	return str_empty(*to) && !str_empty(from) ? str_set(to, from) : 0;
}

static int merge_set(char ***to, char *const *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(from); i++)
		if (!strv_has(*to, from[i]))
			r = strv_add(to, from[i]);
	return r;
}

static int merge_list(char ***to, char *const *from)
{
	if (*to || !from)
		return 0;
	*to = strv_copy(from);
	return *to ? 0 : -ENOMEM;
}

static int merge_env(char ***to, char *const *from)
{
	char name[1024];
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(from); i++) {
		const char *equals = strchr(from[i], '=');

		if (!equals ||
		    str_format(name, sizeof(name), "%.*s", (int)(equals - from[i]), from[i]) < 0 ||
		    !strv_env_get(*to, name))
			r = strv_add(to, from[i]);
	}
	return r;
}

static int merge_health(struct image_config *cfg, const struct image_config *below)
{
	struct image_config copy;
	int r = 0;

	if (cfg->health || !below->health)
		return 0;
	bind_init(&image_config_table, &copy);
	r = bind_copy(&image_config_table, below, &copy, NULL);
	if (r == 0)
		cfg->health = take_ptr(copy.health);
	bind_free(&image_config_table, &copy);
	return r;
}

static int merge_program(struct image_config *cfg, const struct image_config *below)
{
	int r = 0;

	if (strv_len(cfg->entrypoint) > 0)
		return 0;
	if (strv_len(cfg->cmd) == 0)
		r = merge_list(&cfg->cmd, below->cmd);
	return r < 0 ? r : merge_list(&cfg->entrypoint, below->entrypoint);
}

int image_config_merge(struct image_config *cfg, const struct image_config *below)
{
	int r;

	for (size_t i = 0; i < below->labels.n; i++)
		if (!pairs_get(&cfg->labels, below->labels.v[i].key) &&
		    pairs_set(&cfg->labels, below->labels.v[i].key, below->labels.v[i].value) < 0)
			return -ENOMEM;
	if ((r = merge_text(&cfg->user, below->user)) < 0 ||
	    (r = merge_text(&cfg->working_dir, below->working_dir)) < 0 ||
	    (r = merge_text(&cfg->stop_signal, below->stop_signal)) < 0 ||
	    (r = merge_set(&cfg->exposed_ports, below->exposed_ports)) < 0 ||
	    (r = merge_set(&cfg->volumes, below->volumes)) < 0 ||
	    (r = merge_env(&cfg->env, below->env)) < 0 ||
	    (r = merge_list(&cfg->shell, below->shell)) < 0 || (r = merge_health(cfg, below)) < 0)
		return r;
	return merge_program(cfg, below);
}
