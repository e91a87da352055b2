/*
 * POST /images/load and POST /images/create with fromSrc (import): the body goes through a pipe to
 * the image store's worker, its progress comes back as JSON lines. With fromSrc=URL a fetch worker
 * is at the pipe's other end; then ours stays open until all came, so that a download that broke
 * off is never taken for a whole archive.
 *
 * While the pipe is full the body waits in the client's socket. The answer begins with the first
 * line of progress; before that, a failure is a plain status, behind it it is a line.
 */
#include "engine/api/inside.h"
#include "engine/data/ref.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/image/change.h"
#include "init/base/str.h"

struct load {
	struct image_op op;
	struct registry_download download; /* import from an address */
	struct http_req *req;
	struct io_event io;
	int fd; /* our end of the pipe, -1 once it is closed */
	struct buf pending; /* body bytes that the pipe did not take */
	bool quiet, streaming, input_ended, import;
};

static void close_pipe(struct load *l)
{
	io_remove(&l->io);
	fd_close(take_fd(l->fd));
	buf_free(&l->pending);
}

static void load_free(struct load *l)
{
	registry_download_cancel(&l->download);
	close_pipe(l);
	image_op_cancel(&l->op);
	free(l);
}

/* Writes what the pipe takes. A reader that closed its end has all it wants: the rest is
 * dropped. */
static void push(struct load *l)
{
	while (l->fd >= 0 && l->pending.len > 0) {
		ssize_t n = write(l->fd, l->pending.data, l->pending.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			close_pipe(l);
		else
			buf_consume(&l->pending, (size_t)n);
	}
	if (l->pending.len > 0) {
		http_body_pause(l->req);
		io_change(&l->io, EPOLLOUT);
		return;
	}
	if (l->fd >= 0)
		io_change(&l->io, 0);
	if (l->input_ended)
		close_pipe(l);
	http_body_resume(l->req);
}

static void on_pipe(struct io_event *ev, uint32_t events)
{
	struct load *l = container_of(ev, struct load, io);

	if (events & (EPOLLERR | EPOLLHUP))
		close_pipe(l);
	push(l);
}

static void on_body(struct http_req *r, const char *data, size_t len)
{
	struct load *l = r->data;

	if (l->fd >= 0 && buf_add(&l->pending, data, len) < 0)
		close_pipe(l); /* the worker sees a cut archive */
	push(l);
}

static void on_body_end(struct http_req *r)
{
	struct load *l = r->data;

	l->input_ended = true;
	push(l);
}

static void on_gone(struct http_req *r)
{
	load_free(r->data);
}

/* --- answer ----------------------------------------------------------------------------------- */

static void write_progress(struct json_writer *w, const struct image_progress *p)
{
	json_begin_object(w);
	if (p->stream) {
		json_member_str(w, "stream", p->stream);
	} else {
		json_member_str(w, "status", p->status ? p->status : "");
		json_key(w, "progressDetail");
		json_begin_object(w);
		json_member_i64(w, "current", p->current);
		json_member_i64(w, "total", p->total);
		json_end_object(w);
		json_member_str(w, "id", p->id ? p->id : "");
	}
	json_end_object(w);
}

static void on_progress(struct image_op *op, const struct image_progress *p)
{
	struct load *l = container_of(op, struct load, op);
	_cleanup_(buf_free) struct buf line = BUF_INIT(64 << 10);
	struct json_writer w;

	if (l->quiet && !p->stream)
		return;
	json_writer_init(&w, &line);
	write_progress(&w, p);
	api_line(l->req, &l->streaming, &line, !p->stream);
}

/* The new image's id as a line, and as an event. */
static void tell_import(struct load *l)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(1024);
	const char *id = l->op.changes[0].id;
	struct event_attr name = { "name", id };
	const struct event ev = {
		.type = "image", .action = "import", .id = id, .attrs = &name, .n_attrs = 1
	};
	struct json_writer w;

	events_publish(engine_of(l->req)->events, &ev);
	json_writer_init(&w, &line);
	json_begin_object(&w);
	json_member_str(&w, "status", id);
	json_end_object(&w);
	api_line(l->req, &l->streaming, &line, false);
}

static void on_done(struct image_op *op, int code, const struct err *e)
{
	struct load *l = container_of(op, struct load, op);
	struct http_req *r = l->req;
	bool streaming = l->streaming || code == 0;

	images_publish(engine_of(r), op->changes, op->n_changes);
	if (code == 0 && l->import)
		tell_import(l);
	if (code < 0 && streaming)
		api_error_line(r, &l->streaming, err_text(e));
	else if (code == 0 && !l->streaming)
		http_stream_begin(r, 200, "application/json");
	registry_download_cancel(&l->download);
	close_pipe(l);
	free(l);
	if (streaming)
		http_stream_end(r);
	else
		api_fail(r, code, e);
}

