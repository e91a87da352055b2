/*
 * Detach keys: the sequence of keys that lets a client leave a terminal while its process goes on.
 *
 * The syntax is Docker's (moby/term, ToBytes): keys with commas between them, each one character,
 * "DEL", or "ctrl-" and one of a-z @ [ \ ] ^ _. The matcher stands in the input path: bytes that
 * may begin the sequence are held back until it is clear what they are, so it works however the
 * input is cut, and what turns out to be something else goes through unchanged.
 */
#ifndef SKERRY_DATA_KEYS_H
#define SKERRY_DATA_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "init/base/buf.h"
#include "init/base/err.h"

enum { KEYS_MAX = 64 }; /* length of a sequence */

struct key_sequence {
	unsigned char keys[KEYS_MAX];
	size_t n;
};

/* NULL and "" give the default, ctrl-p,ctrl-q. -EINVAL names the key that is unknown. */
int keys_parse(const char *text, struct key_sequence *ret, struct err *e);

struct key_matcher {
	struct key_sequence seq;
	size_t held; /* bytes held back: the first ones of the sequence */
};

/* Takes input: what goes through is added to out. True when the sequence is complete; what comes
 * behind it is dropped. */
bool keys_feed(struct key_matcher *m, const char *data, size_t len, struct buf *out);
/* No more input: what was held back goes through. */
void keys_flush(struct key_matcher *m, struct buf *out);

#endif
