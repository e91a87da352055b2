/*
 * Attach to a container, by a hijacked connection or a websocket: what its log has (logs=1), then
 * its streams (stream=1) from exactly there on.
 *
 * Of a container that runs, the stream is opened first; it says where in the log it begins, and the
 * log is sent up to that place before the stream is read. Of one that does not run, the log is sent
 * at once and the stream comes at its start.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/api/relay.h"
#include "init/base/str.h"

struct attachment {
	struct relay relay;
	struct container_attach a;
	struct engine *en;
	char id[65]; /* of the container */
	bool wants_logs, wants_stream, stopped; /* stopped: it did not run when the client came */
	int fd; /* the stream, until the log is through; -1 */
	struct log_reader *log;
	struct buf chunk;
};

static void attachment_free(struct attachment *at)
{
	container_attach_cancel(&at->a);
	relay_clear(&at->relay);
	log_reader_free(at->log);
	fd_close(at->fd);
	buf_free(&at->chunk);
	free(at);
}

static void finish(struct attachment *at)
{
	struct relay *r = &at->relay;

	relay_finish(r);
	attachment_free(at);
}

/* The container is asked for by its id each time: it may have been removed meanwhile. */
static struct container *target_of(struct attachment *at)
{
	return containers_find(at->en->containers, at->id, NULL);
}

static void on_relay_end(struct relay *r, enum relay_end why)
{
	struct attachment *at = container_of(r, struct attachment, relay);
	struct container *c = target_of(at);

	/* as Docker: by the keys, or by leaving what goes on */
	if (c && (why == RELAY_KEYS || (why == RELAY_GONE && at->wants_stream)))
		container_publish(c, "detach", NULL, NULL);
	if (why == RELAY_GONE)
		attachment_free(at);
	else
		finish(at);
}

/* ---- the log ---- */

static void go_on(struct attachment *at);

/* Sends what the client has room for; goes on behind the end of the log. */
static void pump_log(struct attachment *at)
{
	struct err e = { 0 };
	size_t room;

	while ((room = http_stream_room(at->relay.req)) > 0) {
		if (log_reader_next(at->log, room, &at->chunk, &e) <= 0) {
			log_reader_free(take_ptr(at->log));
			go_on(at);
			return;
		}
		relay_output(&at->relay, buf_text(&at->chunk), at->chunk.len);
		buf_reset(&at->chunk);
	}
}

static void on_drained(struct relay *r)
{
	struct attachment *at = container_of(r, struct attachment, relay);

	if (at->log)
		pump_log(at);
}

static void on_log_ready(struct log_reader *reader, void *data)
{
	(void)reader; /* not followed: it is never woken */
	(void)data;
}

static void begin_log(struct attachment *at, const struct log_place *log_end)
{
	const struct log_query q = {
		.out = at->a.out, .err = at->a.err, .tail = -1, .end = *log_end
	};
	struct container *c = target_of(at);
	struct err e = { 0 };
	char text[ERR_TEXT_MAX + 32];

	at->wants_logs = false;
	if (c && log_reader_open(c, &q, on_log_ready, at, &at->log, &e) == 0) {
		pump_log(at);
		return;
	}
	snprintf(text, sizeof(text), "Error attaching: %s\n",
		 c ? err_text(&e) : "the container was removed");
	relay_say(&at->relay, text);
	finish(at);
}

/* ---- the stream ---- */

static void on_stream_ready(struct container_attach *a, int fd, const struct err *e)
{
	struct attachment *at = container_of(a, struct attachment, a);

	(void)e;
	if (fd < 0) {
		finish(at);
		return;
	}
	at->fd = fd;
	if (at->wants_logs && a->log_end.known)
		begin_log(at, &a->log_end);
	else if (at->wants_logs)
		begin_log(at, &(struct log_place){ .known = false }); /* tells why there is none */
	else
		go_on(at);
}

