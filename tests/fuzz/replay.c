/*
 * Runs one fuzz target over its committed corpus, without any fuzzer: the replay that `make check`
 * does.
 *
 * The target's name is that of the program (NAME_replay), its corpus tests/fuzz/corpus/NAME. Prints
 * TAP, one result per file; a crash or a sanitizer's complaint ends the program and so fails. Files
 * named on the command line are run instead, to look at a finding.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static int run_file(const char *path, int number)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!f || !data) {
		perror(path);
		printf("not ok %d - %s\n", number, path);
		if (f)
			fclose(f);
		free(data);
		return 1;
	}
	len = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	/* an allocation of the exact size, so that reading behind the end is found */
	uint8_t *exact = malloc(len + (len == 0));
	if (!exact)
		abort();
	memcpy(exact, data, len);
	free(data);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	printf("ok %d - %s\n", number, path);
	return 0;
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int run_corpus(const char *dir)
{
	struct dirent **list;
	int n = scandir(dir, &list, no_dots, alphasort), failed = 0;

	if (n <= 0) {
		printf("not ok 1 - %s: no corpus\n1..1\n", dir);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		failed += run_file(path, i + 1);
		free(list[i]);
	}
	free(list);
	printf("1..%d\n", n);
	return failed > 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	const char *end = strstr(name, "_replay");
	char dir[PATH_MAX];
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		failed += run_file(argv[i], i);
	if (argc > 1)
		return failed > 0;
	snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%.*s",
		 end ? (int)(end - name) : (int)strlen(name), name);
	return run_corpus(dir);
}
