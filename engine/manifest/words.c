/*
 * Shell words and env files (see words.h).
 */
#include "engine/manifest/words.h"

#include "init/base/buf.h"
#include "init/base/str.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Appends one word at *at to b; *at moves behind it. */
static int take_word(const char **at, struct buf *b)
{
	char quote = '\0';

	for (; **at && (quote || !is_blank(**at)); (*at)++) {
		char c = **at;

		if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (quote && c == quote) {
			quote = '\0';
		} else if (c == '\\' && quote != '\'' && (*at)[1]) {
			(*at)++;
			if (quote && !strchr("\\\"$`", **at))
				buf_add_char(b, '\\');
			buf_add_char(b, **at);
		} else {
			buf_add_char(b, c);
		}
	}
	return quote ? -EINVAL : buf_failed(b);
}

int words_split(const char *text, char ***ret)
{
	_cleanup_(strv_free) char **words = NULL;

	for (;;) {
		_cleanup_(buf_free) struct buf word = BUF_INIT(1 << 20);
		int r;

		while (is_blank(*text))
			text++;
		if (!*text)
			break;
		r = take_word(&text, &word);
		if (r == 0)
			r = strv_add(&words, buf_text(&word));
		if (r < 0)
			return r;
	}
	*ret = take_ptr(words);
	return 0;
}

/* The value of one line, without quotes or (unquoted) the comment behind it. */
static void clean_value(char *value)
{
	size_t len = strlen(value);
	char *comment;

	if (len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
		memmove(value, value + 1, len - 2);
		value[len - 2] = '\0';
		return;
	}
	comment = strstr(value, " #");
	if (comment)
		*comment = '\0';
}

int env_file_read(const char *text, const char *file, char ***env, struct err *e)
{
	_cleanup_(strv_free) char **lines = strv_split(text, "\n", true);

	for (size_t i = 0; lines && lines[i]; i++) {
		char *line = str_trim(lines[i]), *value;

		if (!*line || *line == '#')
			continue;
		if (str_starts(line, "export "))
			line = str_trim(line + strlen("export "));
		value = strchr(line, '=');
		if (!value || value == line)
			return err_set(e, EINVAL, "%s:%zu: expected KEY=value", file, i + 1);
		*value++ = '\0';
		value = str_trim(value);
		clean_value(value);
		if (strv_env_set(env, str_trim(line), value) < 0)
			return err_errno(e, ENOMEM, "%s", file);
	}
	return 0;
}
