/*
 * The engine's side of a shim: connection, events, requests and their answers (client.h).
 *
 * Data: one struct shim_client per shim, its pending requests in a list, each with a deadline. A
 * spawned shim is a child of the engine only for being reaped; that is done by a small struct of
 * its own, which outlives the client. Callbacks may free the client: after each one nothing of it
 * is touched without looking at `gone` first.
 */
#include "engine/shim/client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "engine/data/json.h"
#include "engine/shim/maker.h"
#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"

struct pending {
	struct list link;
	struct shim_client *client;
	struct timer_event deadline;
	struct shim_done done;
	uint64_t seq;
};

struct shim_client {
	struct loop *loop;
	char *dir, *id;
	const struct shim_client_ops *ops;
	void *data;
	int create_timeout_ms, request_timeout_ms;
	struct io_event io;
	int fd;
	struct timer_event create_timer;
	struct list pending;
	struct shim_status status;
	uint64_t seq;
	bool told_created, told_exit;
	bool *gone; /* set when the client is freed inside a callback */
};

enum { DEFAULT_CREATE_MS = 60000, DEFAULT_REQUEST_MS = 10000 };

/* --- life --- */

static void pending_free(struct pending *p)
{
	timer_clear(&p->deadline);
	list_remove(&p->link);
	free(p);
}

void shim_client_free(struct shim_client *c)
{
	struct pending *p, *tmp;

	if (!c)
		return;
	if (c->gone)
		*c->gone = true;
	list_for_each_safe(p, tmp, &c->pending, link)
		pending_free(p);
	timer_clear(&c->create_timer);
	io_remove(&c->io);
	fd_close(c->fd);
	free(c->dir);
	free(c->id);
	free(c);
}

const struct shim_status *shim_client_status(const struct shim_client *c)
{
	return &c->status;
}

/* Answers a pending request and forgets it. true: the client is gone. */
static bool finish_request(struct shim_client *c, struct pending *p, int r,
			   struct shim_reply *reply, const struct err *e)
{
	struct shim_done done = p->done;
	bool gone = false;

	pending_free(p);
	if (!done.fn)
		return false;
	c->gone = &gone;
	done.fn(c, r, reply, e, done.data);
	if (!gone)
		c->gone = NULL;
	return gone;
}

/* The connection is over: all requests fail, then the owner hears it. */
static void lose(struct shim_client *c, const struct err *e)
{
	struct err reason = *e;

	io_remove(&c->io);
	timer_clear(&c->create_timer);
	fd_close(take_fd(c->fd));
	while (!list_empty(&c->pending)) {
		struct shim_reply reply = { .fd = -1, .log_offset = -1 };
		struct err re = { 0 };

		err_set(&re, ENOTCONN, "the container's shim is gone: %s", err_text(&reason));
		if (finish_request(c, list_first(&c->pending, struct pending, link), -ENOTCONN,
				   &reply, &re))
			return;
	}
	if (!c->told_exit && c->ops->lost) {
		c->told_exit = true;
		c->ops->lost(c, &reason, c->data);
	}
}

static void on_create_timeout(struct timer_event *ev)
{
	struct shim_client *c = container_of(ev, struct shim_client, create_timer);
	struct err e = { 0 };

	err_set(&e, ETIMEDOUT, "the container was not set up in %d s", c->create_timeout_ms / 1000);
	lose(c, &e);
}

/* --- what the shim says --- */

static int state_of(const char *name)
{
	static const char *const names[] = { "creating", "created", "running", "exited" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(names[i], name))
			return (int)i;
	return -EINVAL;
}

static void tell_created(struct shim_client *c)
{
	timer_clear(&c->create_timer);
	if (c->told_created)
		return;
	c->told_created = true;
	if (c->ops->created)
		c->ops->created(c, &c->status, c->data);
}

static void on_hello(struct shim_client *c, yyjson_val *o)
{
	const char *state = NULL;
	int64_t pid = 0;
	int number;

	if (json_get_text(o, "state", &state, NULL) < 0 || json_get_i64(o, "pid", &pid, NULL) < 0)
		return;
	(void)json_get_i64(o, "started", &c->status.started_ns, NULL);
	(void)json_get_bool(o, "paused", &c->status.paused, NULL);
	(void)json_get_bool(o, "tty", &c->status.tty, NULL);
	(void)json_get_i64(o, "oom_kills", &c->status.oom_kills, NULL);
	number = state_of(state);
	c->status.state = number < 0 ? SHIM_CREATING : (enum shim_state)number;
	c->status.pid = (pid_t)pid;
	if (c->status.state == SHIM_CREATED || c->status.state == SHIM_RUNNING)
		tell_created(c);
}

