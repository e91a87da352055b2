/*
 * The note of the last end, and pstore.
 */
#include "init/boot/lastboot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "init/base/util.h"

static const struct {
	const char *state, *sentence;
} ends[] = {
	{ "reboot", "it was restarted in order" },
	{ "poweroff", "it was switched off in order" },
	{ "halt", "it was halted in order" },
	{ "running", "it ended without a shutdown: power lost, a reset or a crash" },
};

int lastboot_note(const char *path, const char *state, const char *text, struct err *e)
{
	char line[LASTBOOT_TEXT_MAX + 64];

	snprintf(line, sizeof(line), "%s %" PRId64 " %.*s\n", state, clock_real_ns() / 1000000000,
		 LASTBOOT_TEXT_MAX - 1, text ? text : "");
	return file_replace(AT_FDCWD, path, line, strlen(line), 0600, false, e);
}

/* the words after "state SECONDS " */
static const char *rest_of(const char *line)
{
	const char *p = strchr(line, ' ');

	p = p ? strchr(p + 1, ' ') : NULL;
	return p ? p + 1 : "";
}

char *lastboot_sentence(const char *path, const char *panic)
{
	_cleanup_(mem_free) char *text = NULL;
	const char *rest;

	if (file_read(AT_FDCWD, path, 1024, &text, NULL, NULL) < 0)
		return panic ? str_printf("previous boot: the kernel panicked: %s", panic) : NULL;
	text[strcspn(text, "\n")] = '\0';
	rest = rest_of(text);
	if (panic)
		return str_printf("previous boot: the kernel panicked: %s", panic);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t n = strlen(ends[i].state);

		if (strncmp(text, ends[i].state, n) == 0 && text[n] == ' ')
			return str_printf("previous boot: %s%s%s%s", ends[i].sentence,
					  *rest ? " (" : "", rest, *rest ? ")" : "");
	}
	return str_printf("previous boot: its note cannot be read");
}

char *panic_text(const char *log)
{
	static const char mark[] = "Kernel panic - not syncing: ";
	const char *at = strstr(log, mark);

	if (!at)
		return NULL;
	at += strlen(mark);
	return strndup(at, MIN(strcspn(at, "\n"), (size_t)LASTBOOT_TEXT_MAX));
}

struct collect {
	int to;
	int n;
	char *panic;
};

static int collect_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct collect *c = data;
	_cleanup_(mem_free) char *text = NULL;
	size_t len;

	if (c->n == PSTORE_FILES_MAX)
		return 0;
	if (file_read(dirfd, name, PSTORE_FILE_MAX, &text, &len, e) < 0)
		return 0; /* not a record, or too long: it stays */
	if (file_replace(c->to, name, text, len, 0600, false, e) < 0)
		return -e->code;
	c->n++;
	if (!c->panic && str_starts(name, "dmesg-"))
		c->panic = panic_text(text);
	(void)unlinkat(dirfd, name, 0);
	return 0;
}

static int count_one(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)name;
	(void)e;
	(*(int *)data)++;
	return 0;
}

int pstore_collect(const char *from, const char *to, char **ret_panic, struct err *e)
{
	struct collect c = { .to = -1 };
	_cleanup_(fd_close) int dir = -1;
	int records = 0, r;

	if (access(from, F_OK) < 0 || dir_each(AT_FDCWD, from, 1024, count_one, &records, e) < 0 ||
	    records == 0)
		return 0;
	/* names differ from boot to boot: without this the folder would grow for ever */
	if (tree_remove(AT_FDCWD, to, e) < 0 || dir_make(AT_FDCWD, to, 0700, e) < 0)
		return -e->code;
	dir = open(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "cannot open %s", to);
	c.to = dir;
	r = dir_each(AT_FDCWD, from, 1024, collect_one, &c, e);
	if (r < 0) {
		free(c.panic);
		return r;
	}
	*ret_panic = c.panic;
	return c.n;
}
