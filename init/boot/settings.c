/*
 * Settings: run the validator, take its flat lines.
 *
 * The validator is the engine's binary, which is ours, but it chews a file that people write, so
 * its time and its output are bounded and its lines are checked again.
 */
#include "init/boot/settings.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "init/base/file.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

enum { VALIDATE_MS = 20000 };

bool settings_has_content(const char *text)
{
	while (*text) {
		const char *end = strchrnul(text, '\n');

		text += strspn(text, " \t\r");
		if (text < end && *text != '#' && strncmp(text, "---", 3) != 0 &&
		    strncmp(text, "...", 3) != 0)
			return true;
		text = *end ? end + 1 : end;
	}
	return false;
}

static int check_line(const char *line, struct err *e)
{
	const char *eq = strchr(line, '=');

	if (!eq || eq == line)
		return err_set(e, EINVAL, "\"%.60s\" is not a key=value line", line);
	for (const char *p = line; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(e, EINVAL, "the value of %.*s has a control character",
				       (int)MIN(eq - line, 60), line);
	}
	return 0;
}

int settings_parse(const char *text, char ***ret_list, struct err *e)
{
	_cleanup_(strv_free) char **lines = strv_split(text, "\n", false);

	if (!lines)
		return err_set(e, ENOMEM, "out of memory for the settings");
	if (strv_len(lines) > SETTINGS_LINES_MAX)
		return err_set(e, E2BIG, "more than %d settings", SETTINGS_LINES_MAX);
	for (size_t i = 0; lines[i]; i++) {
		int r = check_line(lines[i], e);

		if (r < 0)
			return r;
	}
	*ret_list = take_ptr(lines);
	return 0;
}

/* the first line of what the validator said */
static int refuse(const char *file, char *output, int status, struct err *e)
{
	char why[64];

	output[strcspn(output, "\n")] = '\0';
	if (*output)
		return err_set(e, EINVAL, "%s", output);
	return err_set(e, EINVAL, "%s cannot be checked: %s", file,
		       child_status_text(status, why, sizeof(why)));
}

int settings_load(const char *program, const char *file, char ***ret_list, struct err *e)
{
	const char *argv[] = { program, "settings", file, NULL };
	const struct spawn s = { .path = program, .argv = argv };
	_cleanup_(mem_free) char *text = NULL, *output = NULL;
	int status, r = file_read(AT_FDCWD, file, SETTINGS_FILE_MAX, &text, NULL, e);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT || !settings_has_content(text))
		return settings_parse("", ret_list, e);
	r = spawn_run(&s, VALIDATE_MS, SETTINGS_FILE_MAX, &output, &status, e);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return refuse(file, output, status, e);
	return settings_parse(output, ret_list, e);
}

const char *settings_item(char *const *list, const char *prefix, unsigned n)
{
	char key[96];

	if (str_format(key, sizeof(key), "%s.%u", prefix, n) < 0)
		return NULL;
	return strv_env_get(list, key);
}