static void on_created(struct shim_client *c, yyjson_val *o)
{
	int64_t pid = 0;

	(void)json_get_i64(o, "pid", &pid, NULL);
	(void)json_get_bool(o, "tty", &c->status.tty, NULL);
	c->status.state = SHIM_CREATED;
	c->status.pid = (pid_t)pid;
	tell_created(c);
}

static void on_exit_event(struct shim_client *c, yyjson_val *o)
{
	struct shim_exit x = { 0 };

	if (shim_exit_from_json(o, &x, NULL) < 0)
		x = (struct shim_exit){ .exit_code = 255,
					.error = "the shim's report could not be read" };
	timer_clear(&c->create_timer);
	c->status.state = SHIM_EXITED;
	c->status.started_ns = x.started_ns;
	if (c->told_exit)
		return;
	c->told_exit = true;
	if (c->ops->exited)
		c->ops->exited(c, &x, c->data);
}

static void on_exec_exit(struct shim_client *c, yyjson_val *o)
{
	const char *id = NULL;
	int64_t code = 255;

	if (json_get_text(o, "id", &id, NULL) < 0 || !id)
		return;
	(void)json_get_i64(o, "exit_code", &code, NULL);
	if (c->ops->exec_exited)
		c->ops->exec_exited(c, id, (int)code, c->data);
}

static void on_oom_event(struct shim_client *c, yyjson_val *o)
{
	c->status.oom_kills++; /* shims before this key */
	(void)json_get_i64(o, "oom_kills", &c->status.oom_kills, NULL);
	if (c->ops->oom)
		c->ops->oom(c, c->data);
}

static const struct {
	const char *name;
	void (*fn)(struct shim_client *c, yyjson_val *o);
} events[] = {
	{ "hello", on_hello },	       { "created", on_created }, { "exit", on_exit_event },
	{ "exec_exit", on_exec_exit }, { "oom", on_oom_event },
};

static void on_event(struct shim_client *c, const char *name, yyjson_val *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (str_eq(events[i].name, name)) {
			events[i].fn(c, o);
			return;
		}
}

static struct pending *find_pending(struct shim_client *c, uint64_t seq)
{
	struct pending *p;

	list_for_each(p, &c->pending, link)
		if (p->seq == seq)
			return p;
	return NULL;
}

/* fd is taken over by the reply when the request wants it. */
static void on_answer(struct shim_client *c, uint64_t seq, yyjson_val *o, int *fd)
{
	struct shim_reply reply = { .fd = -1, .log_offset = -1 };
	struct pending *p = find_pending(c, seq);
	const char *text = "the shim gave no reason";
	int64_t code = EIO, pid = 0, exit_code = 0;
	struct err e = { 0 };
	bool ok = false;

	if (!p)
		return; /* its deadline was earlier */
	(void)json_get_bool(o, "ok", &ok, NULL);
	(void)json_get_i64(o, "errno", &code, NULL);
	(void)json_get_text(o, "error", &text, NULL);
	(void)json_get_i64(o, "log_offset", &reply.log_offset, NULL);
	(void)json_get_u64(o, "log_ino", &reply.log_ino, NULL);
	(void)json_get_i64(o, "pid", &pid, NULL);
	(void)json_get_i64(o, "exit_code", &exit_code, NULL);
	reply.pid = (pid_t)pid;
	reply.exit_code = exit_code > 0 && exit_code < 256 ? (int)exit_code : 0;
	reply.fd = take_fd(*fd);
	if (!ok)
		err_set(&e, code > 0 && code < 4096 ? (int)code : EIO, "%s", text);
	(void)finish_request(c, p, ok ? 0 : -e.code, &reply, &e);
	fd_close(reply.fd);
}

static int handle(struct shim_client *c, const char *text, size_t len, int *fd, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const char *event = NULL;
	int64_t version = 0;
	uint64_t re = 0;
	yyjson_val *o;
	int r = json_parse_object(text, len, &doc, &o, e);

	if (r == 0)
		r = json_get_i64(o, "v", &version, e);
	if (r == 0 && version != SHIM_PROTOCOL)
		return err_set(e, EPROTO,
			       "the shim speaks version %lld of the protocol, this engine %d",
			       (long long)version, SHIM_PROTOCOL);
	if (r == 0)
		r = json_get_u64(o, "re", &re, e);
	if (r == 0)
		r = json_get_text(o, "event", &event, e);
	if (r < 0)
		return r;
	if (event)
		on_event(c, event, o);
	else
		on_answer(c, re, o, fd);
	return 0;
}

