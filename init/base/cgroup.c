/*
 * cgroup v2 by directory fds: make, write knobs, read numbers, kill, remove.
 *
 * A knob that is not there means a controller that is not delegated, and the error says which.
 * Paths come from our own code, never from a container. Used by PID 1, the engine and the runtime.
 */
#include "init/base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/str.h"

enum { KNOB_MAX = 64 << 10, GROUPS_MAX = 4096, DEPTH_MAX = 16 };

static int open_root(struct err *e)
{
	int fd = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "cannot open %s", CGROUP_ROOT) : fd;
}

/* no "..", no empty parts: a cgroup path is ours to write, a container never is */
static int check_path(const char *path, struct err *e)
{
	_cleanup_(strv_free) char **parts = strv_split(path, "/", true);

	if (!parts)
		return err_set(e, ENOMEM, "out of memory for a cgroup path");
	for (size_t i = 0; parts[i]; i++) {
		if (!*parts[i] || str_eq(parts[i], ".") || str_eq(parts[i], ".."))
			return err_set(e, EINVAL, "\"%s\" is not a cgroup path", path);
	}
	return 0;
}

static int open_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Every controller of the group goes to its children; one that the kernel refuses is left out. All
 * in one write first: each write may wait for every running process. */
static int delegate(int fd, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	_cleanup_(mem_free) char *text = NULL;
	_cleanup_(buf_free) struct buf all = BUF_INIT(KNOB_MAX);

	if (file_read(fd, "cgroup.controllers", KNOB_MAX, &text, NULL, e) < 0)
		return err_wrap(e, "cgroup");
	names = strv_split(text, " \n", false);
	if (!names)
		return err_set(e, ENOMEM, "out of memory for cgroup controllers");
	for (size_t i = 0; names[i]; i++)
		buf_printf(&all, "+%s ", names[i]);
	if (file_put(fd, "cgroup.subtree_control", buf_text(&all), NULL) == 0)
		return 0;
	for (size_t i = 0; names[i]; i++) {
		char knob[64];

		if (str_format(knob, sizeof(knob), "+%s", names[i]) == 0)
			(void)file_put(fd, "cgroup.subtree_control", knob, NULL);
	}
	return 0;
}

static int step_into(int parent, const char *name, struct err *e)
{
	int fd;

	if (delegate(parent, e) < 0)
		return -e->code;
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the cgroup %s", name);
	fd = open_at(parent, name);
	return fd < 0 ? err_errno(e, -fd, "cannot open the cgroup %s", name) : fd;
}

int cgroup_make(const char *path, struct err *e)
{
	_cleanup_(strv_free) char **parts = NULL;
	_cleanup_(fd_close) int fd = -1;
	struct err own;
	int next, r;

	if (!e)
		e = &own;
	r = check_path(path, e);
	if (r < 0)
		return r;
	parts = strv_split(path, "/", false);
	fd = open_root(e);
	if (!parts || fd < 0)
		return parts ? take_fd(fd) : err_set(e, ENOMEM, "out of memory for a cgroup path");
	for (size_t i = 0; parts[i]; i++) {
		next = step_into(fd, parts[i], e);
		if (next < 0)
			return next;
		fd_close(fd);
		fd = next;
	}
	return take_fd(fd);
}

int cgroup_open(const char *path, struct err *e)
{
	_cleanup_(fd_close) int root = -1;
	int fd = check_path(path, e);

	if (fd < 0)
		return fd;
	root = open_root(e);
	if (root < 0)
		return take_fd(root);
	fd = open_at(root, path);
	return fd < 0 ? err_errno(e, -fd, "cannot open the cgroup %s", path) : fd;
}

static int no_knob(const char *knob, struct err *e)
{
	return err_set(e, ENOENT, "the cgroup has no %s: the controller \"%.*s\" is not available",
		       knob, (int)strcspn(knob, "."), knob);
}

int cgroup_write(int cgroup_fd, const char *knob, const char *value, struct err *e)
{
	int r = file_put(cgroup_fd, knob, value, e);

	return r == -ENOENT ? no_knob(knob, e) : r;
}

