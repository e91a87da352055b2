/*
 * Connections of engines: packets in, answers and events out (protocol.h).
 *
 * A connection that does not take its packets is given a bounded queue and then dropped; it may
 * come back and hears the state in its hello. Requests are a table of op names. Only uid 0 may
 * connect: the socket is 0600 in a directory of root, and the peer is asked too.
 */
#include <string.h>
#include <unistd.h>

#include "engine/runtime/runtime.h"
#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/cgroup.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/str.h"

struct packet {
	struct list link;
	int fd; /* -1 none */
	size_t len;
	char data[];
};

static void packet_free(struct packet *p)
{
	list_remove(&p->link);
	fd_close(p->fd);
	free(p);
}

static void conn_free(struct conn *c)
{
	struct packet *p, *tmp;
	struct shim *s = c->shim;

	list_for_each_safe(p, tmp, &c->queue, link)
		packet_free(p);
	io_remove(&c->io);
	fd_close(c->fd);
	list_remove(&c->link);
	s->n_conns--;
	if (s->start_conn == c)
		s->start_conn = NULL;
	exec_forget_conn(s, c);
	free(c);
	if (s->state == SHIM_EXITED && s->n_conns == 0)
		shim_leave(s); /* exit.json stays for the next engine */
}

void conn_free_all(struct shim *s)
{
	struct conn *c, *tmp;

	list_for_each_safe(c, tmp, &s->conns, link)
		conn_free(c);
}

/* --- sending --- */

/* 1 when the connection had to be dropped. */
static int send_or_queue(struct conn *c, const struct buf *data, int fd)
{
	struct packet *p;
	int r = c->n_queue ? -EAGAIN : msg_send(c->fd, data->data, data->len, &fd, fd >= 0, NULL);

	if (r == 0)
		return 0;
	if (r != -EAGAIN || c->n_queue >= SHIM_QUEUE_MAX)
		return 1;
	p = malloc(sizeof(*p) + data->len);
	if (!p)
		return 1;
	p->fd = fd >= 0 ? dup(fd) : -1;
	p->len = data->len;
	memcpy(p->data, data->data, data->len);
	list_append(&c->queue, &p->link);
	c->n_queue++;
	(void)io_change(&c->io, EPOLLIN | EPOLLOUT);
	return 0;
}

void conn_send(struct shim *s, struct conn *c, const struct buf *packet, int fd)
{
	struct conn *each, *tmp;

	if (buf_failed(packet))
		return;
	list_for_each_safe(each, tmp, &s->conns, link)
		if ((!c || c == each) && send_or_queue(each, packet, fd))
			io_change(&each->io,
				  /* dropped from its own handler, not from under a caller */
				  EPOLLOUT);
}

static void flush(struct conn *c)
{
	while (!list_empty(&c->queue)) {
		struct packet *p = list_first(&c->queue, struct packet, link);
		int r = msg_send(c->fd, p->data, p->len, &p->fd, p->fd >= 0, NULL);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			conn_free(c);
			return;
		}
		c->n_queue--;
		packet_free(p);
	}
	(void)io_change(&c->io, EPOLLIN);
}

static void begin(struct json_writer *w, struct buf *out)
{
	json_writer_init(w, out);
	json_begin_object(w);
	json_member_i64(w, "v", SHIM_PROTOCOL);
}

void conn_answer(struct conn *c, uint64_t seq, const struct err *e, const char *extra, int fd)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(MSG_SIZE_MAX);

	if (!c)
		return;
	buf_printf(&out, "{\"v\":%d,\"re\":%llu,\"ok\":%s", SHIM_PROTOCOL, (unsigned long long)seq,
		   e ? "false" : "true");
	if (e) {
		struct json_writer w;

		buf_printf(&out, ",\"errno\":%d,\"error\":", e->code ? e->code : EIO);
		json_writer_init(&w, &out);
		json_str(&w, err_text(e));
	}
	if (extra)
		buf_printf(&out, ",%s", extra);
	buf_add_char(&out, '}');
	conn_send(c->shim, c, &out, fd);
}

