/*
 * The event bus (see events.h): a ring of rendered events and a list of subscribers.
 *
 * One kept event is one allocation block: the JSON line and copies of the strings that filters look
 * at. The ring drops the oldest when it is full. Time stamps never go back, so that a replay with
 * since= loses nothing.
 */
#include "engine/container/events.h"

#include <string.h>

#include "engine/data/json.h"
#include "engine/data/ref.h"
#include "engine/image/image.h"
#include "init/base/clock.h"
#include "init/base/str.h"

struct kept {
	struct event ev; /* all its pointers point into the strings below */
	struct event_attr *attrs;
	char *text; /* type, action, id, keys and values, one after the other */
	char *line;
	size_t bytes; /* of all that */
};

struct events {
	struct kept ring[EVENTS_RING];
	size_t first, n;
	uint64_t total; /* published so far */
	size_t bytes; /* of all kept */
	struct list subs;
	struct list cursor; /* marks where the walk of publish goes on */
	int64_t last_ns;
};

struct events *events_new(void)
{
	struct events *bus = calloc(1, sizeof(*bus));

	if (bus) {
		list_init(&bus->subs);
		list_init(&bus->cursor);
	}
	return bus;
}

static void kept_free(struct kept *k)
{
	free(k->attrs);
	free(k->text);
	free(k->line);
	*k = (struct kept){ 0 };
}

void events_free(struct events *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < EVENTS_RING; i++)
		kept_free(&bus->ring[i]);
	free(bus);
}

const char *event_attr(const struct event *ev, const char *key)
{
	for (size_t i = 0; i < ev->n_attrs; i++)
		if (str_eq(ev->attrs[i].key, key))
			return ev->attrs[i].value;
	return NULL;
}

/* The keys `status`, `id` and `from` are the old form that docker-py reads; images and
 * containers have them. */
static char *render(const struct event *ev)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(1 << 20);
	bool old_form = str_eq(ev->type, "container") || str_eq(ev->type, "image");
	struct json_writer w;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	if (old_form) {
		json_key(&w, "status");
		json_str(&w, ev->action);
		json_key(&w, "id");
		json_str(&w, ev->id);
		if (event_attr(ev, "image")) {
			json_key(&w, "from");
			json_str(&w, event_attr(ev, "image"));
		}
	}
	json_key(&w, "Type");
	json_str(&w, ev->type);
	json_key(&w, "Action");
	json_str(&w, ev->action);
	json_key(&w, "Actor");
	json_begin_object(&w);
	json_key(&w, "ID");
	json_str(&w, ev->id);
	json_key(&w, "Attributes");
	json_begin_object(&w);
	for (size_t i = 0; i < ev->n_attrs; i++) {
		json_key(&w, ev->attrs[i].key);
		json_str(&w, ev->attrs[i].value);
	}
	json_end_object(&w);
	json_end_object(&w);
	json_key(&w, "scope");
	json_str(&w, "local");
	json_key(&w, "time");
	json_i64(&w, ev->time_ns / 1000000000);
	json_key(&w, "timeNano");
	json_i64(&w, ev->time_ns);
	json_end_object(&w);
	return buf_failed(&text) < 0 ? NULL : buf_take(&text);
}

static const char *stash(char **at, const char *s)
{
	char *here = *at;
	size_t len = strlen(s) + 1;

	memcpy(here, s, len);
	*at += len;
	return here;
}

/* Copies the event into one block of strings. */
static int keep(struct kept *k, const struct event *ev)
{
	size_t len = strlen(ev->type) + strlen(ev->action) + strlen(ev->id) + 3;
	char *at;

	for (size_t i = 0; i < ev->n_attrs; i++)
		len += strlen(ev->attrs[i].key) + strlen(ev->attrs[i].value) + 2;
	k->text = malloc(len);
	k->attrs = calloc(ev->n_attrs + 1, sizeof(*k->attrs));
	k->line = render(ev);
	if (!k->text || !k->attrs || !k->line) {
		kept_free(k);
		return -ENOMEM;
	}
	at = k->text;
	k->ev = *ev;
	k->ev.type = stash(&at, ev->type);
	k->ev.action = stash(&at, ev->action);
	k->ev.id = stash(&at, ev->id);
	for (size_t i = 0; i < ev->n_attrs; i++) {
		k->attrs[i].key = stash(&at, ev->attrs[i].key);
		k->attrs[i].value = stash(&at, ev->attrs[i].value);
	}
	k->ev.attrs = k->attrs;
	k->ev.line = k->line;
	k->ev.line_len = strlen(k->line);
	k->bytes = len + k->ev.line_len + ev->n_attrs * sizeof(*k->attrs);
	return 0;
}

