/*
 * The clock's floor: compare, set, keep. The file holds one decimal number.
 */
#include "init/boot/floor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"

int64_t clock_floor(int64_t build, int64_t saved)
{
	if (saved > build && saved - build <= FLOOR_AHEAD_MAX)
		return saved;
	return build;
}

int clock_raise(int64_t floor, struct err *e)
{
	struct timespec now = { 0 }, set = { .tv_sec = (time_t)floor };

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec >= floor)
		return 0;
	if (clock_settime(CLOCK_REALTIME, &set) < 0)
		return err_errno(e, errno, "cannot set the clock");
	return 1;
}

int64_t clock_load(const char *path)
{
	_cleanup_(mem_free) char *text = NULL;
	int64_t value;

	if (file_read(AT_FDCWD, path, 64, &text, NULL, NULL) < 0)
		return 0;
	return str_to_i64(str_trim(text), &value) == 0 && value > 0 ? value : 0;
}

int clock_save(const char *path, struct err *e)
{
	struct timespec now = { 0 };
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(text, sizeof(text), "%" PRId64 "\n", (int64_t)now.tv_sec);
	return file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, e);
}