/* --- events --- */

static const char *const state_names[] = { "creating", "created", "running", "exited" };

static void send_hello(struct conn *c)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct shim *s = c->shim;
	struct json_writer w;

	begin(&w, &out);
	json_member_str(&w, "event", "hello");
	json_member_str(&w, "state", state_names[s->state]);
	json_member_i64(&w, "pid", s->proc.pid);
	json_member_i64(&w, "started", s->exit.started_ns);
	json_member_bool(&w, "paused", s->paused);
	json_member_bool(&w, "tty", s->tty);
	json_member_i64(&w, "oom_kills", (int64_t)s->oom_kills);
	json_end_object(&w);
	conn_send(s, c, &out, -1);
}

void conn_event_created(struct shim *s)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct json_writer w;

	begin(&w, &out);
	json_member_str(&w, "event", "created");
	json_member_i64(&w, "pid", s->proc.pid);
	json_member_bool(&w, "tty", s->tty);
	json_end_object(&w);
	conn_send(s, NULL, &out, -1);
}

void conn_event_exit(struct shim *s, struct conn *only)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	struct json_writer w;

	begin(&w, &out);
	json_member_str(&w, "event", "exit");
	shim_exit_json(&w, &s->exit);
	json_end_object(&w);
	conn_send(s, only, &out, -1);
}

void conn_event_oom(struct shim *s)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(256);
	struct json_writer w;

	begin(&w, &out);
	json_member_str(&w, "event", "oom");
	json_member_i64(&w, "oom_kills", (int64_t)s->oom_kills);
	json_end_object(&w);
	conn_send(s, NULL, &out, -1);
}

void conn_event_exec_exit(struct shim *s, const char *id, int code)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct json_writer w;

	begin(&w, &out);
	json_member_str(&w, "event", "exec_exit");
	json_member_str(&w, "id", id);
	json_member_i64(&w, "exit_code", code);
	json_end_object(&w);
	conn_send(s, NULL, &out, -1);
}

/* --- requests: 0 answer "ok" (a handler that answers itself returns 1), -errno answer e --- */

struct request {
	struct conn *conn;
	uint64_t seq;
	yyjson_val *o;
	int fd; /* first descriptor of the packet, -1 none */
};

static int do_start(struct shim *s, struct request *q, struct err *e)
{
	int r = shim_request_start(s, q->conn, q->seq, e);

	return r < 0 ? r : 1;
}

static int do_signal(struct shim *s, struct request *q, struct err *e)
{
	int64_t number = 0;
	bool all = false;
	int r = json_get_i64(q->o, "signal", &number, e);

	if (r == 0)
		r = json_get_bool(q->o, "all", &all, e);
	if (r == 0 && (number < 1 || number > 64))
		return err_set(e, EINVAL, "signal: must be from 1 to 64");
	return r < 0 ? r : shim_request_signal(s, (int)number, all, e);
}

static int do_attach(struct shim *s, struct request *q, struct err *e)
{
	bool in = false, out = false, err = false;
	uint64_t stall = SHIM_ATTACH_STALL_MS, ino = 0;
	char extra[96];
	int fd = -1, r = json_get_bool(q->o, "stdin", &in, e);

	if (r == 0)
		r = json_get_bool(q->o, "stdout", &out, e);
	if (r == 0)
		r = json_get_bool(q->o, "stderr", &err, e);
	if (r == 0)
		r = json_get_u64(q->o, "stall_ms", &stall, e);
	if (r < 0)
		return r;
	if (stall == 0 || stall > SHIM_STALL_MAX_MS)
		return err_set(e, EINVAL, "stall_ms: must be from 1 to %d", SHIM_STALL_MAX_MS);
	s->session.stall_ms = (int)stall;
	r = session_attach(&s->session, in, out, err, &fd, e);
	s->session.stall_ms = SHIM_ATTACH_STALL_MS;
	if (r < 0)
		return r;
	if (s->log)
		ino = logfile_sync_lines(s->log);
	(void)str_format(extra, sizeof(extra), "\"log_offset\":%lld,\"log_ino\":%llu",
			 s->log ? (long long)logfile_size(s->log) : -1LL, (unsigned long long)ino);
	conn_answer(q->conn, q->seq, NULL, extra, fd);
	close(fd);
	return 1;
}

