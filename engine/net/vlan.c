/*
 * macvlan and ipvlan: links of containers that share one of the machine's.
 *
 * The parent is a link of the machine, a VLAN of one (eth0.10: made by us when it is not there), or
 * without one a dummy link that leads nowhere. What we made stands in the network's record and goes
 * with the last network that uses it. A container's link is made inside its namespace by one
 * message (and gets its name there), so there is no other end to watch: it is removed inside before
 * the namespace is let go, because a parent in passthru mode takes no second link, and a neighbour
 * no second owner of an address. Callers: create.c, bridges.c, endpoint.c, attach.c, connect.c,
 * restore.c.
 */
#include <linux/if_link.h>
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { VLAN_ID_MAX = 4094 };

bool vlan_routes(const struct network *p)
{
	return p->driver == NET_IPVLAN && p->link_mode != IPVLAN_MODE_L2;
}

static bool is_dummy(const struct network *p)
{
	const char *parent = strv_env_get(p->options, "parent");

	return p->internal || str_empty(parent);
}

static const struct net *other_user(const struct nets *n, const struct network *p)
{
	for (size_t i = 0; i < n->n_nets; i++)
		if (&n->nets[i]->pub != p && !str_empty(p->parent) &&
		    str_eq(n->nets[i]->pub.parent, p->parent))
			return n->nets[i];
	return NULL;
}

int parent_free(const struct nets *n, const struct network *p, struct err *e)
{
	const struct net *other = other_user(n, p);

	if (!other)
		return 0;
	if (p->driver == NET_MACVLAN && other->pub.driver == NET_MACVLAN) {
		if (p->link_mode == MACVLAN_MODE_PASSTHRU)
			return err_set(e, EPERM,
				       "cannot use mode passthru, macvlan network %s is already "
				       "using parent interface %s",
				       other->pub.name, p->parent);
		if (other->pub.link_mode != MACVLAN_MODE_PASSTHRU)
			return 0;
		return err_set(e, EPERM,
			       "macvlan network %s is already using parent interface %s in mode "
			       "passthru",
			       other->pub.name, p->parent);
	}
	return err_set(e, EPERM, "network %s is already using parent interface %s", other->pub.name,
		       p->parent);
}

/* "eth0.10" into the link and the number. -EINVAL. */
static int split_vlan(const char *name, char base[IFNAMSIZ], uint16_t *ret_id, struct err *e)
{
	const char *dot = strrchr(name, '.');
	uint64_t id;

	if (!dot || dot == name)
		return err_set(e, EINVAL,
			       "the requested parent interface %s was not found on this machine",
			       name);
	if (str_to_u64(dot + 1, &id) < 0 || id < 1 || id > VLAN_ID_MAX)
		return err_set(e, EINVAL,
			       "invalid subinterface vlan name %s: behind the dot should be a "
			       "number from 1 to %d, like eth0.10",
			       name, VLAN_ID_MAX);
	(void)str_format(base, IFNAMSIZ, "%.*s", (int)(dot - name), name);
	*ret_id = (uint16_t)id;
	return 0;
}

int parent_plan(struct nets *n, struct net *net, struct err *e)
{
	struct network *p = &net->pub;
	const struct net *other = other_user(n, p);
	char base[IFNAMSIZ];
	struct link l;
	uint16_t id;
	int rc = 0;

	if (is_dummy(p)) {
		p->parent_made = true;
		return 0;
	}
	if (link_get(n->route_fd, p->parent, &l, NULL) == 0 || (other && other->pub.parent_made))
		return 0;
	rc = split_vlan(p->parent, base, &id, e);
	if (rc == 0 && link_get(n->route_fd, base, &l, NULL) < 0)
		rc = err_set(e, EINVAL,
			     "the requested parent interface %s was not found on this machine: "
			     "there is no %s",
			     p->parent, base);
	p->parent_made = rc == 0;
	return rc;
}

static int make_parent(struct nets *n, const struct network *p, struct err *e)
{
	char base[IFNAMSIZ];
	struct link l;
	uint16_t id;
	int rc;

	if (is_dummy(p))
		return link_dummy(n->route_fd, p->parent, e);
	rc = split_vlan(p->parent, base, &id, e);
	if (rc == 0)
		rc = link_get(n->route_fd, base, &l, e);
	return rc < 0 ? rc : link_vlan(n->route_fd, p->parent, l.index, id, e);
}

int parent_up(struct nets *n, struct net *net, struct err *e)
{
	struct network *p = &net->pub;
	struct link l;
	int rc;

	if (link_get(n->route_fd, p->parent, &l, NULL) == 0)
		return 0;
	rc = make_parent(n, p, e);
	if (rc == 0)
		rc = link_get(n->route_fd, p->parent, &l, e);
	if (rc == 0) { /* the machine itself does not speak there */
		rc = net_sysctl(n, "1", e, "net/ipv6/conf/%s/disable_ipv6", p->parent);
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0)
		rc = link_up(n->route_fd, l.index, e);
	if (rc < 0)
		(void)err_wrap(e, "network %s", p->name);
	if (rc < 0 || p->parent_made)
		return rc;
	p->parent_made = true; /* it was somebody else's who is gone */
	return network_save(n, p, e);
}

int parent_down(struct nets *n, struct net *net, struct err *e)
{
	struct net *other = (struct net *)other_user(n, &net->pub);

	if (!net->pub.parent_made)
		return 0;
	if (!other)
		return link_delete(n->route_fd, net->pub.parent, e);
	other->pub.parent_made = true;
	return network_save(n, &other->pub, e);
}

/* The kernel wants a name that is free on this side too. */
static void first_name(const struct endpoint *ep, char name[IFNAMSIZ])
{
	(void)str_format(name, IFNAMSIZ, "over%.11s", ep->id);
}

int vlan_link(struct nets *n, struct endpoint *ep, int ns, int inside, struct err *e)
{
	const struct network *p = ep->network;
	char name[IFNAMSIZ];
	struct link_over o = {
		.kind = net_driver_name(p->driver),
		.netns_fd = ns,
		.name = name,
		.mac = ep->has_mac ? ep->mac : NULL,
		.mtu = p->mtu,
		.mode = p->link_mode,
		.flags = p->link_flags,
	};
	struct link l = { 0 };
	int rc;

	first_name(ep, name);
	rc = parent_up(n, net_of(p), e);

	if (rc == 0)
		rc = link_get(n->route_fd, p->parent, &l, e);
	o.parent = l.index;
	if (rc == 0)
		rc = link_over(n->route_fd, &o, e);
	if (rc == 0)
		rc = link_get(inside, name, &l, e);
	if (rc < 0)
		return rc;
	ep->index = l.index;
	return link_rename(inside, l.index, ep->ifname, e);
}

int vlan_unlink(const struct sandbox *s, const struct endpoint *ep, struct err *e)
{
	_cleanup_(fd_close) int ns = -1, inside = -1;
	char name[IFNAMSIZ];
	int rc;

	if (netns_open(s->key, &ns, &inside, NULL) < 0)
		return 0;
	if (ep->index)
		return link_delete_index(inside, ep->index, e);
	first_name(ep, name);
	rc = link_delete(inside, name, e);
	return rc < 0 ? rc : link_delete(inside, ep->ifname, e);
}
