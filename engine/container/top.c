/*
 * top: the engine's side, and the worker that reads /proc (top.h).
 *
 * The worker finds the processes by the container's cgroup and all groups below it, so that nothing
 * depends on what a container says about itself. Rows are sorted by process id, as ps prints them.
 */
#include "engine/container/top.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/container/object.h"
#include "engine/container/ps.h"
#include "engine/container/shared.h"
#include "engine/worker/sandbox.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum {
	GROUPS_DEEP = 16,
	GROUPS_MAX = 1024,
	PROCS_FILE_MAX = 256 << 10,
	MANY = 512, /* with more processes than this ... */
	ARGS_OF_FEW = 4096, /* ... the command lines are cut not here ... */
	ARGS_OF_MANY = 128, /* ... but here */
	NOBODY = 65534,
};

/* ---- the worker ---- */

struct pids {
	pid_t list[TOP_PROCESSES_MAX];
	size_t n;
	int depth;
};

static int take_pids(struct pids *pids, char *text, struct err *e)
{
	for (char *line = text, *next; *line; line = next) {
		uint64_t pid;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (str_to_u64(line, &pid) < 0 || pid == 0 || pid > INT32_MAX)
			continue; /* 0: of a namespace that is not below ours */
		if (pids->n == TOP_PROCESSES_MAX)
			return err_set(e, E2BIG, "the container has more than %d processes",
				       TOP_PROCESSES_MAX);
		pids->list[pids->n++] = (pid_t)pid;
	}
	return 0;
}

static int collect(int group, struct pids *pids, struct err *e);