static int find_exec(struct shim *s, struct request *q, const char *key, struct exec **ret,
		     struct err *e)
{
	const char *id = NULL;
	int r = json_get_text(q->o, key, &id, e);

	if (r < 0)
		return r;
	*ret = id ? exec_find(s, id) : NULL;
	if (id && !*ret)
		return err_set(e, ENOENT, "no such exec: %s", id);
	return 0;
}

static int do_resize(struct shim *s, struct request *q, struct err *e)
{
	uint64_t rows = 0, cols = 0;
	struct exec *x = NULL;
	int r = json_get_u64(q->o, "rows", &rows, e);

	if (r == 0)
		r = json_get_u64(q->o, "cols", &cols, e);
	if (r == 0)
		r = find_exec(s, q, "exec", &x, e);
	if (r == 0 && (rows > UINT16_MAX || cols > UINT16_MAX))
		return err_set(e, EINVAL, "rows, cols: at most 65535");
	if (r < 0)
		return r;
	return x ? exec_resize(x, (unsigned int)rows, (unsigned int)cols, e)
		 : session_resize(&s->session, (unsigned int)rows, (unsigned int)cols, e);
}

static int do_pause(struct shim *s, struct request *q, struct err *e)
{
	bool paused = true;
	int r = json_get_bool(q->o, "paused", &paused, e);

	if (r < 0)
		return r;
	if (s->cgroup_fd < 0)
		return err_set(e, EOPNOTSUPP, "the container has no cgroup");
	if (s->state != SHIM_RUNNING)
		return err_set(e, EINVAL, "the container is not running");
	r = cgroup_freeze(s->cgroup_fd, paused, e);
	if (r == 0)
		s->paused = paused;
	return r;
}

static int do_update(struct shim *s, struct request *q, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	yyjson_val *resources = NULL;
	int r = json_get_object(q->o, "resources", &resources, e);

	if (r < 0)
		return r;
	if (!resources)
		return err_set(e, EINVAL, "resources: is missing");
	if (!s->cfg.cgroup)
		return err_set(e, EOPNOTSUPP, "the container has no cgroup");
	text = yyjson_val_write(resources, 0, NULL);
	return text ? runtime_update(s->cfg.cgroup, text, e) : err_errno(e, ENOMEM, "resources");
}

static int do_exec(struct shim *s, struct request *q, struct err *e)
{
	int r = exec_request(s, q->conn, q->seq, q->o, q->fd, e);

	return r < 0 ? r : 1;
}

static int do_exec_signal(struct shim *s, struct request *q, struct err *e)
{
	struct exec *x = NULL;
	int64_t number = 0;
	int r = json_get_i64(q->o, "signal", &number, e);

	if (r == 0)
		r = find_exec(s, q, "id", &x, e);
	if (r < 0)
		return r;
	if (!x || number < 1 || number > 64)
		return err_set(e, EINVAL, "id: is missing, or signal is not from 1 to 64");
	return exec_signal(x, (int)number, e);
}

static int do_ack(struct shim *s, struct request *q, struct err *e)
{
	if (s->state != SHIM_EXITED)
		return err_set(e, EINVAL, "the container has not ended");
	conn_answer(q->conn, q->seq, NULL, NULL, -1);
	shim_leave(s);
	return 1;
}

static const struct {
	const char *op;
	int (*fn)(struct shim *s, struct request *q, struct err *e);
} ops[] = {
	{ "start", do_start },	 { "signal", do_signal },
	{ "attach", do_attach }, { "resize", do_resize },
	{ "pause", do_pause },	 { "update", do_update },
	{ "exec", do_exec },	 { "exec_signal", do_exec_signal },
	{ "ack", do_ack },
};

