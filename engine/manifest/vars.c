/*
 * Variables in values, and env files (see vars.h).
 *
 * A word behind an operator is only looked into when it counts, as a shell does it; so a message
 * of :? may name variables that are not set.
 */
#include "engine/manifest/vars.h"

#include "init/base/buf.h"
#include "init/base/str.h"

void vars_free(struct vars *v)
{
	strv_free(v->env);
	strv_free(v->missing);
	*v = (struct vars){ 0 };
}

/* ---- values ---- */

/* Where names are looked up: first the project's, then those of the file being read. */
struct lookup {
	struct vars *vars;
	char *const *more;
};

static bool starts_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t name_len(const char *s)
{
	size_t n = 0;

	if (!starts_name(*s))
		return 0;
	while (starts_name(s[n]) || (s[n] >= '0' && s[n] <= '9'))
		n++;
	return n;
}

static const char *look_up(const struct lookup *l, const char *name)
{
	const char *value = strv_env_get(l->vars->env, name);

	return value ? value : strv_env_get(l->more, name);
}

static int wrong_form(const char *at, struct err *e)
{
	return err_set(
		e, EINVAL,
		"invalid interpolation format at '%.40s': expected $NAME or ${NAME}; a dollar "
		"sign itself is written $$",
		at);
}

/* Behind the closing brace of a word; NULL when there is none. */
static const char *word_end(const char *s)
{
	for (int open = 1; *s; s++) {
		if (s[0] == '$' && s[1] == '{')
			open++;
		else if (*s == '}' && --open == 0)
			return s;
	}
	return NULL;
}

static int expand(struct lookup *l, const char *s, const char *end, int depth, struct buf *out,
		  struct err *e);

static int not_set(struct lookup *l, const char *name)
{
	return strv_has(l->vars->missing, name) ? 0 : strv_add(&l->vars->missing, name);
}

/* ${name op word}, op being "", "-", "?" or "+" with or without a colon. */
static int expand_form(struct lookup *l, const char *name, bool colon, char op, const char *word,
		       const char *end, int depth, struct buf *out, struct err *e)
{
	const char *value = look_up(l, name);
	bool there = value && !(colon && !*value);
	_cleanup_(buf_free) struct buf message = BUF_INIT(ERR_TEXT_MAX);
	int r;

	switch (op) {
	case '-':
		return there ? buf_add_text(out, value) : expand(l, word, end, depth + 1, out, e);
	case '+':
		return there ? expand(l, word, end, depth + 1, out, e) : 0;
	case '?':
		if (there)
			return buf_add_text(out, value);
		r = expand(l, word, end, depth + 1, &message, e);
		if (r == -EINVAL)
			return r;
		return err_set(e, EINVAL, "required variable %s is missing a value%s%s", name,
			       message.len ? ": " : "", buf_text(&message));
	default:
		if (!value && not_set(l, name) < 0)
			return -ENOMEM;
		return value ? buf_add_text(out, value) : 0;
	}
}

/* *at is behind the dollar sign, and moves behind the variable. */
static int expand_one(struct lookup *l, const char **at, int depth, struct buf *out, struct err *e)
{
	const char *s = *at, *dollar = s - 1, *end;
	bool brace = *s == '{', colon = false;
	size_t len = name_len(brace ? ++s : s);
	_cleanup_(mem_free) char *name = strndup(s, len);
	char op = '\0';

	if (!name)
		return err_errno(e, ENOMEM, "variables");
	if (len == 0)
		return wrong_form(dollar, e);
	s += len;
	if (!brace) {
		*at = s;
		return expand_form(l, name, false, '\0', s, s, depth, out, e);
	}
	end = word_end(s);
	if (!end)
		return err_set(e, EINVAL, "invalid interpolation format at '%.40s': } is missing",
			       dollar);
	if (s < end) {
		colon = *s == ':';
		op = s[colon];
		s += colon + 1;
		if (s > end || !strchr("-?+", op))
			return wrong_form(dollar, e);
	}
	*at = end + 1;
	return expand_form(l, name, colon, op, s, end, depth, out, e);
}

static int expand(struct lookup *l, const char *s, const char *end, int depth, struct buf *out,
		  struct err *e)
{
	int r = 0;

	if (depth > VARS_DEPTH_MAX)
		return err_set(e, EINVAL, "variables within variables, more than %d deep",
			       VARS_DEPTH_MAX);
	while (r == 0 && s < end) {
		const char *dollar = memchr(s, '$', (size_t)(end - s));

		r = buf_add(out, s, (size_t)((dollar ? dollar : end) - s));
		if (!dollar)
			break;
		s = dollar + 1;
		if (r == 0 && *s == '$')
			r = buf_add_char(out, *s++);
		else if (r == 0)
			r = expand_one(l, &s, depth, out, e);
	}
	return r;
}

static int expand_text(struct lookup *l, const char *text, char **ret, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(VARS_VALUE_MAX);
	int r = expand(l, text, text + strlen(text), 0, &out, e);

	l->vars->total += out.len;
	if (r == -EMSGSIZE || l->vars->total > VARS_TOTAL_MAX)
		return err_set(e, EINVAL, "with its variables filled in it is too large (%d bytes)",
			       r < 0 ? VARS_VALUE_MAX : VARS_TOTAL_MAX);
	if (r == -ENOMEM)
		return err_errno(e, ENOMEM, "variables");
	if (r < 0)
		return r;
	*ret = buf_take(&out);
	return *ret ? 0 : err_errno(e, ENOMEM, "variables");
}

int vars_expand(struct vars *v, const char *text, char **ret, struct err *e)
{
	struct lookup l = { .vars = v };

	return expand_text(&l, text, ret, e);
}