static int collect_child(int dirfd, const char *name, void *data, struct err *e)
{
	struct pids *pids = data;
	_cleanup_(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (pids->depth == GROUPS_DEEP)
		return err_set(e, ELOOP, "the container's cgroups are more than %d deep",
			       GROUPS_DEEP);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* it went away */
	pids->depth++;
	r = collect(fd, pids, e);
	pids->depth--;
	return r;
}

/* A group of threads has no list of processes of its own: those are in the group above. */
static int collect(int group, struct pids *pids, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	int r = file_read(group, "cgroup.procs", PROCS_FILE_MAX, &text, NULL, NULL);

	r = r < 0 ? (r == -EFBIG ? err_set(e, E2BIG, "the container has too many processes") : 0)
		  : take_pids(pids, text, e);
	return r < 0 ? r : dir_each(group, ".", GROUPS_MAX, collect_child, pids, e);
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static void write_titles(const struct ps_plan *plan, struct json_writer *w)
{
	json_key(w, "Titles");
	json_begin_array(w);
	for (size_t i = 0; i < plan->n; i++)
		json_str(w, plan->columns[i]->title);
	json_end_array(w);
}

static void write_row(const struct ps_plan *plan, const struct ps_process *p,
		      const struct ps_machine *m, struct json_writer *w)
{
	_cleanup_(buf_free) struct buf cell = BUF_INIT(PS_CELL_MAX);

	json_begin_array(w);
	for (size_t i = 0; i < plan->n; i++) {
		buf_reset(&cell);
		plan->columns[i]->cell(&cell, p, m);
		json_strn(w, buf_text(&cell), cell.len);
	}
	json_end_array(w);
}

static void write_rows(const struct ps_plan *plan, const struct pids *pids, int procfd,
		       const struct ps_machine *m, struct json_writer *w)
{
	size_t args_max = pids->n > MANY ? ARGS_OF_MANY : ARGS_OF_FEW;

	json_key(w, "Processes");
	json_begin_array(w);
	for (size_t i = 0; i < pids->n; i++) {
		_cleanup_(ps_process_free) struct ps_process p = { 0 };

		if (ps_process_read(procfd, pids->list[i], args_max, &p) == 0)
			write_row(plan, &p, m, w);
	}
	json_end_array(w);
}

static int enter_sandbox(struct err *e)
{
	static const struct worker_path paths[] = { { "/proc", WORKER_READ },
						    { CGROUP_ROOT, WORKER_READ } };
	static const struct worker_sandbox bounds = {
		.drop_user = true,
		.uid = NOBODY,
		.gid = NOBODY,
		.no_network = true,
		.confine_files = true,
		.paths = paths,
		.n_paths = ARRAY_SIZE(paths),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES,
		.max_files = 64,
	};

	return worker_sandbox_apply(&bounds, e);
}

static int run(struct worker_call *call, struct err *e)
{
	_cleanup_(ps_machine_free) struct ps_machine machine = { 0 };
	_cleanup_(mem_free) struct pids *pids = calloc(1, sizeof(*pids));
	_cleanup_(fd_close) int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(fd_close) int group = -1;
	struct json_writer w;
	struct ps_plan plan;
	const char *path, *args;
	int r = json_need_text(call->request, "cgroup", &path, e);

	r = r < 0 ? r : json_need_text(call->request, "args", &args, e);
	r = r < 0 ? r : ps_plan(args, &plan, e);
	if (r < 0)
		return r;
	if (!pids || procfd < 0)
		return err_errno(e, pids ? errno : ENOMEM, "cannot read the processes");
	ps_machine_read(&machine);
	group = cgroup_open(path, e);
	r = group < 0 ? group : enter_sandbox(e);
	r = r < 0 ? r : collect(group, pids, e);
	if (r < 0)
		return r;
	qsort(pids->list, pids->n, sizeof(pids->list[0]), by_number);
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	write_titles(&plan, &w);
	write_rows(&plan, pids, procfd, &machine, &w);
	json_end_object(&w);
	return 0;
}

int container_top_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve("top", run);
}

/* ---- the engine's side ---- */

static bool all_text(yyjson_val *array)
{
	yyjson_arr_iter it;
	yyjson_val *v;

	if (!yyjson_is_arr(array))
		return false;
	it = yyjson_arr_iter_with(array);
	while ((v = yyjson_arr_iter_next(&it)))
		if (!yyjson_is_str(v))
			return false;
	return true;
}

/* What a worker says may be hostile: the shape is checked, the texts are only texts. */
static int check_result(yyjson_val *result, yyjson_val **ret_titles, yyjson_val **ret_rows)
{
	yyjson_val *titles = json_member(result, "Titles"), *row;
	yyjson_val *rows = json_member(result, "Processes");
	yyjson_arr_iter it;

	if (!all_text(titles) || !yyjson_is_arr(rows) || yyjson_arr_size(rows) > TOP_PROCESSES_MAX)
		return -EBADMSG;
	it = yyjson_arr_iter_with(rows);
	while ((row = yyjson_arr_iter_next(&it)))
		if (!all_text(row) || yyjson_arr_size(row) != yyjson_arr_size(titles))
			return -EBADMSG;
	*ret_titles = titles;
	*ret_rows = rows;
	return 0;
}

static void top_ended(struct worker *worker, int code, yyjson_val *result, const struct err *why)
{
	struct container_top *t = container_of(worker, struct container_top, worker);
	struct container *c = map_get(&t->cs->by_id, t->id);
	yyjson_val *titles = NULL, *rows = NULL;
	struct err e = { 0 };

	t->cs->n_tops--;
	if (code == 0 && check_result(result, &titles, &rows) < 0)
		code = err_set(&e, EIO,
			       "the processes could not be read: the worker's answer is "
			       "malformed");
	else if (code < 0)
		err_set(&e, why->code ? why->code : EIO, "%s", err_text(why));
	if (code == 0 && c)
		container_publish(c, "top", NULL, NULL);
	t->done(t, code, titles, rows, &e);
}

static int check_state(const struct container *c, struct err *e)
{
	if (c->state == CONTAINER_RESTARTING)
		return err_set(e, EBUSY,
			       "Container %s is restarting, wait until the container is running",
			       c->id);
	if (!state_is_running(c->state))
		return err_set(e, EBUSY, "container %s is not running", c->id);
	return 0;
}

int container_top(struct container *c, const char *ps_args, struct container_top *t, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(16 << 10);
	struct worker_spec spec = { .name = "top", .timeout_ms = TOP_TIMEOUT_MS };
	char cgroup[CONTAINER_CGROUP_MAX];
	struct ps_plan plan;
	struct json_writer w;
	int r = check_state(c, e);

	r = r < 0 ? r : ps_plan(ps_args, &plan, e);
	if (r < 0)
		return r;
	if (c->cs->n_tops == TOP_AT_A_TIME)
		return err_set(e, EAGAIN, "%d requests for processes are being answered already",
			       TOP_AT_A_TIME);
	json_writer_init(&w, &request);
	json_begin_object(&w);
	container_cgroup(c, cgroup);
	json_member_str(&w, "cgroup", cgroup);
	json_member_str(&w, "args", ps_args ? ps_args : "");
	json_end_object(&w);
	if (buf_failed(&request))
		return err_errno(e, -buf_failed(&request), "the request for the processes");
	spec.request = buf_text(&request);
	t->cs = c->cs;
	str_copy(t->id, sizeof(t->id), c->id);
	t->worker.on_done = top_ended;
	r = worker_start(c->cs->cfg.loop, &t->worker, &spec, e);
	c->cs->n_tops += r == 0;
	return r;
}

void container_top_cancel(struct container_top *t)
{
	if (!worker_running(&t->worker))
		return;
	worker_cancel(&t->worker);
	t->cs->n_tops--;
}