static int dispatch(struct shim *s, struct request *q, const char *op, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_eq(ops[i].op, op))
			return ops[i].fn(s, q, e);
	return err_set(e, ENOSYS, "op: this shim does not know \"%s\"", op ? op : "");
}

/* One packet. -EPROTO: close the connection. */
static int handle(struct conn *c, const char *text, size_t len, int fd)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct request q = { .conn = c, .fd = fd };
	struct err e = { 0 };
	const char *op = NULL;
	int64_t version = 0;
	int r = json_parse_object(text, len, &doc, &q.o, &e);

	if (r == 0)
		r = json_get_i64(q.o, "v", &version, &e);
	if (r == 0)
		r = json_get_u64(q.o, "seq", &q.seq, &e);
	if (r == 0 && version != SHIM_PROTOCOL) {
		err_set(&e, EPROTO, "v: this shim speaks version %d", SHIM_PROTOCOL);
		conn_answer(c, q.seq, &e, NULL, -1);
		return -EPROTO;
	}
	if (r == 0)
		r = json_get_text(q.o, "op", &op, &e);
	if (r == 0)
		r = dispatch(c->shim, &q, op, &e);
	if (r < 0)
		conn_answer(c, q.seq, &e, NULL, -1);
	else if (r == 0)
		conn_answer(c, q.seq, NULL, NULL, -1);
	return 0;
}

static void on_conn(struct io_event *ev, uint32_t events)
{
	struct conn *c = container_of(ev, struct conn, io);
	_cleanup_(mem_free) char *text = NULL;
	int fds[MSG_FDS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	if (events & EPOLLOUT) {
		/* woken for a connection that is to be dropped: its queue is full or its socket
		 * broken */
		if (c->n_queue == 0 || c->n_queue >= SHIM_QUEUE_MAX) {
			conn_free(c);
			return;
		}
		flush(c);
		return;
	}
	text = malloc(MSG_SIZE_MAX +
		      1); /* not on the stack: a page touched there is never given back */
	if (!text)
		return;
	n = msg_recv(c->fd, text, MSG_SIZE_MAX + 1, fds, &n_fds, NULL);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		conn_free(c);
		return;
	}
	if (handle(c, text, (size_t)n, n_fds > 0 ? fds[0] : -1) < 0)
		(void)io_change(&c->io, EPOLLOUT);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
}

int conn_add(struct shim *s, int fd, struct err *e)
{
	struct conn *c;

	if (s->n_conns >= SHIM_CLIENTS_MAX)
		return err_set(e, EAGAIN, "too many connections");
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_errno(e, ENOMEM, "connection");
	*c = (struct conn){ .shim = s, .fd = fd, .io = { .fn = on_conn } };
	list_init(&c->queue);
	if (io_add(s->loop, &c->io, fd, EPOLLIN) < 0) {
		free(c);
		return err_errno(e, errno, "connection");
	}
	list_append(&s->conns, &c->link);
	s->n_conns++;
	send_hello(c);
	if (s->state == SHIM_EXITED)
		conn_event_exit(s, c);
	return 0;
}

static void on_listen(struct io_event *ev, uint32_t events)
{
	struct shim *s = container_of(ev, struct shim, listen_io);
	uid_t uid = (uid_t)-1;
	int fd = msg_accept(ev->fd, &uid);

	(void)events;
	if (fd < 0)
		return;
	if (uid != getuid() || conn_add(s, fd, NULL) < 0)
		close(fd);
}

int conn_listen(struct shim *s, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/" SHIM_SOCKET, s->dir);

	if (!path)
		return err_errno(e, ENOMEM, "socket");
	s->listen_fd = msg_listen(path, e);
	if (s->listen_fd < 0)
		return s->listen_fd;
	s->listen_io.fn = on_listen;
	return io_add(s->loop, &s->listen_io, s->listen_fd, EPOLLIN);
}
