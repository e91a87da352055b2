/*
 * Giving back: what one run of a container holds (container_release), and the container itself.
 *
 * Removal in the order of DESIGN.md section 3: the folder leaves the list of containers by one
 * rename into the trash (durable), then it is deleted, by a worker process unless that is little
 * work, then the caller is answered.
 * After a crash in between, the trash is emptied at the next start.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/container/shared.h"
#include "engine/state/reserve.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

/* A folder up to this is deleted by the engine itself. */
enum { INLINE_ENTRIES_MAX = 64, INLINE_BYTES_MAX = 4 << 20 };

/* ---- what a run holds ---- */

static void kill_in(const char *path)
{
	_cleanup_(fd_close) int fd = cgroup_open(path, NULL);
	struct err e = { 0 };

	if (fd >= 0 && cgroup_kill(fd, &e) < 0)
		log_warn("cgroup %s: %s", path, err_text(&e));
}

void container_cgroup_kill(const struct container *c)
{
	char path[CONTAINER_CGROUP_MAX];

	container_cgroup(c, path);
	kill_in(path);
}

int container_cgroup_open(const struct container *c)
{
	char path[CONTAINER_CGROUP_MAX];

	container_cgroup(c, path);
	return cgroup_open(path, NULL);
}

void cgroup_clear(const char *path)
{
	kill_in(path);
	/* Busy while the last processes are reaped: then the next start or removal takes it. */
	(void)cgroup_remove(path, NULL);
}

void container_release(struct container *c)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", c->cs->shims_dir, c->id);
	char cgroup[CONTAINER_CGROUP_MAX];
	struct err e = { 0 };

	timer_clear(&c->stop_timer);
	health_rest(c);
	c->freezing = false;
	copy_up_cancel(&c->copy_up);
	attaches_end(c);
	if (c->shim) {
		shim_ack(c->shim, NULL);
		shim_client_free(take_ptr(c->shim));
	}
	execs_end(c);
	updates_end(c);
	container_cgroup(c, cgroup);
	cgroup_clear(cgroup);
	container_cgroup_parents_release(c);
	shm_release(c);
	announce_given_back(c);
	container_release_volumes(c, "");
	c->sandbox = NULL;
	if (net_detach(c->cs->cfg.nets, c->id, &e) < 0)
		log_warn("container %.12s: its network was not taken down: %s", c->id,
			 err_text(&e));
	if (dir && tree_remove(AT_FDCWD, dir, &e) < 0)
		log_warn("container %.12s: %s", c->id, err_text(&e));
}

/* ---- the container ---- */

static bool has_volumes(const struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++)
		if (mount_at_index(c, i)->anonymous)
			return true;
	return false;
}

/* Its anonymous volumes, unless another container has come to use them. */
static void remove_volumes(struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);
		struct err e = { 0 };

		size_t users = 0;

		containers_use_volume(c->cs, m->name, &users);
		if (!m->anonymous || users > 1) /* it is one itself */
			continue;
		if (volume_unmake(c->cs, m->name, &e) < 0 && e.code != ENOENT)
			log_warn("volume %.12s: %s", m->name, err_text(&e));
	}
}

/* What the remover has told; 0 when nothing. */
static int64_t read_freed(int fd)
{
	char text[24] = "";
	int64_t bytes;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || str_to_i64(text, &bytes) < 0)
		return 0;
	return bytes;
}

static void destroyed(struct container *c)
{
	struct containers *cs = c->cs;
	struct container_op *op;
	struct err gone = { 0 };
	int64_t freed = read_freed(c->freed_fd);

	list_for_each(op, &c->remove_ops, link)
		op->freed = freed;

	map_remove(&cs->by_id, c->id);
	if (map_get(&cs->by_name, c->name) == c)
		map_remove(&cs->by_name, c->name);
	container_publish(c, "destroy", NULL, NULL);
	err_set(&gone, ENOENT, "No such container: %s", c->id);
	attaches_fail(c, &gone);
	stats_end(c);
	ops_answer(cs, &c->start_ops, -ENOENT, &gone);
	ops_answer(cs, &c->restart_ops, -ENOENT, &gone);
	ops_answer(cs, &c->stop_ops, 0, NULL);
	ops_answer(cs, &c->remove_ops, 0, NULL);
	waits_answer(c, ~0u, (int)c->rec.exit_code, c->rec.error);
	container_free(c);
}

