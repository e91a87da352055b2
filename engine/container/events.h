/*
 * The event bus: what `GET /events` shows. One ring of the newest events in memory, and subscribers
 * that are called for each new one.
 *
 * Publishers are container/, image loads, networks and volumes (through their callers). An event is
 * rendered once, to the JSON line that Docker sends (docker-wire.md, point 12); subscribers filter
 * on the fields. Subscribers must not block: the API copies the line into its connection's bounded
 * queue. They may subscribe and unsubscribe, but must not publish.
 */
#ifndef SKERRY_CONTAINER_EVENTS_H
#define SKERRY_CONTAINER_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "init/base/list.h"

enum {
	EVENTS_KEPT =
		256, /* shown to who asks for the past: as Docker keeps (moby daemon/events) */
	EVENTS_RING = 1024, /* kept in all: who is behind may catch up so far */
	EVENTS_BYTES = 4 << 20, /* of memory; the oldest go when it is more */
};

struct image_change; /* engine/image/image.h */
struct ref; /* engine/data/ref.h */

struct event_attr {
	const char *key, *value;
};

struct event {
	const char *type; /* "container", "image", "network", "volume", "daemon" */
	const char *action; /* "start", "exec_create: ls", ... */
	const char *id; /* Actor.ID */
	const struct event_attr *attrs;
	size_t n_attrs;
	int64_t time_ns; /* 0: now */
	const char *line; /* the JSON object without newline; filled by the bus */
	size_t line_len;
};

struct event_sub {
	void (*fn)(struct event_sub *sub, const struct event *ev);
	struct list link;
};

struct events;

struct events *events_new(void); /* NULL on ENOMEM */
void events_free(struct events *bus);

/* Renders, keeps and hands out the event. Strings need to live only during the call. */
void events_publish(struct events *bus, const struct event *ev);

/* "create" or "destroy" of a network. */
void events_publish_network(struct events *bus, const char *action, const char *id,
			    const char *name, const char *driver);

/* "create" or "destroy" of a named volume. */
void events_publish_volume(struct events *bus, const char *action, const char *name,
			   const char *driver);
/* What an operation of the image store changed; layers have no events. */
void events_publish_images(struct events *bus, const struct image_change *changes, size_t n);
/* An image was pulled by this reference. */
void events_publish_pull(struct events *bus, const struct ref *ref);

void events_subscribe(struct events *bus, struct event_sub *sub);
void events_unsubscribe(struct event_sub *sub); /* harmless when not subscribed */

/* Events are numbered from 0 in the order of publishing. Kept are those of first..next - 1. */
uint64_t events_first(const struct events *bus);
uint64_t events_next(const struct events *bus);
/* A kept event, valid until the next one is published; NULL when it is not kept (any more, yet). */
const struct event *events_at(const struct events *bus, uint64_t number);
/* The number of the first of the newest EVENTS_KEPT that is not older; events_next() when there is
 * none. */
uint64_t events_since(const struct events *bus, int64_t since_ns);
size_t events_listeners(const struct events *bus);

/* The value of an attribute, or NULL. */
const char *event_attr(const struct event *ev, const char *key);

#endif