static void on_io(struct io_event *ev, uint32_t what)
{
	struct shim_client *c = container_of(ev, struct shim_client, io);
	_cleanup_(mem_free) char *text = malloc(MSG_SIZE_MAX + 1);
	int fds[MSG_FDS_MAX], first = -1;
	struct err e = { 0 };
	size_t n_fds = 0;
	ssize_t n;

	(void)what;
	if (!text)
		return;
	n = msg_recv(c->fd, text, MSG_SIZE_MAX + 1, fds, &n_fds, &e);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		if (n == 0)
			err_set(&e, ENOTCONN, "it ended without a word");
		lose(c, &e);
		return;
	}
	for (size_t i = 0; i < n_fds; i++) {
		if (i == 0)
			first = fds[0];
		else
			close(fds[i]);
	}
	if (handle(c, text, (size_t)n, &first, &e) < 0)
		lose(c, &e);
	fd_close(first);
}

/* --- start and find --- */

static int new_client(const struct shim_client_config *cfg, int fd, struct shim_client **ret,
		      struct err *e)
{
	struct shim_client *c = calloc(1, sizeof(*c));

	if (!c) {
		fd_close(fd);
		return err_errno(e, ENOMEM, "shim");
	}
	*c = (struct shim_client){
		.loop = cfg->loop,
		.dir = str_dup(cfg->dir),
		.id = str_dup(cfg->id),
		.ops = cfg->ops,
		.data = cfg->data,
		.create_timeout_ms =
			cfg->create_timeout_ms ? cfg->create_timeout_ms : DEFAULT_CREATE_MS,
		.request_timeout_ms =
			cfg->request_timeout_ms ? cfg->request_timeout_ms : DEFAULT_REQUEST_MS,
		.fd = fd,
		.io = { .fn = on_io },
		.create_timer = { .fn = on_create_timeout },
	};
	list_init(&c->pending);
	if (!c->dir || !c->id || fd_set_nonblock(fd, true) < 0 ||
	    io_add(c->loop, &c->io, fd, EPOLLIN) < 0 ||
	    timer_set(c->loop, &c->create_timer, c->create_timeout_ms) < 0) {
		shim_client_free(c);
		return err_errno(e, ENOMEM, "shim");
	}
	*ret = c;
	return 0;
}

struct reaper {
	struct child_event ev;
};

static void on_reaped(struct child_event *ev, int status)
{
	(void)status; /* what there is to know came over the socket */
	free(container_of(ev, struct reaper, ev));
}

static int start_process(const struct shim_client_config *cfg, int theirs, struct err *e)
{
	_cleanup_(fd_close) int cgroup = cfg->cgroup ? cgroup_make(cfg->cgroup, e) : -1;
	const char *argv[] = { "skerryd", "shim", cfg->dir, NULL };
	struct fd_map fds[] = { { SHIM_FD_ENGINE, theirs } };
	struct spawn sp = { .path = cfg->program,
			    .argv = argv,
			    .fds = fds,
			    .n_fds = 1,
			    .cgroup_fd = cgroup,
			    .new_session = true };
	struct child child = { .pidfd = -1 };
	struct reaper *reaper;
	int r;

	if (cfg->cgroup && cgroup < 0)
		return err_wrap(e, "cgroup of the shims");
	reaper = calloc(1, sizeof(*reaper));
	if (!reaper)
		return err_errno(e, ENOMEM, "shim");
	reaper->ev.fn = on_reaped;
	if (cfg->maker)
		r = shim_maker_spawn(cfg->maker, cfg->dir, cgroup, theirs, &child, e);
	else
		r = spawn(&sp, &child, e);
	if (r == 0)
		r = child_add(cfg->loop, &reaper->ev, &child);
	if (r < 0) {
		child_free(&child);
		free(reaper);
	}
	return r;
}

int shim_client_spawn(const struct shim_client_config *cfg, struct shim_client **ret, struct err *e)
{
	_cleanup_(fd_close) int ours = -1, theirs = -1;
	int pair[2], r = msg_pair(pair, e);

	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	r = start_process(cfg, theirs, e);
	return r < 0 ? r : new_client(cfg, take_fd(ours), ret, e);
}

int shim_client_connect(const struct shim_client_config *cfg, struct shim_client **ret,
			struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/" SHIM_SOCKET, cfg->dir);
	int fd;

	if (!path)
		return err_errno(e, ENOMEM, "shim");
	fd = msg_connect(path, e);
	return fd < 0 ? fd : new_client(cfg, fd, ret, e);
}

/* --- requests --- */

static void on_deadline(struct timer_event *ev)
{
	struct pending *p = container_of(ev, struct pending, deadline);
	struct shim_reply reply = { .fd = -1, .log_offset = -1 };
	struct shim_client *c = p->client;
	struct err e = { 0 };

	err_set(&e, ETIMEDOUT, "the container's shim did not answer in %d ms",
		c->request_timeout_ms);
	(void)finish_request(c, p, -ETIMEDOUT, &reply, &e);
}

