/*
 * Runs the cases that one test program registered and prints TAP: `ok N - folder/name: case`.
 *
 * Temporary folders live below $TMPDIR (default /tmp) and are removed after each case. The exit
 * status is 1 when a case failed. An argument runs only the cases whose name contains it.
 */
#include "tests/unit/test.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct test_case *first, **last = &first;
static bool failed;
static char tmpdir[256];

void test_register(struct test_case *t)
{
	*last = t;
	last = &t->next;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	failed = true;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

const char *test_tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	if (tmpdir[0])
		return tmpdir;
	snprintf(tmpdir, sizeof(tmpdir), "%s/skerry-test-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(tmpdir)) {
		perror("mkdtemp");
		exit(99);
	}
	return tmpdir;
}

char *test_fixture(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	char *data = NULL;
	size_t len = 0, got;

	if (!f) {
		perror(path);
		exit(99);
	}
	do {
		data = realloc(data, len + 65537);
		if (!data)
			exit(99);
		got = fread(data + len, 1, 65536, f);
		len += got;
	} while (got > 0);
	data[len] = '\0';
	fclose(f);
	if (ret_len)
		*ret_len = len;
	return data;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static const char *program_name(const char *path)
{
	const char *p = strstr(path, "tests/unit/");

	return p ? p + strlen("tests/unit/") : path;
}

int main(int argc, char **argv)
{
	int n = 0, n_failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct test_case *t = first; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		failed = false;
		t->fn();
		if (tmpdir[0]) {
			nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
			tmpdir[0] = '\0';
		}
		n_failed += failed;
		printf("%s %d - %s: %s\n", failed ? "not ok" : "ok", ++n, program_name(argv[0]),
		       t->name);
	}
	printf("1..%d\n", n);
	return n_failed > 0;
}