/* make: the body is the archive of one layer, for this image; NULL: an archive of images. */
static int begin(struct load *l, struct http_req *r, const struct image_make *make, const char *url,
		 struct err *e)
{
	_cleanup_(fd_close) int reader = -1;
	int fds[2], code;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	reader = fds[0];
	l->fd = fds[1];
	l->import = make;
	if (url) {
		code = registry_download(engine_of(r)->registry, url, l->fd, &l->download, e);
		return code < 0 ? code : images_make(engine_of(r)->images, reader, make, &l->op, e);
	}
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	code = io_add(engine_of(r)->loop, &l->io, l->fd, 0);
	if (code < 0)
		return err_errno(e, -code, "pipe");
	return make ? images_make(engine_of(r)->images, reader, make, &l->op, e)
		    : images_load(engine_of(r)->images, reader, &l->op, e);
}

static void on_downloading(struct registry_download *d, int64_t current, int64_t total)
{
	struct load *l = container_of(d, struct load, download);

	on_progress(&l->op, &(struct image_progress){ .status = "Importing",
						      .current = current,
						      .total = MAX(total, (int64_t)0) });
}

static void on_downloaded(struct registry_download *d, int code, const struct err *e)
{
	struct load *l = container_of(d, struct load, download);
	struct err why = *e;

	if (code == -EPIPE || code == 0) {
		close_pipe(l); /* all came; or the reader will say why it ended */
		return;
	}
	image_op_cancel(&l->op);
	on_done(&l->op, code, &why);
}

static void start(struct http_req *r, const struct image_make *make, const char *url)
{
	struct load *l = api_new(r, sizeof(*l));
	struct err e = { 0 };
	int code;

	if (!l)
		return;
	*l = (struct load){ .req = r, .fd = -1, .pending = BUF_INIT(4 * HTTP_READ_SIZE) };
	l->op.progress = on_progress;
	l->op.done = on_done;
	l->io.fn = on_pipe;
	l->download.progress = on_downloading;
	l->download.done = on_downloaded;
	l->quiet = http_query_bool(r, "quiet", false);
	code = begin(l, r, make, url, &e);
	if (code < 0) {
		load_free(l);
		api_fail(r, code, &e);
		return;
	}
	r->data = l;
	r->on_gone = on_gone;
	if (url)
		return;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
}

void images_load_archive(struct http_req *r)
{
	start(r, NULL, NULL);
}

/* ---- import ---- */

int api_changes(struct http_req *r, char ***ret, struct err *e)
{
	const char *text;

	for (size_t i = 0; (text = http_query_at(r, "changes", i)); i++)
		if (strv_add(ret, text) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return 0;
}

int api_repo_tag(struct http_req *r, char ret[REF_TEXT_MAX], struct err *e)
{
	const char *repo = http_query(r, "repo"), *tag = http_query(r, "tag");
	char name[REF_TEXT_MAX];
	struct ref ref;
	int code;

	ret[0] = '\0';
	if (str_empty(repo))
		return 0;
	code = ref_parse(repo, &ref, e);
	if (code < 0)
		return code;
	if (ref.digest[0])
		return err_set(e, EINVAL, "refusing to create a tag with a digest reference");
	if (!str_empty(tag))
		ref.tag[0] = '\0'; /* it takes the place of repo's own */
	ref_format_familiar(&ref, name);
	if (str_format(ret, REF_TEXT_MAX, "%s%s%s", name, str_empty(tag) ? "" : ":",
		       tag ? tag : "") < 0)
		return err_set(e, EINVAL, "invalid reference format: too long");
	return ref_parse(ret, &ref, e);
}

/* Only images for linux can be kept. */
static int read_platform(struct http_req *r, char arch[32], struct image_make *make, struct err *e)
{
	const char *text = http_query(r, "platform");
	char platform[32];
	int code;

	if (str_empty(text))
		return 0;
	code = api_platform(text, platform, sizeof(platform), e);
	if (code < 0)
		return code;
	if (!str_starts(platform, "linux/"))
		return err_set(e, EINVAL, "unsupported OS: %s: only linux images run here", text);
	(void)str_copy(arch, 32, platform + strlen("linux/"));
	make->architecture = arch;
	return 0;
}

void images_create(struct http_req *r)
{
	_cleanup_(strv_free) char **changes = NULL;
	const char *message = http_query(r, "message"), *source = http_query(r, "fromSrc");
	struct image_config config;
	struct image_make make = { .config = &config };
	char name[REF_TEXT_MAX], arch[32], comment[256];
	struct err e = { 0 };
	int code;

	if (!str_empty(http_query(r, "fromImage"))) {
		images_pull(r);
		return;
	}
	if (str_empty(source)) {
		http_reply_error(r, 400,
				 "fromImage or fromSrc must say where the image comes from");
		return;
	}
	bind_init(&image_config_table, &config);
	snprintf(comment, sizeof(comment), "Imported from %.200s", source);
	make.comment = str_empty(message) ? comment : message;
	make.name = name;
	code = api_repo_tag(r, name, &e);
	if (code == 0)
		code = read_platform(r, arch, &make, &e);
	if (code == 0)
		code = api_changes(r, &changes, &e);
	if (code == 0)
		code = image_config_change(&config, (const char *const *)changes, &e);
	if (code < 0)
		api_fail(r, code, &e);
	else
		start(r, &make, str_eq(source, "-") ? NULL : source);
	bind_free(&image_config_table, &config);
}
