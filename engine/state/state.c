/*
 * State documents: file_replace() for the durable write, quarantine for what does not parse.
 *
 * Nothing is kept in memory here. The steps of a write are fault points of init/base/file.c, and
 * tests cut it at each of them. Called by every module that has objects which outlive the engine.
 */
#include "engine/state/state.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/state/reserve.h"
#include "init/base/fault.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { DOCUMENT_MODE = 0600 };

int state_write(int dirfd, const char *path, const char *text, size_t len, struct err *e)
{
	struct err why = { 0 };
	int r = file_replace(dirfd, path, text, len, DOCUMENT_MODE, true, &why);

	while (r == -ENOSPC && reserve_give(dirfd, path))
		r = file_replace(dirfd, path, text, len, DOCUMENT_MODE, true, &why);
	return r < 0 ? err_set(e, -r, "%s", err_text(&why)) : 0;
}

/* Puts a damaged document aside and explains; `why` tells what is wrong with it. */
static int quarantine(int dirfd, const char *path, const char *why, struct err *e)
{
	char bad[PATH_MAX], reason[ERR_TEXT_MAX];

	(void)str_format(reason, sizeof(reason), "%s", why);
	if (str_format(bad, sizeof(bad), "%s%s", path, STATE_BAD_SUFFIX) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	if (renameat(dirfd, path, dirfd, bad) < 0)
		return err_errno(e, errno, "%s is damaged (%s) and cannot be put aside", path,
				 reason);
	log_error("%s is damaged and was put aside as %s: %s", path, bad, reason);
	return err_set(e, EBADMSG, "%s is damaged: %s", path, reason);
}

int state_read(int dirfd, const char *path, size_t max, yyjson_doc **ret_doc, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	struct err why = { 0 };
	size_t len;
	int r;

	r = file_read(dirfd, path, max, &text, &len, &why);
	if (r == 0)
		r = json_parse_object(text, len, ret_doc, NULL, &why);
	if (r == -EFBIG || r == -EINVAL)
		return quarantine(dirfd, path, err_text(&why), e);
	return r < 0 ? err_set(e, -r, "%s", err_text(&why)) : 0;
}

/* the directory part of path, "." when there is none */
static int directory_of(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return str_copy(dir, PATH_MAX, ".");
	return str_format(dir, PATH_MAX, "%.*s", (int)MAX(slash - path, 1), path);
}

int state_remove(int dirfd, const char *path, struct err *e)
{
	char dir[PATH_MAX];
	int r = fault_point("state.remove");

	if (r < 0)
		return err_errno(e, -r, "cannot remove %s", path);
	if (directory_of(path, dir) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	if (unlinkat(dirfd, path, 0) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot remove %s", path);
	return dir_sync(dirfd, dir, e);
}

static int clean_one(int dirfd, const char *name, void *data, struct err *e)
{
	(void)data;
	if (str_starts(name, FILE_TEMP_PREFIX) && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the temporary file %s", name);
	return 0;
}

int state_clean(int dirfd, const char *dir, struct err *e)
{
	int r = dir_each(dirfd, dir, STATE_FILES_MAX, clean_one, NULL, e);

	return r == -ENOENT ? 0 : r;
}

struct each {
	size_t max;
	int (*fn)(const char *name, yyjson_val *root, void *data, struct err *e);
	void *data;
};

static int each_one(int dirfd, const char *name, void *data, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct each *each = data;
	char stem[NAME_MAX + 1];
	int r;

	if (!str_ends(name, STATE_SUFFIX) || str_starts(name, "."))
		return clean_one(dirfd, name, NULL, e);
	r = state_read(dirfd, name, each->max, &doc, e);
	if (r == -EBADMSG || r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	(void)str_format(stem, sizeof(stem), "%.*s", (int)(strlen(name) - strlen(STATE_SUFFIX)),
			 name);
	return each->fn(stem, yyjson_doc_get_root(doc), each->data, e);
}

int state_each(int dirfd, const char *dir, size_t max,
	       int (*fn)(const char *name, yyjson_val *root, void *data, struct err *e), void *data,
	       struct err *e)
{
	struct each each = { max, fn, data };
	_cleanup_(fd_close) int fd = openat(dirfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot open %s", dir);
	return dir_each(fd, ".", STATE_FILES_MAX, each_one, &each, e);
}
