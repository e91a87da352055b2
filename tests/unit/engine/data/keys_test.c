/* Detach keys: Docker's syntax, and a matcher that no cut of the input deceives. */
#include "engine/data/keys.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(syntax)
{
	static const struct {
		const char *text, *keys;
		size_t n;
	} good[] = {
		{ NULL, "\x10\x11", 2 },
		{ "", "\x10\x11", 2 },
		{ "ctrl-p,ctrl-q", "\x10\x11", 2 },
		{ "ctrl-x,a",
		  "\x18"
		  "a",
		  2 },
		{ "a", "a", 1 },
		{ "ctrl-@", "\0", 1 },
		{ "ctrl-[,ctrl-\\", "\x1b\x1c", 2 },
		{ "ctrl-],ctrl-^", "\x1d\x1e", 2 },
		{ "ctrl-_", "\x1f", 1 },
		{ "DEL,Z",
		  "\x7f"
		  "Z",
		  2 },
		{ "ctrl-z", "\x1a", 1 },
	};
	static const char *const bad[] = { "ctrl-A", "ctrl-", "ctrl-ab", "Ctrl-a",
					   "ab",     "a,,b",  "a,",	 "ctrl-1",
					   "del",    ",",     "\xc3\xa4" };
	struct key_sequence s;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(keys_parse(good[i].text, &s, &e), 0);
		CHECK_INT(s.n, good[i].n);
		CHECK_MSG(memcmp(s.keys, good[i].keys, s.n) == 0, "case %zu", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(keys_parse(bad[i], &s, &e) == -EINVAL &&
				  str_starts(err_text(&e), "Unknown character: '"),
			  "\"%s\" was taken", bad[i]);
}

TEST(too_many_keys)
{
	char text[2 * KEYS_MAX + 2] = "";
	struct key_sequence s;

	for (int i = 0; i < KEYS_MAX; i++)
		memcpy(text + 2 * i, "a,", 3);
	text[2 * KEYS_MAX - 1] = '\0';
	CHECK_INT(keys_parse(text, &s, NULL), 0);
	CHECK_INT(s.n, KEYS_MAX);
	text[2 * KEYS_MAX - 1] = ',';
	memcpy(text + 2 * KEYS_MAX, "a", 2);
	CHECK_INT(keys_parse(text, &s, NULL), -EINVAL);
}

static const struct {
	const char *keys, *input, *through;
	bool found;
} cases[] = {
	{ "a,b", "xyz", "xyz", false },
	{ "a,b", "xab", "x", true },
	{ "a,b", "aab", "a", true },
	{ "a,b", "acab", "ac", true },
	{ "a,b", "abrest", "", true },
	{ "a,b", "xa", "xa", false }, /* flushed at the end */
	{ "a,a,b", "aaab", "a", true },
	{ "a,a,b", "aaaab", "aa", true },
	{ "a,a,b", "aacaab", "aac", true },
	{ "a,b,a,c", "ababac", "ab", true },
	{ "a,b,a,c", "abaabac", "aba", true },
	{ "a,b,a,c", "ababab", "ababab", false },
	{ "q", "q", "", true },
	{ "q", "xyq", "xy", true },
};

TEST(however_the_input_is_cut)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].input);

		for (size_t step = 1; step <= len; step++) {
			_cleanup_(buf_free) struct buf out = BUF_INIT(100);
			struct key_matcher m = { 0 };
			bool found = false;

			CHECK_INT(keys_parse(cases[i].keys, &m.seq, NULL), 0);
			for (size_t at = 0; at < len && !found; at += step)
				found = keys_feed(&m, cases[i].input + at, MIN(step, len - at),
						  &out);
			keys_flush(&m, &out);
			CHECK_MSG(found == cases[i].found &&
					  str_eq(buf_text(&out), cases[i].through),
				  "case %zu in steps of %zu: \"%s\", found %d", i, step,
				  buf_text(&out), found);
		}
	}
}

/* Against the definition, on all inputs of two letters up to a length. */
TEST(finds_the_first_one_always)
{
	static const char *const sequences[] = { "a,b,a", "a,a,a", "b,a,a,b", "a,b,a,b,b" };

	for (size_t s = 0; s < ARRAY_SIZE(sequences); s++) {
		char plain[8] = "";
		struct key_sequence seq;

		CHECK_INT(keys_parse(sequences[s], &seq, NULL), 0);
		memcpy(plain, seq.keys, seq.n);
		for (unsigned int bits = 0; bits < 1u << 10; bits++) {
			_cleanup_(buf_free) struct buf out = BUF_INIT(100);
			struct key_matcher m = { .seq = seq };
			char input[11] = "", *at;
			bool found;

			for (int i = 0; i < 10; i++)
				input[i] = bits >> i & 1 ? 'b' : 'a';
			found = keys_feed(&m, input, 10, &out);
			keys_flush(&m, &out);
			at = strstr(input, plain);
			CHECK(found == (at != NULL));
			if (at)
				*at = '\0';
			CHECK_STR(buf_text(&out), input);
		}
	}
}
