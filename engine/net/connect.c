/*
 * Networks of a sandbox that is there: one more, one less, another name.
 *
 * As everywhere the record comes first: an endpoint stands in it before its link is made, and goes
 * from it after its link has. What fails on the way is undone. Callers: container/.
 */
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "init/base/log.h"
#include "init/base/str.h"

static struct endpoint *endpoint_in(const struct sandbox *s, const struct network *net)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (s->endpoints[i].network == net)
			return &s->endpoints[i];
	return NULL;
}

static void endpoint_remove(struct sandbox *s, struct endpoint *ep)
{
	size_t i = (size_t)(ep - s->endpoints);

	endpoint_clear(ep);
	s->n_endpoints--;
	memmove(ep, ep + 1, (s->n_endpoints - i) * sizeof(*ep));
}

/* The sandbox of `id` with a namespace of its own. */
static int own_sandbox(const struct nets *n, const char *id, struct sandbox **ret, struct err *e)
{
	struct sandbox *s = map_get(&n->sandboxes, id);

	if (!s)
		return err_set(e, ESRCH, "container %.80s is not running", id);
	if (s->mode != NET_MODE_OWN)
		return err_set(e, EINVAL,
			       "container sharing network namespace with another container or "
			       "host cannot be connected to any other network");
	*ret = s;
	return 0;
}

/* After the endpoints changed: the way out, published ports, files, names. */
static int settle(struct nets *n, struct sandbox *s, int inside, struct err *e)
{
	int rc = routes_make(s, inside, e);

	if (rc == 0 && s->n_ports > 0)
		rc = nets_apply(n, e);
	if (rc == 0)
		files_resolv_again(n, s);
	if (rc == 0)
		rc = sandbox_save(n, s, e);
	if (rc < 0)
		return rc;
	resolver_tell(n);
	proxy_serve(n, s);
	forget_connections(n, s);
	return 0;
}

static int connect_make(struct nets *n, struct sandbox *s, struct endpoint *ep, struct err *e)
{
	_cleanup_(fd_close) int ns = -1, inside = -1;
	int rc = sandbox_save(n, s, e);

	if (rc == 0)
		rc = netns_open(s->key, &ns, &inside, e);
	if (rc == 0 && endpoint_has_link(ep))
		rc = endpoint_make(n, ep, ns, inside, e);
	if (rc == 0)
		rc = files_host_add(s, ep, e);
	return rc < 0 ? rc : settle(n, s, inside, e);
}

/* Takes it out again, whatever of it is there. */
static int disconnect_make(struct nets *n, struct sandbox *s, struct endpoint *ep, struct err *e)
{
	_cleanup_(fd_close) int ns = -1, inside = -1;
	int rc = 0;

	if (ep->host_ifname[0])
		rc = link_delete(n->route_fd, ep->host_ifname, e);
	else if (endpoint_has_link(ep))
		rc = vlan_unlink(s, ep, e);
	if (rc < 0)
		return rc;
	if (files_host_remove(s, ep, e) < 0)
		log_warn("container %.12s: %s", s->id, err_text(e));
	endpoint_release(ep);
	endpoint_remove(s, ep);
	rc = netns_open(s->key, &ns, &inside, e);
	return rc < 0 ? rc : settle(n, s, inside, e);
}

int net_connect(struct nets *n, const char *id, const struct net_join *j, struct err *e)
{
	const struct network *net;
	struct endpoint *grown;
	struct sandbox *s;
	int rc = own_sandbox(n, id, &s, e);
	bool had_dns;

	if (rc == 0)
		rc = nets_find(n, j->network, &net, e);
	if (rc == 0)
		rc = join_check(n, net, j, e);
	if (rc == 0 && !n->up)
		rc = nets_bring_up(n, e);
	if (rc < 0)
		return rc;
	if (endpoint_in(s, net))
		return err_set(e, EPERM, "endpoint with name %s already exists in network %s",
			       s->name, net->name);
	grown = reallocarray(s->endpoints, s->n_endpoints + 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ENOMEM, "out of memory");
	s->endpoints = grown;
	had_dns = s->embedded_dns;
	rc = endpoint_plan(n, s, net, j, e);
	if (rc == 0 && s->embedded_dns && !had_dns)
		rc = resolver_serve(n, s, e);
	if (rc == 0)
		rc = connect_make(n, s, endpoint_in(s, net), e);
	if (rc < 0 && endpoint_in(s, net))
		(void)disconnect_make(n, s, endpoint_in(s, net), NULL);
	return rc;
}

int net_disconnect(struct nets *n, const char *id, const struct network *net, struct err *e)
{
	struct endpoint *ep;
	struct sandbox *s;
	int rc = own_sandbox(n, id, &s, e);

	if (rc < 0)
		return rc;
	ep = endpoint_in(s, net);
	if (!ep)
		return err_set(e, EPERM, "container %s is not connected to network %s", id,
			       net->name);
	return disconnect_make(n, s, ep, e);
}

int net_rename(struct nets *n, const char *id, const char *name, struct err *e)
{
	struct sandbox *s = map_get(&n->sandboxes, id);
	_cleanup_(mem_free) char *old = NULL;
	int rc;

	if (!s)
		return 0;
	old = s->name;
	s->name = str_dup(name);
	rc = s->name ? sandbox_save(n, s, e) : err_set(e, ENOMEM, "out of memory");
	if (rc < 0) {
		free(s->name);
		s->name = take_ptr(old);
	}
	resolver_tell(n);
	return rc;
}
