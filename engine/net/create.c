/*
 * Networks that people make and remove: what they may ask for, the subnets they get, and bringing
 * one up or taking it down while the engine runs.
 *
 * Making: settle everything, then the durable record, then the link and the rules; what fails takes
 * the record away again. So after a crash a network exists whole, or not at all. Removing goes the
 * other way round. Texts are Docker's where it has one. Callers: api/, manifest/.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "engine/data/ids.h"
#include "engine/data/names.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/state/state.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum {
	NETWORK_NAME_MAX = 255,
	MTU_DEFAULT = 1500,
	AUX_MAX = 1024,
	ULA_PREFIX = 64,
	ULA_TRIES = 16,
};

/* --- what is asked for ------------------------------------------------------------------------ */

static int check_name(const struct nets *n, const char *name, struct err *e)
{
	static const char *const reserved[] = { "bridge", "host", "none", "default" };

	if (str_empty(name) || !name[strspn(name, " \t")])
		return err_set(e, EINVAL, "invalid network name: name is empty");
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (str_eq(name, reserved[i]))
			return err_set(e, EPERM,
				       "operation is not permitted on predefined %s network ",
				       name);
	if (strlen(name) > NETWORK_NAME_MAX || str_starts(name, "container:"))
		return err_set(e, EINVAL,
			       "invalid network name \"%.80s\": should have at most %d characters "
			       "and not start with \"container:\"",
			       name, NETWORK_NAME_MAX);
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '/')
			return err_set(e, EINVAL,
				       "invalid network name \"%.80s\": control characters and "
				       "'/' are not allowed",
				       name);
	for (size_t i = 0; i < n->n_nets; i++)
		if (str_eq(n->nets[i]->pub.name, name))
			return err_set(e, EEXIST, "network with name %s already exists", name);
	return 0;
}

static int choose_driver(const char *driver, enum net_driver *ret_driver, struct err *e)
{
	static const enum net_driver ours[] = { NET_BRIDGE, NET_MACVLAN, NET_IPVLAN };

	if (str_empty(driver) || str_eq(driver, "default"))
		driver = "bridge";
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (str_eq(driver, net_driver_name(ours[i]))) {
			*ret_driver = ours[i];
			return 0;
		}
	}
	if (str_eq(driver, "host") || str_eq(driver, "null"))
		return err_set(e, EPERM, "only one instance of \"%s\" network is allowed", driver);
	if (str_eq(driver, "overlay"))
		return err_set(e, ENOSYS,
			       "network driver \"overlay\" needs a swarm, which this machine is no "
			       "part of");
	return err_set(e, ENOENT, "plugin \"%.80s\" not found", driver);
}

/* --- subnets ---------------------------------------------------------------------------------- */