/* ---- env files ---- */

struct env_reader {
	const char *file, *s;
	size_t line;
	struct vars *vars;
	char ***env;
};

static int env_wrong(const struct env_reader *r, const char *what, struct err *e)
{
	return err_set(e, EINVAL, "%s:%zu: %s", r->file, r->line, what);
}

static int env_set(const struct env_reader *r, const char *key, const char *value, bool literal,
		   struct err *e)
{
	struct lookup l = { .vars = r->vars, .more = *r->env };
	_cleanup_(mem_free) char *full = NULL;
	int rc = literal ? 0 : expand_text(&l, value, &full, e);

	if (rc < 0)
		return err_wrap(e, "%s:%zu: %s", r->file, r->line, key);
	return strv_env_set(r->env, key, full ? full : value) < 0
		       ? err_errno(e, ENOMEM, "%s", r->file)
		       : 0;
}

/* KEY without a value. */
static int env_inherit(const struct env_reader *r, const char *key, struct err *e)
{
	const char *value = strv_env_get(r->vars->env, key);

	return value ? env_set(r, key, value, true, e) : 0;
}

/* What stands for `\c` in double quotes; a dollar sign is doubled, so that it stays one. */
static void add_escape(struct buf *out, char c)
{
	static const char from[] = "nrtvfab", to[] = "\n\r\t\v\f\a\b";
	const char *known = c ? strchr(from, c) : NULL;

	if (known)
		buf_add_char(out, to[known - from]);
	else if (c == '$')
		buf_add_text(out, "$$");
	else if (c == '"' || c == '\\')
		buf_add_char(out, c);
	else
		buf_printf(out, "\\%c", c);
}

/* r->s is at the opening quote and moves to the end of the line of the closing one. */
static int read_quoted(struct env_reader *r, const char *key, struct err *e)
{
	_cleanup_(buf_free) struct buf value = BUF_INIT(VARS_VALUE_MAX);
	char quote = *r->s++;
	size_t first = r->line;

	for (; *r->s && *r->s != quote; r->s++) {
		if (*r->s == '\n')
			r->line++;
		if (*r->s == '\\' && quote == '"' && r->s[1])
			add_escape(&value, *++r->s);
		else
			buf_add_char(&value, *r->s);
	}
	if (!*r->s) {
		r->line = first;
		return env_wrong(r, "a quote is not closed", e);
	}
	r->s++;
	r->s += strspn(r->s, " \t\r");
	if (*r->s && *r->s != '\n' && *r->s != '#')
		return env_wrong(r, "there is more behind the closing quote", e);
	r->s += strcspn(r->s, "\n");
	if (buf_failed(&value) < 0)
		return env_wrong(r, "the value is too large", e);
	return env_set(r, key, buf_text(&value), quote == '\'', e);
}

static int read_unquoted(struct env_reader *r, const char *key, struct err *e)
{
	size_t len = strcspn(r->s, "\n");
	_cleanup_(mem_free) char *value = strndup(r->s, len);
	char *comment;

	if (!value)
		return err_errno(e, ENOMEM, "%s", r->file);
	r->s += len;
	if (*value == '#')
		*value = '\0';
	for (comment = strchr(value, '#'); comment; comment = strchr(comment + 1, '#'))
		if (comment > value && (comment[-1] == ' ' || comment[-1] == '\t'))
			*comment = '\0';
	return env_set(r, key, str_trim(value), false, e);
}

/* One entry; r->s is at its first character and moves to the end of its line. */
static int read_entry(struct env_reader *r, struct err *e)
{
	_cleanup_(mem_free) char *key = NULL;
	size_t len;

	if (str_starts(r->s, "export "))
		r->s += strspn(r->s + 7, " \t") + 7;
	len = strcspn(r->s, "=: \t\r\n");
	key = strndup(r->s, len);
	if (!key)
		return err_errno(e, ENOMEM, "%s", r->file);
	if (len == 0)
		return env_wrong(r, "expected KEY=value", e);
	r->s += len;
	r->s += strspn(r->s, " \t\r");
	if (!*r->s || *r->s == '\n')
		return env_inherit(r, key, e);
	if (*r->s != '=' && *r->s != ':')
		return env_wrong(r, "expected KEY=value", e);
	r->s++;
	r->s += strspn(r->s, " \t");
	return *r->s == '"' || *r->s == '\'' ? read_quoted(r, key, e) : read_unquoted(r, key, e);
}

static int read_raw(struct env_reader *r, struct err *e)
{
	size_t len = strcspn(r->s, "\n");
	_cleanup_(mem_free) char *line = strndup(r->s, len);
	char *value;

	if (!line)
		return err_errno(e, ENOMEM, "%s", r->file);
	r->s += len;
	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	value = strchr(line, '=');
	if (value == line)
		return env_wrong(r, "expected KEY=value", e);
	if (!value)
		return env_inherit(r, line, e);
	*value++ = '\0';
	return env_set(r, line, value, true, e);
}

int env_file_read(const char *text, const char *file, bool raw, struct vars *v, char ***env,
		  struct err *e)
{
	struct env_reader r = { .file = file, .s = text, .line = 1, .vars = v, .env = env };
	int rc = 0;

	if (str_starts(text, "\xef\xbb\xbf"))
		r.s += 3;
	while (rc == 0 && *r.s) {
		r.s += strspn(r.s, " \t\r");
		if (*r.s == '#')
			r.s += strcspn(r.s, "\n");
		else if (*r.s && *r.s != '\n')
			rc = raw ? read_raw(&r, e) : read_entry(&r, e);
		if (rc == 0 && *r.s == '\n') {
			r.s++;
			r.line++;
		}
	}
	return rc;
}
