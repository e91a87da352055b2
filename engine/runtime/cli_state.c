/*
 * What the OCI command line remembers of a container between calls: one directory with state.json,
 * the config.json that the container was made from, and the gate.
 *
 * The gate is a listening socket of the container's process: `start` connects, unlinks it, and sees
 * how the start goes. So "created" is a living process with a gate, "running" one without.
 */
#include "engine/runtime/cli.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/data/json.h"
#include "engine/runtime/runner.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"

enum {
	STATE_MAX = 8 << 20,
	ID_MAX = 1024, /* as runc has it */
	DESTROY_MS = 10000, /* the kernel takes its time to end processes */
};

void cli_state_clear(struct cli_state *s)
{
	free(s->id);
	free(s->bundle);
	free(s->cgroup);
	free(s->created);
	strv_free(s->annotations);
	*s = (struct cli_state){ 0 };
}

int cli_state_path(char *buf, size_t size, const char *root, const char *id, const char *file,
		   struct err *e)
{
	size_t len = id ? strlen(id) : 0;

	if (len == 0 || len > ID_MAX || str_eq(id, ".") || str_eq(id, "..") ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.") != len)
		return err_set(
			e, EINVAL,
			"invalid container id \"%.64s\": letters, digits and _+-. are allowed",
			id ? id : "");
	if (str_format(buf, size, "%s/%s%s%s", root, id, *file ? "/" : "", file) < 0)
		return err_errno(e, ENAMETOOLONG, "state directory");
	return 0;
}

int cli_state_make(const char *root, const char *id, int *ret_gate, struct err *e)
{
	char dir[PATH_MAX], gate[PATH_MAX];
	int fd, r = cli_state_path(dir, sizeof(dir), root, id, "", e);

	if (r == 0)
		r = cli_state_path(gate, sizeof(gate), root, id, "gate", e);
	if (r == 0)
		r = dir_make(AT_FDCWD, root, 0700, e);
	if (r < 0)
		return r;
	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST
			       ? err_set(e, EEXIST, "container with id exists already: %s", id)
			       : err_errno(e, errno, "%s", dir);
	fd = msg_listen(gate, e);
	if (fd < 0 || fd_set_nonblock(fd, false) < 0) {
		cli_state_remove(root, id);
		return fd < 0 ? fd : err_errno(e, errno, "%s", gate);
	}
	*ret_gate = fd;
	return 0;
}

int cli_state_write(const char *root, const struct cli_state *s, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(STATE_MAX);
	struct json_writer w;
	char path[PATH_MAX];
	int r = cli_state_path(path, sizeof(path), root, s->id, "state.json", e);

	if (r < 0)
		return r;
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_member_str(&w, "id", s->id);
	json_member_i64(&w, "pid", s->pid);
	json_member_i64(&w, "start_time", (int64_t)s->start_time);
	json_member_str(&w, "bundle", s->bundle);
	json_member_str(&w, "cgroup", s->cgroup);
	json_member_str(&w, "created", s->created);
	json_key(&w, "annotations");
	json_strv(&w, s->annotations);
	json_member_bool(&w, "creating", s->creating);
	json_end_object(&w);
	if (buf_failed(&out))
		return err_errno(e, -buf_failed(&out), "state");
	return file_replace(AT_FDCWD, path, out.data, out.len, 0600, false, e);
}

int cli_state_read(const char *root, const char *id, struct cli_state *ret, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	int64_t pid = 0;
	yyjson_val *o;
	char path[PATH_MAX];
	size_t len;
	int r = cli_state_path(path, sizeof(path), root, id, "state.json", e);

	if (r == 0)
		r = file_read(AT_FDCWD, path, STATE_MAX, &text, &len, NULL);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "container does not exist: %s", id);
	if (r < 0)
		return r == -EINVAL ? r : err_errno(e, -r, "%s", path);
	r = json_parse_object(text, len, &doc, &o, e);
	if (r == 0)
		r = json_get_copy(o, "id", &s.id, e);
	if (r == 0)
		r = json_get_i64(o, "pid", &pid, e);
	if (r == 0)
		r = json_get_u64(o, "start_time", &s.start_time, e);
	if (r == 0)
		r = json_get_copy(o, "bundle", &s.bundle, e);
	if (r == 0)
		r = json_get_copy(o, "cgroup", &s.cgroup, e);
	if (r == 0)
		r = json_get_copy(o, "created", &s.created, e);
	if (r == 0)
		r = json_get_strv(o, "annotations", &s.annotations, e);
	if (r == 0)
		r = json_get_bool(o, "creating", &s.creating, e);
	if (r < 0)
		return err_wrap(e, "%s", path);
	s.pid = (pid_t)pid;
	*ret = s;
	s = (struct cli_state){ 0 };
	return 0;
}

