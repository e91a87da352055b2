/*
 * The networks of a container: which it is to be in (settled at create, changed by connect and
 * disconnect), and the words of a request about them for net/.
 *
 * The list stands in container.json under the networks' names, first the one of the network mode,
 * and is what the next start joins. While the container runs, a change is made first and then
 * recorded; when it cannot be recorded it is undone. Callers: create.c, start.c, api/.
 */
#include "engine/container/shared.h"

#include "init/base/log.h"
#include "init/base/str.h"

static struct endpoint_config *asked_of(const struct create_config *a, const char *network)
{
	struct endpoint_config *ep = a->networking.endpoints.items;

	for (size_t i = 0; i < a->networking.endpoints.n; i++)
		if (str_eq(ep[i].network, network))
			return &ep[i];
	return NULL;
}

static void take_out(struct create_config *a, struct endpoint_config *ep)
{
	struct bind_list *list = &a->networking.endpoints;
	struct endpoint_config *all = list->items;
	size_t i = (size_t)(ep - all);

	bind_free(&endpoint_config_table, ep);
	list->n--;
	memmove(ep, ep + 1, (list->n - i) * sizeof(*ep));
}

static void move_to_front(struct create_config *a, struct endpoint_config *ep)
{
	struct endpoint_config *all = a->networking.endpoints.items, first = *ep;

	memmove(all + 1, all, (size_t)(ep - all) * sizeof(*ep));
	*all = first;
}

static const char *own_name(const char *mode)
{
	return str_empty(mode) || str_eq(mode, "default") ? "bridge" : mode;
}

/* Ids and their beginnings become names. */
static int settle_keys(struct container *c, struct err *e)
{
	struct bind_list *list = &c->asked.networking.endpoints;
	struct endpoint_config *ep = list->items;

	for (size_t i = 0; i < list->n; i++) {
		const struct network *net;
		int r = nets_find(c->cs->cfg.nets, own_name(ep[i].network), &net, e);

		if (r < 0)
			return r;
		if (str_set(&ep[i].network, net->name) < 0)
			return err_errno(e, ENOMEM, "networks");
		for (size_t k = 0; k < i; k++)
			if (str_eq(ep[k].network, net->name))
				return err_set(e, EINVAL, "network %.80s is named more than once",
					       net->name);
	}
	return 0;
}

int networks_settle(struct container *c, struct err *e)
{
	struct create_config *a = &c->asked;
	const struct network *net;
	struct endpoint_config *ep;
	int r;

	if (mode_is_container(a->host.network_mode))
		return 0;
	r = settle_keys(c, e);
	if (r == 0)
		r = nets_find(c->cs->cfg.nets, own_name(a->host.network_mode), &net, e);
	if (r < 0)
		return r;
	ep = asked_of(a, net->name);
	if (!ep) {
		ep = bind_list_add(&endpoint_config_table, &a->networking.endpoints);
		if (!ep || str_set(&ep->network, net->name) < 0)
			return err_errno(e, ENOMEM, "networks");
	}
	move_to_front(a, ep);
	return 0;
}

static struct net_join join_of(const struct endpoint_config *ep)
{
	return (struct net_join){ .network = own_name(ep->network),
				  .ipv4 = ep->ipam.ipv4,
				  .ipv6 = ep->ipam.ipv6,
				  .mac = ep->mac_address,
				  .aliases = ep->aliases,
				  .priority = ep->gateway_priority };
}

int joins_wanted(const struct create_config *a, struct net_join ret[NET_ENDPOINTS_MAX],
		 size_t *ret_n, struct err *e)
{
	const struct endpoint_config *ep = a->networking.endpoints.items;

	if (a->networking.endpoints.n > NET_ENDPOINTS_MAX)
		return err_set(e, EINVAL, "more than %d networks", NET_ENDPOINTS_MAX);
	for (size_t i = 0; i < a->networking.endpoints.n; i++)
		ret[i] = join_of(&ep[i]);
	*ret_n = a->networking.endpoints.n;
	return 0;
}

