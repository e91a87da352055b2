/*
 * system.yaml: any bytes as the machine's settings.
 *
 * What is accepted becomes lines that PID 1 trusts: each must be one "key=value" of printable text.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/data/settings.h"
#include "init/base/str.h"
#include "init/base/util.h"

#define FILE_NAME "/etc/skerry/system.yaml"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(strv_free) char **list = NULL;
	struct err e = { 0 };

	if (settings_read((const char *)data, len, FILE_NAME, &list, &e) < 0) {
		FUZZ_CHECK(e.code > 0 && str_starts(err_text(&e), FILE_NAME ":"));
		return 0;
	}
	FUZZ_CHECK(list);
	for (char **line = list; *line; line++) {
		const char *equals = strchr(*line, '=');

		FUZZ_CHECK(equals && equals > *line && equals[1]);
		for (const char *c = *line; *c; c++)
			FUZZ_CHECK(*c > ' ' && *c <= '~');
	}
	return 0;
}
