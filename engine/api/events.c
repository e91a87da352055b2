/*
 * Events: what is kept, then each new one, as JSON lines, without a gap in between.
 *
 * A watcher walks the ring of the bus by numbers and sends while its client has room. The bus never
 * waits: a client that does not read is cut off once the ring has moved on past its place.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "init/base/clock.h"
#include "init/base/str.h"
#include "engine/api/filters.h"

struct watcher {
	struct event_sub sub;
	struct filters *filters;
	struct http_req *req;
	struct timer_event until;
	struct defer_event over; /* ends outside of the bus's walk */
	uint64_t next, end; /* numbers: of the next event to look at; of the first not wanted */
	int64_t until_ns; /* 0: for ever */
	bool cut;
};

static void watcher_free(struct watcher *wt)
{
	events_unsubscribe(&wt->sub);
	timer_clear(&wt->until);
	defer_remove(&wt->over);
	filters_free(wt->filters);
	free(wt);
}

static void on_over(struct defer_event *ev)
{
	struct watcher *wt = container_of(ev, struct watcher, over);
	struct http_req *r = wt->req;
	bool cut = wt->cut;

	watcher_free(wt);
	if (cut)
		http_stream_abort(r);
	else
		http_stream_end(r);
}

static void finish(struct watcher *wt, bool cut)
{
	wt->cut |= cut;
	defer_add(engine_of(wt->req)->loop, &wt->over);
}

static void on_gone(struct http_req *r)
{
	watcher_free(r->data);
}

static const char *attr_of(const void *object, const char *label)
{
	return event_attr(object, label);
}

/* {"container":["web"]}: the actor of that type, by id or name or their beginnings */
static bool actor_matches(const struct filters *f, const struct event *ev, const char *type)
{
	const char *name = event_attr(ev, "name");

	if (!filters_has(f, type))
		return true;
	return strcmp(ev->type, type) == 0 &&
	       (filters_prefix(f, type, ev->id) || (name && filters_prefix(f, type, name)));
}

/* of an image event its id or name; of a container's event the image it was made from */
static bool image_matches(const struct filters *f, const struct event *ev)
{
	const char *name = event_attr(ev, strcmp(ev->type, "image") == 0 ? "name" : "image");
	char bare[300];

	if (!filters_has(f, "image"))
		return true;
	if (strcmp(ev->type, "image") == 0 && filters_exact(f, "image", ev->id))
		return true;
	if (!name)
		return false;
	snprintf(bare, sizeof(bare), "%s", name);
	if (strrchr(bare, ':') && !strchr(strrchr(bare, ':'), '/'))
		*strrchr(bare, ':') = '\0';
	return filters_exact(f, "image", name) || filters_exact(f, "image", bare);
}

/* "exec_create: ls" is also found as "exec_create" */
static bool action_matches(const struct filters *f, const struct event *ev)
{
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)MIN(strcspn(ev->action, ":"), sizeof(word) - 1),
		 ev->action);
	return filters_exact(f, "event", ev->action) || filters_exact(f, "event", word);
}

static bool watched(const struct watcher *wt, const struct event *ev)
{
	static const char *const actors[] = { "container", "network", "volume",	 "daemon", "plugin",
					      "config",	   "secret",  "service", "node" };

	for (size_t i = 0; i < ARRAY_SIZE(actors); i++)
		if (!actor_matches(wt->filters, ev, actors[i]))
			return false;
	return filters_exact(wt->filters, "type", ev->type) &&
	       filters_exact(wt->filters, "scope", "local") && action_matches(wt->filters, ev) &&
	       image_matches(wt->filters, ev) && filters_labels(wt->filters, "label", attr_of, ev);
}

static void send_event(struct watcher *wt, const struct event *ev)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(HTTP_STREAM_MAX);

	buf_add(&line, ev->line, ev->line_len);
	buf_add_char(&line, '\n');
	if (buf_failed(&line) < 0 || http_stream_write(wt->req, line.data, line.len) < 0)
		finish(wt, true);
}

/* Sends what the client has room for. It reads from the bus's ring, so that a client which does not
 * read costs no more than its stream's queue; once it has missed something it is cut off. */
static void pump(struct watcher *wt)
{
	struct events *bus = engine_of(wt->req)->events;

	while (!wt->over.armed && wt->next < MIN(events_next(bus), wt->end)) {
		const struct event *ev = events_at(bus, wt->next);

		if (!ev) {
			finish(wt, true);
			return;
		}
		if (wt->until_ns > 0 && ev->time_ns >= wt->until_ns) {
			wt->end = wt->next;
			break;
		}
		if (watched(wt, ev)) {
			if (http_stream_room(wt->req) == 0)
				return; /* on_drained follows */
			send_event(wt, ev);
		}
		wt->next++;
	}
	if (wt->next >= wt->end)
		finish(wt, false);
}

static void on_event(struct event_sub *sub, const struct event *ev)
{
	(void)ev;
	pump(container_of(sub, struct watcher, sub));
}

static void on_drained(struct http_req *r)
{
	pump(r->data);
}

/* At `until` what was published by then is the end. The loop's clock is not the one that `until` is
 * told in, so it is looked at again when the wait is over. */
static void heed_until(struct watcher *wt)
{
	struct engine *en = engine_of(wt->req);
	int64_t left = wt->until_ns - clock_real_ns();

	if (wt->until_ns == 0)
		return;
	if (left > 0)
		timer_set(en->loop, &wt->until, left / 1000000 + 1);
	else
		wt->end = MIN(wt->end, events_next(en->events));
}

static void on_until(struct timer_event *ev)
{
	struct watcher *wt = container_of(ev, struct watcher, until);

	heed_until(wt);
	pump(wt);
}

/* What is kept from `since` on, then live until the end of time or `until`. */
static void start(struct watcher *wt, int64_t since_ns)
{
	struct engine *en = engine_of(wt->req);

	http_stream_begin(wt->req, 200, "application/json");
	wt->end = UINT64_MAX;
	wt->next = since_ns > 0 || wt->until_ns > 0 ? events_since(en->events, since_ns)
						    : events_next(en->events);
	heed_until(wt);
	events_subscribe(en->events, &wt->sub);
	pump(wt);
}

void events_watch(struct http_req *r)
{
	static const char *const allowed[] = { "config", "container", "daemon", "event",  "image",
					       "label",	 "network",   "node",	"plugin", "scope",
					       "secret", "service",   "type",	"volume", NULL };
	int64_t since_ns = 0;
	struct watcher *wt = api_new(r, sizeof(*wt));
	struct err e = { 0 };
	int code;

	if (!wt)
		return;
	wt->req = r;
	wt->sub.fn = on_event;
	wt->until.fn = on_until;
	wt->over.fn = on_over;
	list_init(&wt->sub.link);
	code = api_time("since", http_query(r, "since"), &since_ns, &e);
	if (code == 0)
		code = api_time("until", http_query(r, "until"), &wt->until_ns, &e);
	if (code == 0 && wt->until_ns > 0 && wt->until_ns < since_ns)
		code = err_set(&e, EINVAL,
			       "`since` time (%.40s) cannot be after `until` time (%.40s)",
			       http_query(r, "since"), http_query(r, "until"));
	if (code == 0)
		code = filters_parse(http_query(r, "filters"), allowed, &wt->filters, &e);
	if (code < 0) {
		watcher_free(wt);
		api_fail(r, code, &e);
		return;
	}
	r->data = wt;
	r->on_gone = on_gone;
	r->on_drained = on_drained;
	start(wt, since_ns);
}
