/*
 * The unit test frame: TEST() registers a case, CHECK*() record failures, main.c runs and prints
 * TAP.
 *
 * A failed CHECK ends its case (return), the others run on. Cases of one program run in the order
 * of the file. TEST_TMPDIR() gives a fresh folder that is removed after the case.
 */
#ifndef SKERRY_TEST_H
#define SKERRY_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*fn)(void);
	struct test_case *next;
};

void test_register(struct test_case *t);
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A fresh folder, removed after the case; the string stays valid until then. */
const char *test_tmpdir(void);
/* Whole content of a file of the source tree (fixtures), path from the tree root; free() it. */
char *test_fixture(const char *path, size_t *ret_len);

#define TEST(ident)                                                                         \
	static void test_##ident(void);                                                     \
	static struct test_case test_case_##ident = { .name = #ident, .fn = test_##ident }; \
	__attribute__((constructor)) static void test_register_##ident(void)                \
	{                                                                                   \
		test_register(&test_case_##ident);                                          \
	}                                                                                   \
	static void test_##ident(void)

#define CHECK(cond)                                                 \
	do {                                                        \
		if (!(cond)) {                                      \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
			return;                                     \
		}                                                   \
	} while (0)
/* with a reason to print, e.g. err_text(&e) */
#define CHECK_MSG(cond, ...)                                        \
	do {                                                        \
		if (!(cond)) {                                      \
			test_fail(__FILE__, __LINE__, __VA_ARGS__); \
			return;                                     \
		}                                                   \
	} while (0)
#define CHECK_INT(got, want)                                                                 \
	do {                                                                                 \
		long long g_ = (got), w_ = (want);                                           \
		if (g_ != w_) {                                                              \
			test_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #got, g_, w_); \
			return;                                                              \
		}                                                                            \
	} while (0)
#define CHECK_STR(got, want)                                                            \
	do {                                                                            \
		const char *g_ = (got), *w_ = (want);                                   \
		if (!g_ || !w_ || strcmp(g_, w_) != 0) {                                \
			test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #got, \
				  g_ ? g_ : "(null)", w_ ? w_ : "(null)");              \
			return;                                                         \
		}                                                                       \
	} while (0)

#endif
