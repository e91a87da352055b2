/*
 * Shell words (see words.h).
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