static void remove_failed(struct container *c, int r, struct err *e)
{
	log_error("container %.12s (%s): %s", c->id, c->name, err_text(e));
	container_enter(c, CONTAINER_DEAD);
	ops_answer(c->cs, &c->remove_ops, r, e);
	waits_answer(c, 1u << WAIT_REMOVED, (int)c->rec.exit_code, err_text(e));
}

static void files_removed(struct child_event *ev, int status)
{
	struct container *c = container_of(ev, struct container, remover);
	char text[48];

	/* otherwise the trash is emptied at the next start; the container is gone all the same */
	if (status != 0)
		log_warn("container %.12s: removing its files: %s", c->id,
			 child_status_text(status, text, sizeof(text)));
	destroyed(c);
}

static int to_trash(struct container *c, char **ret_path, struct err *e)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", c->cs->state_dir, c->id);
	_cleanup_(mem_free) char *trash = str_printf("%s/" CONTAINER_TRASH, c->cs->state_dir);
	_cleanup_(mem_free) char *to =
		str_printf("%s/" CONTAINER_TRASH "/%s", c->cs->state_dir, c->id);
	int r;

	if (!dir || !trash || !to)
		return err_errno(e, ENOMEM, "removal");
	do
		r = dir_make(AT_FDCWD, trash, 0700, e);
	while (r == -ENOSPC && reserve_give(AT_FDCWD, trash));
	if (r < 0)
		return r;
	do
		r = rename(dir, to) < 0 ? -errno : 0;
	while (r == -ENOSPC && reserve_give(AT_FDCWD, trash));
	if (r < 0 && r != -ENOENT)
		return err_errno(e, -r, "%s could not be moved to the trash", dir);
	r = dir_sync(AT_FDCWD, c->cs->state_dir, e);
	if (r == 0)
		*ret_path = take_ptr(to);
	return r;
}

/* Starts the worker that deletes a folder; with ret_freed it says on that pipe how much it was. */
static int spawn_remover(const char *path, struct child *ret, int *ret_freed, struct err *e)
{
	const char *argv[] = { "skerryd", "worker", "remove", path, NULL, NULL };
	_cleanup_(fd_close) int from = -1, to = -1;
	struct fd_map fds[] = { { STDOUT_FILENO, -1 } };
	struct spawn s = { .argv = argv };
	int pair[2], r;

	if (ret_freed) {
		if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
			return err_errno(e, errno, "pipe");
		from = pair[0];
		fds[0].ours = to = pair[1];
		s.fds = fds;
		s.n_fds = 1;
		argv[3] = "--measure";
		argv[4] = path;
	}
	r = spawn(&s, ret, e);
	if (r == 0 && ret_freed)
		*ret_freed = take_fd(from);
	return r;
}

static void removed_here(struct defer_event *ev)
{
	destroyed(container_of(ev, struct container, removed));
}

/* Deletes the folder in the trash: here what takes no time, else by a worker. The end comes from
 * the loop: nobody up the stack loses the container under his feet. */
static int delete_files(struct container *c, const char *path, bool measure, struct err *e)
{
	const struct tree_budget little = { INLINE_ENTRIES_MAX, INLINE_BYTES_MAX };
	struct child child = { .pidfd = -1 };
	int r;

	if (!measure && tree_remove_some(AT_FDCWD, path, little, NULL) == 0) {
		c->removed.fn = removed_here;
		defer_add(c->cs->cfg.loop, &c->removed);
		return 0;
	}
	r = spawn_remover(path, &child, measure ? &c->freed_fd : NULL, e);
	if (r < 0)
		return r;
	c->remover.fn = files_removed;
	return child_add(c->cs->cfg.loop, &c->remover, &child);
}

