/*
 * Events of what a container takes at its start and gives back at its end: networks (connect,
 * disconnect) and named volumes (mount, unmount), in Docker's order and with its attributes. Also
 * of the volumes that are made and removed on a container's behalf.
 *
 * A network's actor is the network, a volume's the volume; the container is an attribute. Called
 * once for each way: when the network is there, and by container_release.
 */
#include "engine/container/object.h"
#include "init/base/log.h"
#include "init/base/str.h"

void announce_network(const struct container *c, const struct network *n, const char *action)
{
	const struct event_attr attrs[] = { { "container", c->id },
					    { "name", n->name },
					    { "type", net_driver_name(n->driver) } };
	const struct event ev = { .type = "network",
				  .action = action,
				  .id = n->id,
				  .attrs = attrs,
				  .n_attrs = ARRAY_SIZE(attrs) };

	events_publish(c->cs->cfg.events, &ev);
}

static void announce_networks(struct container *c, const char *action)
{
	for (size_t i = 0; i < c->sandbox->n_endpoints; i++)
		announce_network(c, c->sandbox->endpoints[i].network, action);
}

static void announce_volumes(struct container *c, bool mounted)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);
		const struct event_attr attrs[] = {
			{ "container", c->id },
			{ "driver", m->driver ? m->driver : "local" },
			{ "destination", m->destination },
			{ "propagation", m->propagation ? m->propagation : "" },
			{ "read/write", m->rw ? "true" : "false" },
		};
		const struct event ev = { .type = "volume",
					  .action = mounted ? "mount" : "unmount",
					  .id = m->name,
					  .attrs = attrs,
					  .n_attrs = mounted ? ARRAY_SIZE(attrs) : 2 };

		if (str_eq(m->type, "volume") && m->name)
			events_publish(c->cs->cfg.events, &ev);
	}
}

void announce_taken(struct container *c)
{
	announce_networks(c, "connect");
	announce_volumes(c, true);
}

void announce_given_back(struct container *c)
{
	if (!c->sandbox)
		return; /* the start did not get so far */
	announce_networks(c, "disconnect");
	announce_volumes(c, false);
}

int volume_make(struct containers *cs, const struct volume_want *want, const struct volume **ret,
		struct err *e)
{
	size_t before = volumes_count(cs->cfg.volumes);
	int r = volume_create(cs->cfg.volumes, want, ret, e);

	if (r == 0 && volumes_count(cs->cfg.volumes) > before)
		events_publish_volume(cs->cfg.events, "create", (*ret)->name, (*ret)->driver);
	return r;
}

/* A plugin removes it: nobody waits for that. */
struct unmaking {
	struct volume_op op;
	struct events *events;
	char *name, *driver;
};

static void unmaking_free(struct unmaking *u)
{
	if (!u)
		return;
	free(u->name);
	free(u->driver);
	free(u);
}
DEFINE_CLEANUP(struct unmaking *, unmaking_free)

static void unmade(struct volume_op *op, int r, const struct err *e)
{
	struct unmaking *u = container_of(op, struct unmaking, op);

	if (r < 0)
		log_warn("volume %.12s is not removed: %s", u->name, err_text(e));
	else
		events_publish_volume(u->events, "destroy", u->name, u->driver);
	unmaking_free(u);
}

static int unmake_later(struct containers *cs, const struct volume *v, struct err *e)
{
	_cleanup_(unmaking_free) struct unmaking *u = calloc(1, sizeof(*u));
	int r;

	if (u) {
		u->op.done = unmade;
		u->events = cs->cfg.events;
		u->name = str_dup(v->name);
		u->driver = str_dup(v->driver);
	}
	if (!u || !u->name || !u->driver)
		return err_set(e, ENOMEM, "out of memory");
	r = volume_op_drop(cs->cfg.volumes, v->name, false, &u->op, e);
	if (r == 0)
		(void)take_ptr(u);
	return r;
}

int volume_unmake(struct containers *cs, const char *name, struct err *e)
{
	const struct volume *v;
	int r = volume_get(cs->cfg.volumes, name, &v, e);

	if (r < 0)
		return r;
	if (!volume_is_local(v))
		return unmake_later(cs, v, e);
	r = volume_remove(cs->cfg.volumes, name, 0, NULL, e);
	if (r == 0)
		events_publish_volume(cs->cfg.events, "destroy", name, VOLUME_LOCAL);
	return r;
}
