/*
 * The command line as a table: name, the field it fills, how its value is checked. Words are split
 * at blanks; double quotes group as in the kernel's own parser.
 */
#include "init/boot/options.h"

#include <string.h>

#include "init/base/str.h"
#include "init/base/util.h"

struct option {
	const char *name; /* without "skerry." */
	size_t offset;
	int (*set)(void *field, const char *value);
	const char *right; /* what a value looks like */
};

static int set_bool(void *field, const char *value)
{
	bool yes = str_eq(value, "yes") || str_eq(value, "1") || str_eq(value, "on");

	if (!yes && !str_eq(value, "no") && !str_eq(value, "0") && !str_eq(value, "off"))
		return -EINVAL;
	*(bool *)field = yes;
	return 0;
}

static int set_level(void *field, const char *value)
{
	uint64_t v;

	if (str_to_u64(value, &v) < 0 || v > 7)
		return -EINVAL;
	*(int *)field = (int)v;
	return 0;
}

static int set_hostname(void *field, const char *value)
{
	return hostname_valid(value) ? str_copy(field, HOSTNAME_MAX + 1, value) : -EINVAL;
}

static int set_data(void *field, const char *value)
{
	return data_choice_valid(value)
		       ? str_copy(field, sizeof(((struct options *)0)->data), value)
		       : -EINVAL;
}

#define FIELD(f) offsetof(struct options, f)

static const struct option table[] = {
	{ "data", FIELD(data), set_data, "auto, none or a device like /dev/vdb" },
	{ "hostname", FIELD(hostname), set_hostname, "a host name like box-1.example.net" },
	{ "console", FIELD(console), set_bool, "yes or no" },
	{ "network", FIELD(network), set_bool, "yes or no" },
	{ "watchdog", FIELD(watchdog), set_bool, "yes or no" },
	{ "engine", FIELD(engine), set_bool, "yes or no" },
	{ "loglevel", FIELD(loglevel), set_level, "a number from 0 to 7" },
};

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-';
}

bool hostname_valid(const char *name)
{
	size_t label = 0;
	const char *p;

	for (p = name; *p; p++) {
		if (*p == '.') {
			if (label == 0 || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!label_char(*p) || (label == 0 && *p == '-') || ++label > 63)
			return false;
	}
	return label > 0 && p[-1] != '-' && p - name <= HOSTNAME_MAX;
}

bool data_choice_valid(const char *text)
{
	if (str_eq(text, "auto") || str_eq(text, "none"))
		return true;
	if (!str_starts(text, "/dev/") || strlen(text) >= sizeof(((struct options *)0)->data))
		return false;
	text += strlen("/dev/");
	for (const char *p = text; *p; p++) {
		if (!label_char(*p) && *p != '_')
			return false;
	}
	return *text != '\0';
}

static void complain_of(void (*complain)(void *data, const char *text), void *data, const char *fmt,
			const char *name, const char *value, const char *right)
{
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), fmt, name, value, right);
	if (complain)
		complain(data, text);
}

static void take(struct options *o, char *word, void (*complain)(void *data, const char *text),
		 void *data)
{
	char *eq = strchr(word, '=');
	const char *value = eq ? eq + 1 : "yes", *name = word + strlen("skerry.");

	if (eq)
		*eq = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!str_eq(table[i].name, name))
			continue;
		if (table[i].set((char *)o + table[i].offset, value) < 0)
			complain_of(complain, data,
				    "command line: skerry.%.40s=%.80s is ignored, it must be %s",
				    name, value, table[i].right);
		return;
	}
	complain_of(complain, data, "command line: there is no option skerry.%.40s%.0s%s", name, "",
		    " (see init/boot/options.h)");
}

/* Cuts the next word off *at, in place, without its quotes; NULL at the end. */
static char *next_word(char **at)
{
	char *p = *at, *start, *out;
	bool quoted = false;

	p += strspn(p, " \t\n");
	if (!*p)
		return NULL;
	for (start = out = p; *p && (quoted || !strchr(" \t\n", *p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		else
			*out++ = *p;
	}
	*at = *p ? p + 1 : p;
	*out = '\0';
	return start;
}

void options_parse(const char *line, struct options *ret,
		   void (*complain)(void *data, const char *text), void *data)
{
	char copy[OPTIONS_LINE_MAX], *at = copy, *word;

	*ret = (struct options){
		.console = true, .network = true, .watchdog = true, .engine = true, .loglevel = -1
	};
	if (str_copy(copy, sizeof(copy), line) < 0) {
		if (complain)
			complain(data,
				 "command line: longer than 4095 bytes, all options are ignored");
		return;
	}
	while ((word = next_word(&at))) {
		if (str_eq(word, "--"))
			break;
		if (str_starts(word, "skerry."))
			take(ret, word, complain, data);
	}
}