int act_remove(struct container *c, const struct event_args *a, struct err *e)
{
	_cleanup_(mem_free) char *path = NULL;
	struct err why = { 0 }, gone = { 0 };
	int r;

	(void)e;
	if (a->op)
		list_append(&c->remove_ops, &a->op->link);
	c->rec.remove_volumes = a->volumes;
	timer_clear(&c->backoff_timer);
	/* A removal in steps goes on at restore when a crash interrupts it; one without volumes is
	 * done in one, the move to the trash. */
	if (c->rec.remove_volumes && has_volumes(c))
		container_enter(c, CONTAINER_REMOVING);
	else
		container_pass(c, CONTAINER_REMOVING);
	err_set(&gone, EBUSY, "container %s is marked for removal", c->id);
	container_files_drop(c, &gone);
	if (c->rec.remove_volumes)
		remove_volumes(c);
	r = to_trash(c, &path, &why);
	if (r == 0)
		r = delete_files(c, path, a->op && a->op->measure, &why);
	if (r < 0)
		remove_failed(c, r, &why);
	return 0;
}

int act_remove_forced(struct container *c, const struct event_args *a, struct err *e)
{
	if (!a->force && c->state == CONTAINER_PAUSED)
		return err_set(e, EBUSY,
			       "cannot remove container \"/%s\": container is paused and must be "
			       "unpaused first",
			       c->name);
	if (!a->force)
		return err_set(e, EBUSY,
			       "cannot remove container \"/%s\": container is %s: stop the "
			       "container before removing or force remove",
			       c->name,
			       c->state == CONTAINER_STARTING ? "starting"
							      : container_state_name(c));
	if (c->state == CONTAINER_RESTARTING)
		return act_remove(c, a, e);
	if (a->op)
		list_append(&c->remove_ops, &a->op->link);
	c->remove_wanted = true;
	c->rec.remove_volumes = a->volumes;
	c->restart_wanted = false;
	lifecycle(c, EV_KILL, &(struct event_args){ .signal = SIGKILL });
	return 0;
}

int act_join_remove(struct container *c, const struct event_args *a, struct err *e)
{
	if (!a->force)
		return err_set(e, EBUSY, "removal of container %s is already in progress", c->id);
	if (a->op)
		list_append(&c->remove_ops, &a->op->link);
	return 0;
}

/* ---- the worker ---- */

enum {
	MEASURE_DEPTH = 128,
	MEASURE_ENTRIES = 1 << 20, /* of one folder */
};

struct measure {
	int64_t bytes;
	int depth;
};

/* What is deeper or more than the limits is not counted. */
static int measure_entry(int dirfd, const char *name, void *data, struct err *e)
{
	struct measure *m = data;
	struct stat st;

	(void)e;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISREG(st.st_mode)) /* names of one file share its size */
		m->bytes += st.st_size / (int64_t)MAX(st.st_nlink, (nlink_t)1);
	if (S_ISDIR(st.st_mode) && m->depth < MEASURE_DEPTH) {
		m->depth++;
		(void)dir_each(dirfd, name, MEASURE_ENTRIES, measure_entry, m, NULL);
		m->depth--;
	}
	return 0;
}

static void tell_size(const char *folder)
{
	_cleanup_(mem_free) char *upper = str_printf("%s/upper", folder);
	struct measure m = { 0 };

	if (upper)
		(void)dir_each(AT_FDCWD, upper, MEASURE_ENTRIES, measure_entry, &m, NULL);
	dprintf(STDOUT_FILENO, "%lld", (long long)m.bytes);
}

int container_remove_worker(int argc, char **argv)
{
	bool measure = argc == 3 && str_eq(argv[1], "--measure");
	struct err e = { 0 };

	if (argc != 2 && !measure) {
		fprintf(stderr, "usage: skerryd worker remove [--measure] FOLDER\n");
		return 2;
	}
	if (measure)
		tell_size(argv[2]);
	if (tree_remove(AT_FDCWD, argv[argc - 1], &e) < 0) {
		log_error("%s", err_text(&e));
		return 1;
	}
	return 0;
}