int mac_settle(struct create_config *a, struct err *e)
{
	struct endpoint_config *ep = a->networking.endpoints.items;

	if (str_empty(a->config.mac_address) || mode_is_container(a->host.network_mode) ||
	    str_eq(a->host.network_mode, "host") || str_eq(a->host.network_mode, "none") ||
	    a->networking.endpoints.n == 0)
		return 0;
	if (!str_empty(ep->mac_address) && !str_eq(ep->mac_address, a->config.mac_address))
		return err_set(e, EINVAL,
			       "the container-wide MAC address must match the endpoint-specific "
			       "MAC address for the main network, or be left empty");
	return str_set(&ep->mac_address, a->config.mac_address) < 0
		       ? err_errno(e, ENOMEM, "MacAddress")
		       : 0;
}

/* ---- live ---- */

static int check_state(const struct container *c, struct err *e)
{
	if (c->state != CONTAINER_REMOVING && c->state != CONTAINER_DEAD)
		return 0;
	return err_set(e, EBUSY,
		       "Container %s is marked for removal and cannot be connected or disconnected "
		       "to the network",
		       c->id);
}

static void swap(struct endpoint_config *a, struct endpoint_config *b)
{
	struct endpoint_config kept = *a;

	*a = *b;
	*b = kept;
}

/* Puts the wish into the list, durably; *wish gets what it replaces. */
static int record_wish(struct container *c, struct endpoint_config *wish, struct err *e)
{
	struct bind_list *list = &c->asked.networking.endpoints;
	struct endpoint_config *at = asked_of(&c->asked, wish->network);
	bool added = !at;
	int r;

	if (added)
		at = bind_list_add(&endpoint_config_table, list);
	if (!at)
		return err_errno(e, ENOMEM, "networks");
	swap(at, wish);
	r = record_write_config(c, e);
	if (r < 0)
		swap(at, wish);
	if (r < 0 && added)
		list->n--; /* it owns nothing */
	return r;
}

int container_connect(struct container *c, const char *network, yyjson_val *config, struct err *e)
{
	struct nets *nets = c->cs->cfg.nets;
	const struct network *net;
	struct endpoint_config wish;
	struct net_join join;
	int r = check_state(c, e);

	if (r == 0)
		r = nets_find(nets, network, &net, e);
	if (r < 0)
		return r;
	bind_init(&endpoint_config_table, &wish);
	if (config)
		r = bind_read(&endpoint_config_table, config, &wish, "EndpointConfig", e);
	if (r == 0 && str_set(&wish.network, net->name) < 0)
		r = err_errno(e, ENOMEM, "networks");
	join = join_of(&wish);
	if (r == 0)
		r = net_check_join(nets, c->asked.host.network_mode, &join, e);
	if (r == 0 && !c->sandbox && !asked_of(&c->asked, net->name) &&
	    c->asked.networking.endpoints.n >= NET_ENDPOINTS_MAX)
		r = err_set(e, EINVAL, "more than %d networks", NET_ENDPOINTS_MAX);
	if (r == 0 && c->sandbox)
		r = net_connect(nets, c->id, &join, e);
	if (r == 0) {
		r = record_wish(c, &wish, e);
		if (r < 0 && c->sandbox)
			(void)net_disconnect(nets, c->id, net, NULL);
	}
	bind_free(&endpoint_config_table, &wish);
	if (r == 0 && c->sandbox)
		announce_network(c, net, "connect");
	return r;
}

int container_disconnect(struct container *c, const char *network, bool force, struct err *e)
{
	struct nets *nets = c->cs->cfg.nets;
	const struct network *net = NULL;
	struct endpoint_config *ep;
	int r = check_state(c, e);

	if (r == 0)
		r = nets_find(nets, network, &net, e);
	if (r < 0 && !(force && r == -ENOENT))
		return r;
	if (net && net->driver == NET_HOST)
		return err_set(e, EINVAL,
			       "container cannot be disconnected from host network or connected "
			       "to host network");
	ep = asked_of(&c->asked, net ? net->name : network);
	if (net && c->sandbox) {
		r = net_disconnect(nets, c->id, net, e);
		if (r < 0 && !(force && ep))
			return r;
		if (r == 0)
			announce_network(c, net, "disconnect");
	} else if (!ep) {
		return err_set(e, EPERM, "container %s is not connected to the network %s", c->id,
			       net ? net->name : network);
	}
	if (!ep)
		return 0;
	take_out(&c->asked, ep);
	return record_write_config(c, e);
}

bool containers_in_network(struct containers *cs, const char *network)
{
	struct container *c;
	size_t pos = 0;

	while ((c = containers_next(cs, &pos)))
		if (asked_of(&c->asked, network) || container_has_network(c, network))
			return true;
	return false;
}
