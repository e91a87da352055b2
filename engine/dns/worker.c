/*
 * `skerryd worker dns`: the resolver's process (see dns.h).
 *
 * Its channel carries "open ID" with two sockets and "table" with a memory file; the engine's end
 * closing is the end. Everything else that it reads is hostile, so before the first query it gives
 * up files, privileges and all calls but those of sockets.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/data/json.h"
#include "engine/dns/dns.h"
#include "engine/dns/inside.h"
#include "engine/worker/sandbox.h"
#include "engine/worker/worker.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/str.h"

#define OPEN "open "
#define TABLE "table"

enum {
	RESOLVER_UID = 65534,
	RESOLVER_MEMORY = 128 << 20,
	RESOLVER_FILES = 8192,
	MESSAGE_MAX = 256,
};

struct channel {
	struct io_event io;
	struct resolver r;
};

/* --- the engine's side ------------------------------------------------------------------------ */

int dns_send_space(int channel, const char *id, int udp, int tcp, struct err *e)
{
	const int fds[] = { udp, tcp };
	char text[MESSAGE_MAX];

	if (str_format(text, sizeof(text), OPEN "%s", id) < 0)
		return err_set(e, EINVAL, "id is too long");
	return msg_send(channel, text, strlen(text), fds, ARRAY_SIZE(fds), e);
}

int dns_send_table(int channel, const char *json, size_t len, struct err *e)
{
	_cleanup_(fd_close) int fd = memfd_create("dns-table", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_errno(e, errno, "cannot make a memory file");
	rc = file_write_all(fd, json, len, e);
	return rc < 0 ? rc : msg_send(channel, TABLE, strlen(TABLE), &fd, 1, e);
}

/* --- the worker's side ------------------------------------------------------------------------ */

static int take_table(struct resolver *r, int fd, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	struct dns_table *fresh = NULL;
	yyjson_val *root;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0 || st.st_size > JSON_SIZE_MAX)
		return err_set(e, EFBIG, "the table is too large");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		return err_set(e, EIO, "the table is incomplete");
	rc = json_parse_object(text, (size_t)st.st_size, &doc, &root, e);
	if (rc == 0)
		rc = dns_table_read(root, &fresh, e);
	if (rc < 0)
		return rc;
	dns_table_free(r->table);
	r->table = fresh;
	spaces_keep(r);
	return 0;
}

static void take_message(struct resolver *r, const char *text, int *fds, size_t n_fds)
{
	struct err e = { 0 };
	int rc = 0;

	if (str_starts(text, OPEN) && n_fds == 2)
		rc = space_open(r, text + strlen(OPEN), take_fd(fds[0]), take_fd(fds[1]), &e);
	else if (str_eq(text, TABLE) && n_fds == 1)
		rc = take_table(r, fds[0], &e);
	if (rc < 0)
		log_warn("%s", err_text(&e));
	for (size_t i = 0; i < n_fds; i++)
		fd_close(fds[i]);
}

static void listen_now(struct resolver *r)
{
	struct channel *c = container_of(r, struct channel, r);
	char text[MESSAGE_MAX + 1];
	int fds[MSG_FDS_MAX];
	size_t n_fds;
	ssize_t n;

	for (;;) {
		n_fds = 0;
		n = msg_recv(c->io.fd, text, sizeof(text), fds, &n_fds, NULL);
		if (n == -EAGAIN)
			return;
		if (n <= 0)
			break;
		take_message(r, text, fds, n_fds);
	}
	loop_quit(r->loop, 0);
}

static void on_channel(struct io_event *io, uint32_t events)
{
	(void)events;
	listen_now(&container_of(io, struct channel, io)->r);
}

static int enter_sandbox(struct err *e)
{
	const struct worker_sandbox sandbox = {
		.drop_user = true,
		.uid = RESOLVER_UID,
		.gid = RESOLVER_UID,
		.confine_files = true,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_NET | WORKER_CALLS_SERVE,
		.max_memory = worker_memory_limit(RESOLVER_MEMORY),
		.max_files = RESOLVER_FILES,
		.death_signal = SIGKILL,
	};

	return worker_sandbox_apply(&sandbox, e);
}

static void resolver_clear(struct resolver *r)
{
	struct map_entry *m;

	for (size_t i = 0; (m = map_next(&r->spaces, &i));)
		space_close(m->value);
	map_free(&r->spaces);
	dns_table_free(r->table);
	loop_free(r->loop);
}

int dns_run(int channel, bool confined, int try_ms, struct err *e)
{
	struct channel c = { .io.fn = on_channel };
	int rc = loop_new(&c.r.loop, e);

	c.r.listen = listen_now;
	c.r.try_ms = try_ms > 0 ? try_ms : TRY_MS;
	if (rc == 0 && confined)
		rc = enter_sandbox(e);
	if (rc == 0) {
		fd_set_nonblock(channel, true);
		rc = io_add(c.r.loop, &c.io, channel, EPOLLIN);
		if (rc < 0)
			rc = err_errno(e, -rc, "channel");
	}
	if (rc == 0)
		(void)loop_run(c.r.loop);
	io_remove(&c.io);
	resolver_clear(&c.r);
	return rc;
}

static int run(struct worker_call *call, struct err *e)
{
	int rc = dns_run(DNS_CHANNEL, true, 0, e);

	(void)call;
	if (rc == 0) /* the engine is gone: there is nobody to report to */
		_exit(0);
	return rc;
}

int dns_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(DNS_WORKER, run);
}