/* The head of a request is in `out` already when the members come; this closes and sends it. */
static void begin(struct shim_client *c, struct json_writer *w, struct buf *out, const char *op)
{
	json_writer_init(w, out);
	json_begin_object(w);
	json_member_i64(w, "v", SHIM_PROTOCOL);
	json_member_str(w, "op", op);
	json_member_i64(w, "seq", (int64_t)++c->seq);
}

static int commit(struct shim_client *c, struct json_writer *w, struct buf *out, int fd,
		  const struct shim_done *done, struct err *e)
{
	struct pending *p;
	int r;

	json_end_object(w);
	if (buf_failed(out))
		return err_errno(e, -buf_failed(out), "the request to the container's shim");
	if (c->fd < 0)
		return err_set(e, ENOTCONN, "the container's shim is gone");
	r = msg_send(c->fd, out->data, out->len, &fd, fd >= 0, e);
	if (r < 0)
		return err_wrap(e, "the container's shim");
	if (!done || !done->fn)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_errno(e, ENOMEM, "request");
	*p = (struct pending){
		.client = c, .done = *done, .seq = c->seq, .deadline = { .fn = on_deadline }
	};
	list_append(&c->pending, &p->link);
	(void)timer_set(c->loop, &p->deadline, c->request_timeout_ms);
	return 0;
}

int shim_start(struct shim_client *c, const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "start");
	return commit(c, &w, &out, -1, done, e);
}

int shim_signal(struct shim_client *c, int signal, bool all, const struct shim_done *done,
		struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "signal");
	json_member_i64(&w, "signal", signal);
	json_member_bool(&w, "all", all);
	return commit(c, &w, &out, -1, done, e);
}

int shim_attach(struct shim_client *c, bool in, bool out, bool err, int stall_ms,
		const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf packet = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &packet, "attach");
	json_member_bool(&w, "stdin", in);
	json_member_bool(&w, "stdout", out);
	json_member_bool(&w, "stderr", err);
	if (stall_ms > 0)
		json_member_i64(&w, "stall_ms", stall_ms);
	return commit(c, &w, &packet, -1, done, e);
}

int shim_resize(struct shim_client *c, const char *exec_id, unsigned int rows, unsigned int cols,
		const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "resize");
	json_member_i64(&w, "rows", rows);
	json_member_i64(&w, "cols", cols);
	if (exec_id)
		json_member_str(&w, "exec", exec_id);
	return commit(c, &w, &out, -1, done, e);
}

int shim_pause(struct shim_client *c, bool paused, const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "pause");
	json_member_bool(&w, "paused", paused);
	return commit(c, &w, &out, -1, done, e);
}

int shim_update(struct shim_client *c, const char *resources_json, const struct shim_done *done,
		struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "update");
	json_key(&w, "resources");
	json_raw(&w, resources_json);
	return commit(c, &w, &out, -1, done, e);
}

/* A sealed memfd, so that the shim reads what was checked here. */
static int memfd_of(const char *text, struct err *e)
{
	_cleanup_(fd_close) int fd = memfd_create("process", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_errno(e, errno, "memfd");
	if (file_write_all(fd, text, strlen(text), e) < 0)
		return -EIO;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return err_errno(e, errno, "memfd");
	return take_fd(fd);
}

int shim_exec(struct shim_client *c, const struct shim_exec *x, const struct shim_done *done,
	      struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	_cleanup_(fd_close) int fd = memfd_of(x->process_json, e);
	struct json_writer w;

	if (fd < 0)
		return fd;
	begin(c, &w, &out, "exec");
	json_member_str(&w, "id", x->exec_id);
	if (x->user)
		json_member_str(&w, "user", x->user);
	if (x->groups) {
		json_key(&w, "groups");
		json_strv(&w, x->groups);
	}
	json_member_bool(&w, "stdin", x->in);
	json_member_bool(&w, "stdout", x->out);
	json_member_bool(&w, "stderr", x->err);
	json_member_bool(&w, "privileged", x->privileged);
	json_member_i64(&w, "rows", x->rows);
	json_member_i64(&w, "cols", x->cols);
	return commit(c, &w, &out, fd, done, e);
}

int shim_exec_signal(struct shim_client *c, const char *exec_id, int signal,
		     const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "exec_signal");
	json_member_str(&w, "id", exec_id);
	json_member_i64(&w, "signal", signal);
	return commit(c, &w, &out, -1, done, e);
}

int shim_ack(struct shim_client *c, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);
	struct json_writer w;

	begin(c, &w, &out, "ack");
	return commit(c, &w, &out, -1, NULL, e);
}