int cgroup_writef(int cgroup_fd, const char *knob, struct err *e, const char *fmt, ...)
{
	char value[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		return err_set(e, ENAMETOOLONG, "the value for %s is too long", knob);
	return cgroup_write(cgroup_fd, knob, value, e);
}

static int read_knob(int cgroup_fd, const char *knob, char **ret_text, struct err *e)
{
	int r = file_read(cgroup_fd, knob, KNOB_MAX, ret_text, NULL, e);

	return r == -ENOENT ? no_knob(knob, e) : r;
}

static int parse_number(const char *knob, char *text, uint64_t *ret_value, struct err *e)
{
	text = str_trim(text);
	if (str_eq(text, "max")) {
		*ret_value = UINT64_MAX;
		return 0;
	}
	if (str_to_u64(text, ret_value) < 0)
		return err_set(e, EINVAL, "%s holds \"%.32s\", which is no number", knob, text);
	return 0;
}

int cgroup_read_u64(int cgroup_fd, const char *knob, uint64_t *ret_value, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	int r = read_knob(cgroup_fd, knob, &text, e);

	return r < 0 ? r : parse_number(knob, text, ret_value, e);
}

int cgroup_read_key(int cgroup_fd, const char *knob, const char *key, uint64_t *ret_value,
		    struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	size_t len = strlen(key);
	int r = read_knob(cgroup_fd, knob, &text, e);

	if (r < 0)
		return r;
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return parse_number(knob, line + len, ret_value, e);
	}
	return err_set(e, ENOENT, "%s has no %s", knob, key);
}

int cgroup_attach(int cgroup_fd, pid_t pid, struct err *e)
{
	return cgroup_writef(cgroup_fd, "cgroup.procs", e, "%d", (int)pid);
}

/* "0::/containers/ID" */
static bool is_member(const char *path, pid_t pid)
{
	_cleanup_(mem_free) char *text = NULL;
	char file[32];
	size_t len = strlen(path);
	char *at;

	(void)str_format(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	if (file_read(AT_FDCWD, file, KNOB_MAX, &text, NULL, NULL) < 0)
		return false;
	at = str_starts(text, "0::/") ? text : strstr(text, "\n0::/");
	if (!at)
		return false;
	at = strstr(at, "::/") + strlen("::/");
	return strncmp(at, path, len) == 0 && (at[len] == '\n' || at[len] == '/' || !at[len]);
}

int cgroup_open_process(const char *path, pid_t pid, struct err *e)
{
	_cleanup_(fd_close) int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd < 0 || !is_member(path, pid) || syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0)
		return err_set(e, ESRCH, "there is no process %d in the cgroup %s", (int)pid, path);
	return take_fd(fd);
}

int cgroup_kill(int cgroup_fd, struct err *e)
{
	return cgroup_write(cgroup_fd, "cgroup.kill", "1", e);
}

int cgroup_populated(int cgroup_fd, struct err *e)
{
	uint64_t value;
	int r = cgroup_read_key(cgroup_fd, "cgroup.events", "populated", &value, e);

	return r < 0 ? r : value != 0;
}

int cgroup_freeze(int cgroup_fd, bool on, struct err *e)
{
	return cgroup_write(cgroup_fd, "cgroup.freeze", on ? "1" : "0", e);
}

struct removal {
	int depth;
};

static int remove_group(int dirfd, const char *name, int depth, struct err *e);

static int remove_child(int dirfd, const char *name, void *data, struct err *e)
{
	struct removal *removal = data;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	return remove_group(dirfd, name, removal->depth + 1, e);
}

static int remove_group(int dirfd, const char *name, int depth, struct err *e)
{
	struct removal removal = { depth };
	int r;

	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return err_errno(e, errno, "cannot remove the cgroup %s", name);
	if (depth == DEPTH_MAX)
		return err_set(e, ELOOP, "the cgroup %s is more than %d deep", name, DEPTH_MAX);
	r = dir_each(dirfd, name, GROUPS_MAX, remove_child, &removal, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the cgroup %s", name);
	return 0;
}

int cgroup_remove(const char *path, struct err *e)
{
	_cleanup_(fd_close) int root = -1;
	int r = check_path(path, e);

	if (r < 0)
		return r;
	root = open_root(e);
	return root < 0 ? take_fd(root) : remove_group(root, path, 0, e);
}
