/*
 * `skerryd worker plugin`: one exchange with one plugin, in a process of its own.
 *
 * It finds the plugin, reads certificates and connects to a unix socket as root, then becomes a
 * user of its own without capabilities or files, with the network; only then the first byte is
 * sent. The request: {plugin, sockets, specs, call, body, timeout_ms}; the result: {answer}, the
 * plugin's object. A member "Err" that says something is an error here.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engine/plugin/inside.h"
#include "engine/worker/sandbox.h"
#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum {
	PLUGIN_UID = 64804, /* a user that nothing else runs as */
	PLUGIN_MEMORY = 24 << 20, /* TLS, CAs, an answer and what it is parsed into */
	PEM_MAX = 2 << 20,
	WORDS_MAX = 300, /* of an answer that is only text */
};

struct task {
	const char *plugin, *sockets, *call, *body, *ca_bundle;
	char **specs;
	int64_t timeout_ms;
	bool no_sandbox;
	struct plugin_address address;
	int fd;
};

static int read_task(yyjson_val *q, struct task *t, struct err *e)
{
	int r;

	t->body = "{}";
	if ((r = json_need_text(q, "plugin", &t->plugin, e)) < 0 ||
	    (r = json_need_text(q, "sockets", &t->sockets, e)) < 0 ||
	    (r = json_get_strv(q, "specs", &t->specs, e)) < 0 ||
	    (r = json_need_text(q, "call", &t->call, e)) < 0 ||
	    (r = json_get_text(q, "body", &t->body, e)) < 0 ||
	    (r = json_get_text(q, "ca_bundle", &t->ca_bundle, e)) < 0 ||
	    (r = json_get_i64(q, "timeout_ms", &t->timeout_ms, e)) < 0)
		return r;
	return json_get_bool(q, "no_sandbox", &t->no_sandbox, e);
}

/* ---- reaching it ---- */

/* The file itself, not what a link there leads to; its path may be longer than an address takes. */
static int connect_unix(const char *path, struct err *e)
{
	_cleanup_(fd_close) int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(fd_close) int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (file < 0)
		return err_errno(e, errno, "%.200s", path);
	(void)path_of_fd(address.sun_path, file);
	/* not blocking: one whose queue is full does not get more time than one that is dead */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return take_fd(fd);
	if (errno == EAGAIN)
		return err_set(e, ETIMEDOUT, "it does not accept connections at %.200s", path);
	return err_errno(e, errno, "connecting to %.200s", path);
}

/* A path becomes the file's text. */
static int read_pem(char **path, struct err *e)
{
	char *text = NULL;
	size_t len;
	int r;

	if (!*path)
		return 0;
	r = file_read(AT_FDCWD, *path, PEM_MAX, &text, &len, e);
	if (r == 0 && strlen(text) != len)
		r = err_set(e, EINVAL, "%.200s: not a PEM file", *path);
	if (r < 0) {
		free(text);
		return r;
	}
	free(*path);
	*path = text;
	return 0;
}

static int reach(struct task *t, struct err *e)
{
	struct plugin_address *a = &t->address;
	int r = plugin_locate(t->sockets, t->specs, t->plugin, a, e);

	if (r < 0)
		return r;
	if (a->socket) {
		t->fd = connect_unix(a->socket, e);
		return MIN(t->fd, 0);
	}
	if (!a->ca && str_starts(a->url, "https://") && t->ca_bundle &&
	    access(t->ca_bundle, R_OK) == 0 && str_set(&a->ca, t->ca_bundle) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = read_pem(&a->ca, e);
	r = r < 0 ? r : read_pem(&a->cert, e);
	return r < 0 ? r : read_pem(&a->key, e);
}

static int enter_sandbox(const struct task *t, struct err *e)
{
	static const char *const wanted[] = { "/etc/resolv.conf", "/etc/hosts", "/dev/random" };
	struct worker_path paths[ARRAY_SIZE(wanted)];
	struct worker_sandbox box = {
		.drop_user = true,
		.uid = PLUGIN_UID,
		.gid = PLUGIN_UID,
		.no_network = t->fd >= 0,
		.confine_files = true,
		.paths = paths,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_NET | WORKER_CALLS_LOOK,
		.max_memory = worker_memory_limit(PLUGIN_MEMORY),
		.death_signal = SIGKILL,
	};

	if (t->no_sandbox)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (access(wanted[i], F_OK) == 0)
			paths[box.n_paths++] = (struct worker_path){ wanted[i], WORKER_READ };
	return worker_sandbox_apply(&box, e);
}

/* ---- what it says ---- */

/* One line of its words for people and logs. */
static void words_of(const char *text, char ret[WORDS_MAX + 1])
{
	_cleanup_(mem_free) char *copy = strndup(text, WORDS_MAX);

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	(void)str_copy(ret, WORDS_MAX + 1, copy ? str_trim(copy) : "");
}

static int read_answer(const struct task *t, int status, const struct buf *text,
		       struct worker_call *call, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL;
	struct json_writer w;
	char words[WORDS_MAX + 1];
	const char *said = NULL;
	struct err bad = { 0 };
	int r = json_parse_object(buf_text(text), text->len, &doc, &root, &bad);

	/* what says no more than that all went well may be empty */
	if (status == 200 && text->len == 0)
		return 0;
	if (r == 0 && json_get_text(root, "Err", &said, NULL) < 0)
		said = "its error is no text";
	if (!str_empty(said) || status != 200) {
		words_of(str_empty(said) ? buf_text(text) : said, words);
		if (status != 200 && r < 0)
			return err_set(e, EREMOTEIO, "%s: status %d: %s", t->call, status, words);
		return err_set(e, EREMOTEIO, "%s: %s", t->call, words);
	}
	if (r < 0)
		return err_set(e, EBADMSG, "%s: the answer is no JSON object: %s", t->call,
			       err_text(&bad));
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	json_key(&w, "answer");
	json_value(&w, root);
	json_end_object(&w);
	return 0;
}

static int exchange(struct task *t, struct worker_call *call, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(PLUGIN_ANSWER_MAX);
	int status = 0;
	int r = reach(t, e);

	if (r == 0)
		r = enter_sandbox(t, e);
	if (r == 0)
		r = plugin_post(&t->address, take_fd(t->fd), t->call, t->body, t->timeout_ms,
				&status, &text, e);
	if (r < 0)
		return err_wrap(e, "%s", t->call);
	return read_answer(t, status, &text, call, e);
}

static int run(struct worker_call *call, struct err *e)
{
	struct task t = { .fd = -1 };
	int r = read_task(call->request, &t, e);

	if (r == 0)
		r = exchange(&t, call, e);
	fd_close(t.fd);
	plugin_address_free(&t.address);
	strv_free(t.specs);
	return r;
}

int plugin_worker_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(PLUGIN_WORKER, run);
}