/* The next step: the stream that is there, or that is still to be asked for, or the end. */
static void go_on(struct attachment *at)
{
	struct container *c;

	if (at->fd >= 0) {
		relay_stream(&at->relay, take_fd(at->fd));
		return;
	}
	c = at->wants_stream ? target_of(at) : NULL;
	if (c)
		container_attach(c, &at->a);
	else
		finish(at);
}

/* ---- the request ---- */

static int check_state(const struct container *c, struct err *e)
{
	if (container_state(c) == CONTAINER_PAUSED)
		return err_set(e, EBUSY,
			       "container %s is paused, unpause the container before attach",
			       container_id(c));
	if (container_state(c) == CONTAINER_RESTARTING)
		return err_set(e, EBUSY,
			       "container %s is restarting, wait until the container is running",
			       container_id(c));
	return 0;
}

static int read_keys(struct http_req *r, struct key_sequence *ret, struct err *e)
{
	const char *text = http_query(r, "detachKeys");

	if (keys_parse(text, ret, NULL) < 0)
		return err_set(e, EINVAL, "Invalid detach keys (%s) provided", text);
	return 0;
}

/* What both kinds of attach have in common; NULL: the request was answered. */
static struct attachment *attachment_new(struct http_req *r, struct container **ret_container)
{
	struct key_sequence keys;
	struct container *c;
	struct attachment *at;
	struct err e = { 0 };
	int code = read_keys(r, &keys, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return NULL;
	}
	c = api_container(r);
	if (!c)
		return NULL;
	code = check_state(c, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return NULL;
	}
	at = api_new(r, sizeof(*at));
	if (!at)
		return NULL;
	*at = (struct attachment){ .en = engine_of(r),
				   .fd = -1,
				   .chunk = BUF_INIT(HTTP_STREAM_MAX) };
	at->a.ready = on_stream_ready;
	list_init(&at->a.link);
	(void)str_copy(at->id, sizeof(at->id), container_id(c));
	at->a.in = http_query_bool(r, "stdin", false);
	at->a.out = http_query_bool(r, "stdout", false);
	at->a.err = http_query_bool(r, "stderr", false);
	at->wants_logs = http_query_bool(r, "logs", false);
	at->wants_stream = http_query_bool(r, "stream", false);
	at->stopped = container_state(c) != CONTAINER_RUNNING;
	at->relay.keys.seq = keys;
	at->relay.has_keys = container_tty(c);
	at->relay.stream_frames = !container_tty(c);
	/* Docker: with a terminal, and where stdin stays open for others, who ends its input
	 * leaves */
	at->relay.ends_with_input = container_tty(c) || !container_stdin_once(c);
	at->relay.ended = on_relay_end;
	at->relay.drained = on_drained;
	*ret_container = c;
	return at;
}

/* The client is there now. */
static void attachment_begin(struct attachment *at, struct http_req *r, struct container *c)
{
	at->a.in = at->relay.input = at->a.in && container_open_stdin(c);
	relay_begin(&at->relay, r, at->en->loop);
	container_publish(c, "attach", NULL, NULL);
	if (at->wants_logs && (at->stopped || !at->wants_stream))
		begin_log(at, &(struct log_place){ .known = false });
	else
		go_on(at);
}

void attach_open(struct http_req *r)
{
	struct container *c;
	struct attachment *at = attachment_new(r, &c);

	if (!at)
		return;
	at->relay.client_frames = at->relay.stream_frames;
	http_hijack(r, !container_tty(c) && r->head->upgrade && api_at_least(r, 42)
			       ? "application/vnd.docker.multiplexed-stream"
			       : "application/vnd.docker.raw-stream");
	attachment_begin(at, r, c);
}

void attach_websocket(struct http_req *r)
{
	struct container *c;
	struct attachment *at = attachment_new(r, &c);

	if (!at)
		return;
	if (!api_at_least(r, 42)) /* then the streams could not be chosen */
		at->a.in = at->a.out = at->a.err = true;
	at->relay.websocket = true;
	at->relay.opcode = api_at_least(r, 28) ? WS_BINARY : WS_TEXT;
	if (!ws_accept(r)) {
		attachment_free(at);
		return;
	}
	attachment_begin(at, r, c);
}