static const char *family_name(uint8_t family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

#define BAD "invalid network config:\n"

static int read_range(const char *text, const struct ip_net *subnet, struct ip_net *ret,
		      struct err *e)
{
	char a[IP_NET_TEXT_MAX], b[IP_NET_TEXT_MAX];
	struct ip_net range, masked;

	if (!strchr(text, '/') || ip_net_parse(text, &range, NULL) < 0)
		return err_set(e, EINVAL, BAD "invalid ip-range %.60s: invalid CIDR block notation",
			       text);
	masked = ip_net_mask(&range);
	if (range.addr.family != subnet->addr.family)
		return err_set(e, EINVAL, BAD "invalid ip-range %s: parent subnet is an %s block",
			       text, family_name(subnet->addr.family));
	if (range.prefix < subnet->prefix)
		return err_set(
			e, EINVAL,
			BAD "invalid ip-range %s: CIDR block is bigger than its parent subnet %s",
			text, ip_net_text(subnet, a));
	if (!ip_eq(&masked.addr, &range.addr))
		return err_set(e, EINVAL, BAD "invalid ip-range %s: it should be %s", text,
			       ip_net_text(&masked, b));
	if (!ip_net_has(subnet, &range.addr))
		return err_set(e, EINVAL,
			       BAD "invalid ip-range %s: parent subnet %s doesn't contain ip-range",
			       text, ip_net_text(subnet, a));
	*ret = range;
	return 0;
}

static int read_address(const char *what, const char *text, const struct ip_net *subnet,
			struct ip_addr *ret, struct err *e)
{
	char a[IP_NET_TEXT_MAX];
	struct ip_addr addr;

	if (ip_parse(text, &addr, NULL) < 0)
		return err_set(e, EINVAL, BAD "invalid %s %.60s: invalid address", what, text);
	if (addr.family != subnet->addr.family)
		return err_set(e, EINVAL, BAD "invalid %s %s: parent subnet is an %s block", what,
			       text, family_name(subnet->addr.family));
	if (!ip_net_has(subnet, &addr))
		return err_set(e, EINVAL,
			       BAD "invalid %s %s: parent subnet %s doesn't contain this address",
			       what, text, ip_net_text(subnet, a));
	*ret = addr;
	return 0;
}

static int read_subnet(const char *text, struct ip_net *ret, struct err *e)
{
	char b[IP_NET_TEXT_MAX];
	struct ip_net subnet, masked;
	uint8_t longest;

	if (!strchr(text, '/') || ip_net_parse(text, &subnet, NULL) < 0)
		return err_set(e, EINVAL, BAD "invalid subnet %.60s: invalid CIDR block notation",
			       text);
	masked = ip_net_mask(&subnet);
	if (!ip_eq(&masked.addr, &subnet.addr))
		return err_set(e, EINVAL, BAD "invalid subnet %s: it should be %s", text,
			       ip_net_text(&masked, b));
	longest = subnet.addr.family == AF_INET ? 30 : 126;
	if (subnet.prefix > longest || subnet.prefix < 4 || ip_is_loopback(&subnet.addr))
		return err_set(e, EINVAL,
			       BAD "invalid subnet %s: should have a prefix of 4 to %u bits and "
				   "not be a loopback one",
			       text, longest);
	*ret = subnet;
	return 0;
}

/* One entry of IPAM.Config into the half of its family. */
static int read_ipam(struct network *p, const struct ipam_want *w, struct err *e)
{
	struct ip_net subnet, *ret_range;
	struct ip_addr *ret_gateway, aux;
	bool six;
	int rc;

	if (str_empty(w->subnet) && str_empty(w->range) && str_empty(w->gateway) &&
	    strv_len(w->aux) == 0)
		return 0;
	rc = read_subnet(w->subnet ? w->subnet : "", &subnet, e);
	if (rc < 0)
		return rc;
	six = subnet.addr.family == AF_INET6;
	if (!(six ? p->ipv6 : p->ipv4))
		return 0; /* as Docker: not asked for, so not had */
	if (ip_is_set(six ? &p->subnet6.addr : &p->subnet.addr))
		return err_set(e, EINVAL, BAD "more than one %s subnet: a network has one",
			       family_name(subnet.addr.family));
	*(six ? &p->subnet6 : &p->subnet) = subnet;
	ret_range = six ? &p->range6 : &p->range;
	ret_gateway = six ? &p->gateway6 : &p->gateway;
	p->subnet_asked = true;
	if (!str_empty(w->range))
		rc = read_range(w->range, &subnet, ret_range, e);
	if (rc == 0 && !str_empty(w->gateway))
		rc = read_address("gateway", w->gateway, &subnet, ret_gateway, e);
	if (rc == 0 && strv_len(w->aux) > AUX_MAX)
		rc = err_set(e, EINVAL, BAD "more than %d auxiliary addresses", AUX_MAX);
	for (char *const *a = w->aux; rc == 0 && a && *a; a++) {
		const char *equals = strchr(*a, '=');

		rc = read_address("auxiliary address", equals ? equals + 1 : *a, &subnet, &aux, e);
		if (rc == 0 && strv_add(&p->aux, *a) < 0)
			rc = err_set(e, ENOMEM, "out of memory");
	}
	return rc;
}

/* A random one of fd00::/8 (RFC 4193). */
static int choose_ula(const struct ip_net *taken, size_t n_taken, struct ip_net *ret, struct err *e)
{
	for (int i = 0; i < ULA_TRIES; i++) {
		struct ip_net n = { .addr = { .family = AF_INET6 }, .prefix = ULA_PREFIX };
		size_t t = 0;

		if (getrandom(n.addr.b, 8, 0) != 8)
			return err_errno(e, errno, "no random numbers");
		n.addr.b[0] = 0xfd;
		while (t < n_taken && !ip_net_overlaps(&taken[t], &n))
			t++;
		if (t == n_taken) {
			*ret = n;
			return 0;
		}
	}
	return err_set(e, ENOSPC, "no IPv6 subnet is free: name one");
}

static int check_overlap(const struct ip_net *subnet, const struct ip_net *taken, size_t n_taken,
			 struct err *e)
{
	char a[IP_NET_TEXT_MAX], b[IP_NET_TEXT_MAX];

	for (size_t i = 0; i < n_taken; i++)
		if (ip_net_overlaps(&taken[i], subnet))
			return err_set(e, EPERM,
				       "invalid pool request: Pool overlaps with other one on this "
				       "address space: %s with %s",
				       ip_net_text(subnet, a), ip_net_text(&taken[i], b));
	return 0;
}

/* A gateway that was not asked for: the first address, of the range if there is one, that is not an
 * auxiliary one. */
static int settle_gateway(const struct ip_net *subnet, const struct ip_net *range, char *const *aux,
			  struct ip_addr *gateway, struct err *e)
{
	_cleanup_(pool_free) struct pool pool = { 0 };
	struct ip_addr a;
	int rc;

	if (!ip_is_set(&subnet->addr) || ip_is_set(gateway))
		return 0;
	rc = pool_init(&pool, subnet, ip_is_set(&range->addr) ? range : NULL, e);
	for (; rc == 0 && aux && *aux; aux++)
		if (ip_parse(strchr(*aux, '=') ? strchr(*aux, '=') + 1 : *aux, &a, NULL) == 0 &&
		    a.family == subnet->addr.family)
			rc = pool_reserve(&pool, &a, e);
	return rc < 0 ? rc : pool_take(&pool, gateway, e);
}

static int settle_subnets(struct nets *n, struct network *p, struct err *e)
{
	_cleanup_(mem_free) struct ip_net *taken = calloc(SUBNETS_MAX, sizeof(*taken));
	size_t ours, asked;
	int count, rc;

	if (!taken)
		return err_set(e, ENOMEM, "out of memory");
	count = rc = taken_subnets(n, NULL, taken, &ours, e);
	if (count < 0)
		return rc;
	/* on the machine's own link they have addresses of its own subnet */
	asked = p->driver == NET_BRIDGE ? (size_t)count : ours;
	if (p->ipv4)
		rc = ip_is_set(&p->subnet.addr)
			     ? check_overlap(&p->subnet, taken, asked, e)
			     : pool_choose_subnet(taken, (size_t)count, &p->subnet, e);
	if (rc >= 0 && p->ipv6)
		rc = ip_is_set(&p->subnet6.addr) ? check_overlap(&p->subnet6, taken, asked, e)
						 : choose_ula(taken, (size_t)count, &p->subnet6, e);
	if (rc >= 0)
		rc = settle_gateway(&p->subnet, &p->range, p->aux, &p->gateway, e);
	return rc < 0 ? rc : settle_gateway(&p->subnet6, &p->range6, p->aux, &p->gateway6, e);
}

/* --- making ----------------------------------------------------------------------------------- */

/* A link of that name must be neither a stranger's nor another network's. */
static int check_link(const struct nets *n, const struct network *p, struct err *e)
{
	struct link l;

	if (p->driver != NET_BRIDGE)
		return parent_free(n, p, e);
	for (size_t i = 0; i < n->n_nets; i++)
		if (str_eq(n->nets[i]->pub.ifname, p->ifname))
			return err_set(e, EPERM,
				       "cannot create network %s (%s): conflicts with network %s "
				       "(%s): networks have same bridge name",
				       p->id, p->ifname, n->nets[i]->pub.id, p->ifname);
	if (link_get(n->route_fd, p->ifname, &l, NULL) == 0)
		return err_set(e, EPERM, "the machine has a link named %s already", p->ifname);
	return 0;
}

static int network_fill(struct nets *n, struct network *p, const struct network_want *w,
			struct err *e)
{
	int rc = id_new(p->id, e);

	if (rc < 0)
		return rc;
	p->name = str_dup(w->name);
	p->labels = strv_copy(w->labels);
	p->options = strv_copy(w->options);
	if (!p->name || (w->labels && !p->labels) || (w->options && !p->options))
		return err_set(e, ENOMEM, "out of memory");
	rc = choose_driver(w->driver, &p->driver, e);
	if (rc == 0 && w->no_ipv4 && !w->ipv6)
		rc = err_set(e, EINVAL, "IPv4 or IPv6 must be enabled");
	if (rc < 0)
		return rc;
	p->created = clock_real_ns();
	p->internal = w->internal;
	p->attachable = w->attachable;
	p->ipv4 = !w->no_ipv4;
	p->ipv6 = w->ipv6;
	p->masquerade = p->icc = true;
	p->mtu = MTU_DEFAULT;
	(void)str_copy(p->prefix, sizeof(p->prefix), "eth");
	if (p->driver == NET_BRIDGE)
		(void)str_format(p->ifname, sizeof(p->ifname), "br-%.12s", p->id);
	rc = options_read(p, e);
	for (size_t i = 0; rc == 0 && i < w->n_ipam; i++)
		rc = read_ipam(p, &w->ipam[i], e);
	if (rc == 0)
		rc = check_link(n, p, e);
	return rc < 0 ? rc : settle_subnets(n, p, e);
}

/* Takes the network out of the list; it stays the caller's. */
static void list_out(struct nets *n, const struct net *net)
{
	size_t i = 0;

	while (i < n->n_nets && n->nets[i] != net)
		i++;
	if (i == n->n_nets)
		return;
	n->n_nets--;
	memmove(n->nets + i, n->nets + i + 1, (n->n_nets - i) * sizeof(*n->nets));
}

static int forget_record(const struct nets *n, const struct network *p, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/networks/%s.json", n->state_dir, p->id);

	return path ? state_remove(AT_FDCWD, path, e) : err_set(e, ENOMEM, "out of memory");
}

static int network_make(struct nets *n, struct net *net, struct err *e)
{
	int rc = net->pub.driver == NET_BRIDGE ? 0 : parent_plan(n, net, e);

	if (rc == 0)
		rc = network_save(n, &net->pub, e);
	if (rc == 0)
		rc = link_make(n, net, e);
	if (rc == 0)
		rc = nets_apply(n, e);
	if (rc == 0)
		rc = forwarding_on(n, e);
	return rc;
}

int nets_create(struct nets *n, const struct network_want *w, const struct network **ret_network,
		struct err *e)
{
	_cleanup_(network_release) struct net *net = NULL;
	int rc = check_name(n, w->name, e);

	if (rc == 0 && !n->up)
		rc = nets_bring_up(n, e);
	if (rc < 0)
		return rc;
	net = calloc(1, sizeof(*net));
	if (!net)
		return err_set(e, ENOMEM, "out of memory");
	rc = network_fill(n, &net->pub, w, e);
	if (rc == 0)
		rc = settle_pools(net, e);
	if (rc == 0)
		rc = nets_add(n, net, e);
	if (rc < 0)
		return rc;
	rc = network_make(n, net, e);
	if (rc < 0) {
		list_out(n, net);
		(void)link_unmake(n, net, NULL);
		(void)nets_apply(n, NULL);
		(void)forget_record(n, &net->pub, NULL);
		return rc;
	}
	*ret_network = &net->pub;
	(void)take_ptr(net);
	return 0;
}

/* --- removing --------------------------------------------------------------------------------- */

/* `network n has active endpoints (name:"c" id:"0123456789ab")` */
static int refuse_in_use(const struct nets *n, const struct network *p, struct err *e)
{
	_cleanup_(buf_free) struct buf who = BUF_INIT(256);
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&n->sandboxes, &i))) {
		const struct sandbox *s = m->value;

		for (size_t k = 0; k < s->n_endpoints; k++)
			if (s->endpoints[k].network == p)
				(void)buf_printf(&who, "%sname:\"%s\" id:\"%.12s\"",
						 who.len ? ", " : "", s->name, s->id);
	}
	return err_set(e, EPERM,
		       "error while removing network: network %s has active endpoints (%s)",
		       p->name, buf_text(&who));
}

int nets_remove(struct nets *n, const struct network *p, struct err *e)
{
	struct net *net = net_of(p);
	int rc;

	if (p->predefined)
		return err_set(e, EPERM, "%s is a pre-defined network and cannot be removed",
			       p->name);
	if (network_in_use(n, p))
		return refuse_in_use(n, p, e);
	rc = n->up ? 0 : nets_bring_up(n, e);
	if (rc == 0)
		rc = depart_now(n, net, NULL, e);
	if (rc == 0)
		rc = link_unmake(n, net, e);
	if (rc == 0)
		rc = forget_record(n, p, e);
	if (rc < 0) {
		n->up = false; /* the link may be gone: the next user brings it up again */
		return rc;
	}
	list_out(n, net);
	network_release(net);
	if (nets_apply(n, e) < 0) { /* rules for a link that is no more do no harm */
		log_warn("network: %s", err_text(e));
		n->up = false;
	}
	return 0;
}