void cli_state_remove(const char *root, const char *id)
{
	char dir[PATH_MAX];

	if (cli_state_path(dir, sizeof(dir), root, id, "", NULL) == 0)
		(void)tree_remove(AT_FDCWD, dir, NULL);
}

uint64_t cli_start_time(pid_t pid)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t value = 0;
	char path[64], *p, *save = NULL;
	size_t len;

	(void)str_format(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || file_read(AT_FDCWD, path, 4096, &text, &len, NULL) < 0)
		return 0;
	p = strrchr(text, ')'); /* the name may hold anything; field 3 (state) follows it */
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p = strtok_r(p + 2, " ", &save);
	for (int field = 3; p && field < 22; field++)
		p = strtok_r(NULL, " ", &save);
	return p && str_to_u64(p, &value) == 0 ? value : 0;
}

static bool is_frozen(const struct cli_state *s)
{
	_cleanup_(fd_close) int fd = str_empty(s->cgroup) ? -1 : cgroup_open(s->cgroup, NULL);
	uint64_t frozen = 0;

	return fd >= 0 && cgroup_read_key(fd, "cgroup.events", "frozen", &frozen, NULL) == 0 &&
	       frozen;
}

const char *cli_state_status(const char *root, const struct cli_state *s)
{
	char gate[PATH_MAX];

	if (s->start_time == 0 || cli_start_time(s->pid) != s->start_time)
		return "stopped";
	if (s->creating)
		return "creating";
	if (is_frozen(s))
		return "paused";
	if (cli_state_path(gate, sizeof(gate), root, s->id, "gate", NULL) == 0 &&
	    access(gate, F_OK) == 0)
		return "created";
	return "running";
}

int cli_state_pidfd(const struct cli_state *s, struct err *e)
{
	_cleanup_(fd_close) int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);

	/* opened first, compared then: the number cannot change hands in between */
	if (fd < 0 || s->start_time == 0 || cli_start_time(s->pid) != s->start_time)
		return err_set(e, ESRCH, "container not running");
	return take_fd(fd);
}

struct hook_state cli_state_told(const struct cli_state *s, const char *status)
{
	return (struct hook_state){ .id = s->id,
				    .bundle = s->bundle,
				    .status = status,
				    .pid = str_eq(status, "stopped") ? 0 : s->pid,
				    .annotations = s->annotations };
}

int cli_state_plan(const char *root, const struct cli_state *s, struct plan **ret, struct err *e)
{
	char path[PATH_MAX];
	int r = cli_state_path(path, sizeof(path), root, s->id, "config.json", e);

	return r < 0 ? r : runner_plan(s->bundle, path, NULL, ret, e);
}

/* Kills what is left, and waits for its end. */
static void end_processes(const struct cli_state *s)
{
	_cleanup_(fd_close) int pidfd = cli_state_pidfd(s, NULL),
				cgroup = str_empty(s->cgroup) ? -1 : cgroup_open(s->cgroup, NULL);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (cgroup >= 0)
		(void)cgroup_kill(cgroup, NULL);
	if (pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		(void)poll(&pfd, 1, DESTROY_MS);
	}
	for (int i = 0; cgroup >= 0 && i < DESTROY_MS / 2 && cgroup_populated(cgroup, NULL) == 1;
	     i++)
		usleep(2000);
}

void cli_state_destroy(const struct cli_options *o, const struct cli_state *s)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct hook_state told = cli_state_told(s, "stopped");
	struct err e = { 0 };

	end_processes(s);
	if (!str_empty(s->cgroup) && cgroup_remove(s->cgroup, &e) < 0)
		cli_log(o, "warning", err_text(&e));
	/* a hook that fails is worth a warning here, and the others are run (runtime.md) */
	if (cli_state_plan(o->root, s, &p, NULL) == 0)
		for (size_t i = 0; i < p->hooks[HOOK_POSTSTOP].n; i++)
			if (hooks_run_one(p, HOOK_POSTSTOP, i, &told, &e) < 0)
				cli_log(o, "warning", err_text(&e));
	cli_state_remove(o->root, s->id);
}