static void drop_oldest(struct events *bus)
{
	bus->bytes -= bus->ring[bus->first].bytes;
	kept_free(&bus->ring[bus->first]);
	bus->first = (bus->first + 1) % EVENTS_RING;
	bus->n--;
}

void events_publish(struct events *bus, const struct event *ev)
{
	struct event stamped = *ev;
	struct kept fresh = { 0 };
	struct event_sub *sub;

	if (stamped.time_ns == 0)
		stamped.time_ns = clock_real_ns();
	if (stamped.time_ns <= bus->last_ns)
		stamped.time_ns = bus->last_ns + 1;
	bus->last_ns = stamped.time_ns;
	if (keep(&fresh, &stamped) < 0)
		return;
	while (bus->n == EVENTS_RING || (bus->n > 0 && bus->bytes + fresh.bytes > EVENTS_BYTES))
		drop_oldest(bus);
	bus->bytes += fresh.bytes;
	bus->ring[(bus->first + bus->n) % EVENTS_RING] = fresh;
	stamped = fresh.ev;
	bus->n++;
	bus->total++;

	/* Subscribers may come and go while one is called: the cursor stands behind the one
	 * being called. */
	for (struct list *at = bus->subs.next; at != &bus->subs; at = bus->cursor.next) {
		sub = list_entry(at, struct event_sub, link);
		list_remove(&bus->cursor);
		list_insert(at, &bus->cursor);
		sub->fn(sub, &stamped);
	}
	list_remove(&bus->cursor);
}

void events_publish_network(struct events *bus, const char *action, const char *id,
			    const char *name, const char *driver)
{
	const struct event_attr attrs[] = { { "name", name }, { "type", driver } };
	const struct event ev = { .type = "network",
				  .action = action,
				  .id = id,
				  .attrs = attrs,
				  .n_attrs = ARRAY_SIZE(attrs) };

	events_publish(bus, &ev);
}

void events_publish_volume(struct events *bus, const char *action, const char *name,
			   const char *driver)
{
	const struct event_attr attr = { "driver", driver ? driver : "local" };
	const struct event ev = {
		.type = "volume", .action = action, .id = name, .attrs = &attr, .n_attrs = 1
	};

	events_publish(bus, &ev);
}

void events_publish_images(struct events *bus, const struct image_change *changes, size_t n)
{
	static const char *const actions[] = {
		[IMAGE_LOADED] = "load",      [IMAGE_TAGGED] = "tag",
		[IMAGE_UNTAGGED] = "untag",   [IMAGE_DELETED] = "delete",
		[IMAGE_LAYER_DELETED] = NULL, [IMAGE_MADE] = NULL,
	};

	for (size_t i = 0; i < n; i++) {
		struct event_attr name = { "name",
					   changes[i].name ? changes[i].name : changes[i].id };
		struct event ev = {
			.type = "image",
			.action = actions[changes[i].type],
			.id = changes[i].id,
			.attrs = &name,
			.n_attrs = 1,
		};

		if (ev.action)
			events_publish(bus, &ev);
	}
}

void events_publish_pull(struct events *bus, const struct ref *ref)
{
	char name[REF_TEXT_MAX], bare[REF_TEXT_MAX];
	const struct event_attr attr = { "name", bare };
	const struct event ev = {
		.type = "image", .action = "pull", .id = name, .attrs = &attr, .n_attrs = 1
	};

	ref_format_familiar(ref, name);
	ref_format_name(ref, bare);
	events_publish(bus, &ev);
}

void events_subscribe(struct events *bus, struct event_sub *sub)
{
	list_append(&bus->subs, &sub->link);
}

void events_unsubscribe(struct event_sub *sub)
{
	list_remove(&sub->link);
}

uint64_t events_first(const struct events *bus)
{
	return bus->total - bus->n;
}

uint64_t events_next(const struct events *bus)
{
	return bus->total;
}

const struct event *events_at(const struct events *bus, uint64_t number)
{
	if (number < events_first(bus) || number >= bus->total)
		return NULL;
	return &bus->ring[(bus->first + (number - events_first(bus))) % EVENTS_RING].ev;
}

uint64_t events_since(const struct events *bus, int64_t since_ns)
{
	uint64_t number = bus->total - MIN(bus->n, (size_t)EVENTS_KEPT);

	while (number < bus->total && events_at(bus, number)->time_ns < since_ns)
		number++;
	return number;
}

size_t events_listeners(const struct events *bus)
{
	size_t n = 0;

	for (const struct list *at = bus->subs.next; at != &bus->subs; at = at->next)
		n++;
	return n;
}
