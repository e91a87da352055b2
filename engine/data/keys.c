/*
 * Detach keys, parsed and matched (keys.h). Pure. What is held back is always the beginning of the
 * sequence, so only its length is kept; a byte that does not continue it may still continue a
 * shorter beginning that the held bytes end with ("a,a,b" in "aaab").
 */
#include "engine/data/keys.h"

#include <string.h>

#include "init/base/str.h"

enum { CTRL_P = 16, CTRL_Q = 17, DEL = 127 };

/* ctrl-@ is 0, ctrl-a 1, ... ctrl-_ 31; -EINVAL. */
static int control_key(const char *name)
{
	if (str_eq(name, "DEL"))
		return DEL;
	if (!str_starts(name, "ctrl-") || strlen(name) != strlen("ctrl-") + 1)
		return -EINVAL;
	name += strlen("ctrl-");
	if (*name >= 'a' && *name <= 'z')
		return *name - 'a' + 1;
	return strchr("@[\\]^_", *name) ? *name - '@' : -EINVAL;
}

int keys_parse(const char *text, struct key_sequence *ret, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	struct key_sequence seq = { .keys = { CTRL_P, CTRL_Q }, .n = 2 };

	if (str_empty(text)) {
		*ret = seq;
		return 0;
	}
	names = strv_split(text, ",", true);
	if (!names)
		return err_errno(e, ENOMEM, "detach keys");
	if (strv_len(names) > KEYS_MAX)
		return err_set(e, EINVAL, "more than %d keys", KEYS_MAX);
	seq.n = 0;
	for (char **name = names; *name; name++) {
		int key = strlen(*name) == 1 ? (unsigned char)**name : control_key(*name);

		if (key < 0)
			return err_set(e, EINVAL, "Unknown character: '%s'", *name);
		seq.keys[seq.n++] = (unsigned char)key;
	}
	*ret = seq;
	return 0;
}

/* How much is held back when `c` comes after `held` bytes: the longest beginning of the sequence
 * that the input now ends with. */
static size_t longest(const struct key_sequence *s, size_t held, unsigned char c)
{
	for (size_t n = held + 1; n > 0; n--)
		if (s->keys[n - 1] == c && memcmp(s->keys, s->keys + (held + 1 - n), n - 1) == 0)
			return n;
	return 0;
}

bool keys_feed(struct key_matcher *m, const char *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		size_t now = longest(&m->seq, m->held, c), through = m->held + 1 - now;

		buf_add(out, m->seq.keys, MIN(through, m->held));
		if (through > m->held)
			buf_add_char(out, (char)c);
		m->held = now;
		if (now == m->seq.n) {
			m->held = 0;
			return true;
		}
	}
	return false;
}

void keys_flush(struct key_matcher *m, struct buf *out)
{
	buf_add(out, m->seq.keys, m->held);
	m->held = 0;
}
