/*
 * The arguments of ps to a list of columns (ps.h), by tables of formats and options.
 *
 * What is not understood is an error that names it: a column that is silently another one is worse
 * than none. Like dockerd, a list without the column PID is refused, since clients look for it.
 */
#include <string.h>

#include "engine/container/ps.h"
#include "init/base/str.h"
#include "init/base/util.h"

#define UNDERSTOOD "understood are -e -A -a -f -F -l -j -w -o and a x u l j w o"

/* Which format was asked for, as bits. */
enum {
	FULL = 1,
	EXTRA = 2,
	LONG = 4,
	JOBS = 8,
	USER = 16,
	BSD = 32, /* a word without dash was there */
};

struct request {
	unsigned formats;
	struct ps_plan *plan; /* columns of -o */
};

/* Columns by name; "UID" is the user's name under that title, "CMD" the bare command name. */
static const struct {
	unsigned formats;
	const char *columns;
} formats[] = {
	{ EXTRA | LONG, "f s UID pid ppid c OPRI ni addr sz rss wchan psr stime tname time cmd" },
	{ EXTRA, "UID pid ppid c sz rss psr stime tname time cmd" },
	{ FULL | LONG, "f s UID pid ppid c OPRI ni addr sz wchan stime tname time cmd" },
	{ FULL | JOBS, "UID pid ppid pgid sid c stime tname time cmd" },
	{ FULL, "UID pid ppid c stime tname time cmd" },
	{ BSD | LONG, "f uid pid ppid PRIORITY ni vsz rss wchan stat tname bsdtime args" },
	{ BSD | JOBS, "ppid pid pgid sid tname tpgid stat uid bsdtime args" },
	{ BSD | USER, "user pid %cpu %mem vsz rss tname stat start_time bsdtime args" },
	{ BSD, "pid tname stat bsdtime args" },
	{ LONG, "f s uid pid ppid c OPRI ni addr sz wchan tname time CMD" },
	{ JOBS, "pid pgid sid tname time CMD" },
	{ 0, "pid tname time CMD" },
};

static const struct ps_column *column_of_format(const char *name)
{
	static const struct {
		const char *name;
		const struct ps_column *column;
	} special[] = {
		{ "UID", &ps_uid_column },
		{ "CMD", &ps_comm_column },
		{ "OPRI", &ps_opri_column },
		{ "PRIORITY", &ps_priority_column },
	};

	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (str_eq(special[i].name, name))
			return special[i].column;
	return ps_column_find(name, strlen(name));
}

static int add_column(struct ps_plan *plan, const struct ps_column *column, struct err *e)
{
	if (plan->n == PS_COLUMNS_MAX)
		return err_set(e, EINVAL, "ps: more than %d columns", PS_COLUMNS_MAX);
	plan->columns[plan->n++] = column;
	return 0;
}

/* "pid,user,args" */
static int add_list(struct ps_plan *plan, const char *list, struct err *e)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		const struct ps_column *column = ps_column_find(list, len);
		int r;

		if (memchr(list, '=', len))
			return err_set(e, EINVAL,
				       "ps: %.60s: titles of one's own are not supported", list);
		if (!column)
			return err_set(e, EINVAL, "ps: there is no column \"%.*s\"",
				       (int)MIN(len, (size_t)60), list);
		r = add_column(plan, column, e);
		if (r < 0)
			return r;
		list += len + (list[len] == ',');
	}
	return 0;
}

/* One letter; -EINVAL when it is none of ours. `dash`: of a word that began with one. */
static int take_letter(struct request *q, char letter, bool dash)
{
	static const struct {
		char letter;
		bool dash, bare;
		unsigned format;
	} letters[] = {
		{ 'e', true, false, 0 },     { 'A', true, false, 0 },	{ 'a', true, true, 0 },
		{ 'x', true, true, 0 },	     { 'w', true, true, 0 },	{ 'f', true, false, FULL },
		{ 'F', true, false, EXTRA }, { 'l', true, true, LONG }, { 'j', true, true, JOBS },
		{ 'u', false, true, USER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		if (letters[i].letter != letter || !(dash ? letters[i].dash : letters[i].bare))
			continue;
		q->formats |= letters[i].format;
		return 0;
	}
	return -EINVAL;
}

/* A word of letters, behind its dash if it had one; an "o" takes the rest of it, or the next word.
 * Returns how many words were used. */
static int take_word(struct request *q, const char *word, const char *next, bool dash,
		     struct err *e)
{
	for (const char *c = word; *c; c++) {
		const char *list = c[1] ? c + 1 : next;

		if (*c == 'o') {
			int r = list ? add_list(q->plan, list, e)
				     : err_set(e, EINVAL, "ps: option o wants a list of columns");

			return r < 0 ? r : 1 + (list == next);
		}
		if (take_letter(q, *c, dash) < 0)
			return err_set(e, EINVAL, "ps: option %s%c is not supported; " UNDERSTOOD,
				       dash ? "-" : "", *c);
	}
	return 1;
}

/* "-aux" is read as "aux", as procps does it. */
static bool is_bsd_with_dash(const char *letters)
{
	return strchr(letters, 'u') && strpbrk(letters, "ax") &&
	       letters[strspn(letters, "auxw")] == '\0';
}

static int take_words(struct request *q, char *const *words, struct err *e)
{
	while (*words) {
		const char *word = *words;
		bool dash = *word == '-';
		int used;

		word += dash;
		if (*word == '-' || !*word)
			return err_set(e, EINVAL, "ps: \"%.60s\" is not supported; " UNDERSTOOD,
				       *words);
		if (dash && is_bsd_with_dash(word))
			dash = false;
		if (!dash)
			q->formats |= BSD;
		used = take_word(q, word, words[1], dash, e);
		if (used < 0)
			return used;
		words += used;
	}
	return 0;
}

static int take_format(struct request *q, struct err *e)
{
	/* what is not UNIX' is no mix of both; a bare "a" or "x" beside -f means nothing */
	unsigned want = q->formats & (FULL | EXTRA) ? q->formats & ~(unsigned)BSD : q->formats;

	if (want & EXTRA)
		want &= ~(unsigned)FULL;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_(strv_free) char **names = NULL;
		int r = 0;

		if (formats[i].formats != want)
			continue;
		names = strv_split(formats[i].columns, " ", false);
		if (!names)
			return err_set(e, ENOMEM, "out of memory");
		for (char **n = names; *n && r == 0; n++)
			r = add_column(q->plan, column_of_format(*n), e);
		return r;
	}
	return err_set(e, EINVAL, "ps: conflicting format options");
}

int ps_plan(const char *args, struct ps_plan *ret, struct err *e)
{
	_cleanup_(strv_free) char **words = NULL;
	struct ps_plan plan = { .n = 0 };
	struct request q = { .plan = &plan };
	int r;

	if (str_empty(args))
		args = "-ef";
	if (strlen(args) > PS_ARGS_MAX)
		return err_set(e, EINVAL, "ps: more than %d bytes of arguments", PS_ARGS_MAX);
	words = strv_split(args, " \t\r\n", false);
	if (!words)
		return err_set(e, ENOMEM, "out of memory");
	r = take_words(&q, words, e);
	if (r == 0 && plan.n > 0 && q.formats & ~(unsigned)BSD)
		return err_set(e, EINVAL, "ps: conflicting format options");
	if (r == 0 && plan.n == 0)
		r = take_format(&q, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan.n; i++) {
		if (str_eq(plan.columns[i]->title, "PID")) {
			*ret = plan;
			return 0;
		}
	}
	return err_set(e, EINVAL, "Couldn't find PID field in ps output");
}
