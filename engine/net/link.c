/*
 * rtnetlink messages for links, addresses and routes, and reading the kernel's answers (see
 * link.h).
 *
 * Creation is made so that each step is one message that the kernel does whole or not at all: a
 * veth pair comes up with our end in the bridge already and the peer inside the namespace under its
 * final name, so a crash leaves no half of it. Callers: nets.c, join.c, restore.c.
 */
#include "engine/net/link.h"

#include <ctype.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#include "init/base/netlink.h"
#include "init/base/str.h"

int link_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ)
		return err_set(e, EINVAL,
			       "invalid link name \"%.32s\": should have 1 to 15 characters", name);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return err_set(e, EINVAL,
				       "invalid link name \"%.32s\": only letters, digits, '-' and "
				       "'_' are allowed",
				       name);
	return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_kind(struct link *l, const struct nlattr *info)
{
	const struct nlattr *k =
		nl_attr_find(nl_attr_data(info), nl_attr_len(info), IFLA_INFO_KIND);

	if (k)
		(void)str_format(l->kind, sizeof(l->kind), "%.*s", (int)nl_attr_len(k),
				 (const char *)nl_attr_data(k));
}

static void read_stats(struct link *l, const struct nlattr *a)
{
	struct rtnl_link_stats64 s = { 0 };

	memcpy(&s, nl_attr_data(a), MIN(sizeof(s), nl_attr_len(a)));
	l->rx_bytes = s.rx_bytes;
	l->rx_packets = s.rx_packets;
	l->rx_errors = s.rx_errors;
	l->rx_dropped = s.rx_dropped;
	l->tx_bytes = s.tx_bytes;
	l->tx_packets = s.tx_packets;
	l->tx_errors = s.tx_errors;
	l->tx_dropped = s.tx_dropped;
}

/* false: not a whole RTM_NEWLINK message */
static bool read_link(const struct nlmsghdr *h, struct link *ret_link)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct link l = { 0 };
	const struct nlattr *a = NULL;
	const char *start;
	size_t len;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_SPACE(sizeof(*i)))
		return false;
	l.index = i->ifi_index;
	start = (const char *)h + NLMSG_SPACE(sizeof(*i));
	len = h->nlmsg_len - NLMSG_SPACE(sizeof(*i));
	while ((a = nl_attr_next(start, len, a))) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case IFLA_IFNAME:
			(void)str_format(l.name, sizeof(l.name), "%.*s", (int)nl_attr_len(a),
					 (const char *)nl_attr_data(a));
			break;
		case IFLA_MASTER:
			if (nl_attr_len(a) >= sizeof(l.master))
				memcpy(&l.master, nl_attr_data(a), sizeof(l.master));
			break;
		case IFLA_LINKINFO:
			read_kind(&l, a);
			break;
		case IFLA_STATS64:
			read_stats(&l, a);
			break;
		}
	}
	*ret_link = l;
	return true;
}

static int one_link(const struct nlmsghdr *h, void *data, struct err *e)
{
	(void)e;
	(void)read_link(h, data);
	return 0;
}

int link_get(int fd, const char *name, struct link *ret_link, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	struct link l = { 0 };
	int rc;

	nl_begin(&m, RTM_GETLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, name);
	nl_end(&m);
	rc = nl_call(fd, &m, one_link, &l, e);
	if (rc == 0 && l.index == 0)
		rc = err_set(e, ENODEV, "the kernel does not answer");
	if (rc < 0) {
		(void)err_wrap(e, "link %s", name);
		return rc;
	}
	*ret_link = l;
	return 0;
}

struct each {
	int (*fn)(const struct link *l, void *data, struct err *e);
	void *data;
};

static int each_link(const struct nlmsghdr *h, void *data, struct err *e)
{
	struct each *x = data;
	struct link l;

	return read_link(h, &l) ? x->fn(&l, x->data, e) : 0;
}

int link_each(int fd, int (*fn)(const struct link *l, void *data, struct err *e), void *data,
	      struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	struct each x = { fn, data };

	nl_begin(&m, RTM_GETLINK, NLM_F_DUMP, &i, sizeof(i));
	nl_end(&m);
	return nl_call(fd, &m, each_link, &x, e);
}

/* --- making ----------------------------------------------------------------------------------- */

int link_bridge(int fd, const char *name, const uint8_t mac[6], uint32_t mtu, int *ret_index,
		struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	struct link l;
	size_t info;
	int rc;

	rc = link_get(fd, name, &l, NULL);
	if (rc == -ENODEV) {
		nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &i, sizeof(i));
		nl_put_text(&m, IFLA_IFNAME, name);
		nl_put(&m, IFLA_ADDRESS, mac, 6);
		nl_put_u32(&m, IFLA_MTU, mtu);
		info = nl_nest(&m, IFLA_LINKINFO);
		nl_put_text(&m, IFLA_INFO_KIND, "bridge");
		nl_nest_end(&m, info);
		nl_end(&m);
		rc = nl_call(fd, &m, NULL, NULL, e);
		if (rc < 0) {
			(void)err_wrap(e, "cannot make the bridge %s", name);
			return rc;
		}
	}
	rc = link_get(fd, name, &l, e);
	if (rc < 0)
		return rc;
	if (!str_eq(l.kind, "bridge"))
		return err_set(e, EEXIST, "link %s exists and is not a bridge", name);
	*ret_index = l.index;
	return 0;
}

int link_veth(int fd, const struct link_veth *v, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	size_t info, data, peer;
	int rc;

	nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, v->host);
	nl_put_u32(&m, IFLA_MTU, v->mtu);
	nl_put_u32(&m, IFLA_MASTER, (uint32_t)v->bridge);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_text(&m, IFLA_INFO_KIND, "veth");
	data = nl_nest(&m, IFLA_INFO_DATA);
	peer = nl_nest(&m, VETH_INFO_PEER);
	buf_add(&m.buf, &i, sizeof(i)); /* the peer's own header comes before its attributes */
	nl_put_text(&m, IFLA_IFNAME, v->peer);
	nl_put(&m, IFLA_ADDRESS, v->mac, 6);
	nl_put_u32(&m, IFLA_MTU, v->mtu);
	nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)v->netns_fd);
	nl_nest_end(&m, peer);
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot make the veth pair %s", v->host);
		return rc;
	}
	return 0;
}

/* A link of its kind with one attribute of that kind, or none (id 0). */
static int make_kind(int fd, const char *name, const char *kind, int parent, uint16_t id,
		     struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	size_t info, data;
	int rc;

	nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, name);
	if (parent)
		nl_put_u32(&m, IFLA_LINK, (uint32_t)parent);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_text(&m, IFLA_INFO_KIND, kind);
	if (id) {
		data = nl_nest(&m, IFLA_INFO_DATA);
		nl_put_u16(&m, IFLA_VLAN_ID, id);
		nl_nest_end(&m, data);
	}
	nl_nest_end(&m, info);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0 && rc != -EEXIST) {
		(void)err_wrap(e, "cannot make the %s link %s", kind, name);
		return rc;
	}
	return 0;
}

int link_dummy(int fd, const char *name, struct err *e)
{
	return make_kind(fd, name, "dummy", 0, 0, e);
}

int link_vlan(int fd, const char *name, int parent, uint16_t id, struct err *e)
{
	return make_kind(fd, name, "vlan", parent, id, e);
}

int link_over(int fd, const struct link_over *o, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	bool mac = str_eq(o->kind, "macvlan");
	size_t info, data;
	int rc;

	nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, o->name);
	nl_put_u32(&m, IFLA_LINK, (uint32_t)o->parent);
	nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)o->netns_fd);
	if (o->mac)
		nl_put(&m, IFLA_ADDRESS, o->mac, 6);
	if (o->mtu)
		nl_put_u32(&m, IFLA_MTU, o->mtu);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_text(&m, IFLA_INFO_KIND, o->kind);
	data = nl_nest(&m, IFLA_INFO_DATA);
	if (mac)
		nl_put_u32(&m, IFLA_MACVLAN_MODE, o->mode);
	else
		nl_put_u16(&m, IFLA_IPVLAN_MODE, (uint16_t)o->mode);
	if (!mac)
		nl_put_u16(&m, IFLA_IPVLAN_FLAGS, o->flags);
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot make the %s link %s", o->kind, o->name);
		return rc;
	}
	return 0;
}

int link_isolate(int fd, int index, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	size_t port;
	int rc;

	nl_begin(&m, RTM_SETLINK, NLM_F_ACK, &i, sizeof(i));
	port = nl_nest(&m, IFLA_PROTINFO);
	nl_put_u8(&m, IFLA_BRPORT_ISOLATED, 1);
	nl_nest_end(&m, port);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot isolate link %d", index);
		return rc;
	}
	return 0;
}

int link_up(int fd, int index, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC,
			       .ifi_index = index,
			       .ifi_flags = IFF_UP,
			       .ifi_change = IFF_UP };
	int rc;

	nl_begin(&m, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot bring link %d up", index);
		return rc;
	}
	return 0;
}

int link_rename(int fd, int index, const char *name, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	int rc;

	nl_begin(&m, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, name);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot name link %d %s", index, name);
		return rc;
	}
	return 0;
}

int link_delete(int fd, const char *name, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	int rc;

	nl_begin(&m, RTM_DELLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, name);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc == -ENODEV)
		return 0;
	if (rc < 0) {
		(void)err_wrap(e, "cannot remove the link %s", name);
		return rc;
	}
	return 0;
}

int link_delete_index(int fd, int index, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	int rc;

	nl_begin(&m, RTM_DELLINK, NLM_F_ACK, &i, sizeof(i));
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc == -ENODEV)
		return 0;
	if (rc < 0) {
		(void)err_wrap(e, "cannot remove link %d", index);
		return rc;
	}
	return 0;
}

int link_address(int fd, int index, const struct ip_net *address, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifaddrmsg a = { .ifa_family = address->addr.family,
			       .ifa_prefixlen = address->prefix,
			       .ifa_index = (uint32_t)index,
			       .ifa_scope = RT_SCOPE_UNIVERSE };
	struct ip_addr last = ip_net_last(address);
	size_t size = ip_size(address->addr.family);
	char text[IP_NET_TEXT_MAX];
	int rc;

	if (address->addr.family == AF_INET6)
		a.ifa_flags = IFA_F_NODAD; /* our own pool knows that it is the only one */
	nl_begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &a, sizeof(a));
	nl_put(&m, IFA_LOCAL, address->addr.b, size);
	nl_put(&m, IFA_ADDRESS, address->addr.b, size);
	if (address->addr.family == AF_INET && address->prefix < 31)
		nl_put(&m, IFA_BROADCAST, last.b, size);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0 && rc != -EEXIST) {
		(void)err_wrap(e, "cannot add the address %s", ip_net_text(address, text));
		return rc;
	}
	return 0;
}

int link_default_route(int fd, int index, uint8_t family, const struct ip_addr *gateway,
		       struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct rtmsg r = { .rtm_family = family,
			   .rtm_table = RT_TABLE_MAIN,
			   .rtm_protocol = RTPROT_BOOT,
			   .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
			   .rtm_type = RTN_UNICAST };
	char text[IP_TEXT_MAX];
	int rc;

	nl_begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, &r, sizeof(r));
	if (gateway)
		nl_put(&m, RTA_GATEWAY, gateway->b, ip_size(family));
	nl_put_u32(&m, RTA_OIF, (uint32_t)index);
	nl_end(&m);
	rc = nl_call(fd, &m, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot set the default route by %s",
			       gateway ? ip_text(gateway, text) : "the link");
		return rc;
	}
	return 0;
}

/* --- the machine's subnets -------------------------------------------------------------------- */

struct subnets {
	struct link_net *nets;
	size_t n, max;
};

/* Both kinds of message: a fixed part that starts with family and prefix, the address in attribute
 * `type`. */
static void add_subnet(struct subnets *s, const struct nlmsghdr *h, size_t fixed, uint16_t type,
		       uint8_t family, uint8_t prefix, int index)
{
	const char *start = (const char *)h + NLMSG_SPACE(fixed);
	size_t len = h->nlmsg_len - NLMSG_SPACE(fixed);
	const struct nlattr *a = nl_attr_find(start, len, type), *oif;
	struct link_net *n = &s->nets[s->n];

	if (!a || !ip_size(family) || nl_attr_len(a) < ip_size(family) || s->n == s->max)
		return;
	if (h->nlmsg_type == RTM_NEWROUTE) {
		oif = nl_attr_find(start, len, RTA_OIF);
		if (oif && nl_attr_len(oif) >= sizeof(index))
			memcpy(&index, nl_attr_data(oif), sizeof(index));
	}
	*n = (struct link_net){ .index = index };
	n->net.addr.family = family;
	n->net.prefix = prefix;
	memcpy(n->net.addr.b, nl_attr_data(a), ip_size(family));
	s->n++;
}

static int subnet_message(const struct nlmsghdr *h, void *data, struct err *e)
{
	(void)e;
	if (h->nlmsg_type == RTM_NEWADDR && h->nlmsg_len >= NLMSG_SPACE(sizeof(struct ifaddrmsg))) {
		const struct ifaddrmsg *a = NLMSG_DATA(h);

		add_subnet(data, h, sizeof(*a), IFA_ADDRESS, a->ifa_family, a->ifa_prefixlen,
			   (int)a->ifa_index);
	}
	if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_len >= NLMSG_SPACE(sizeof(struct rtmsg))) {
		const struct rtmsg *r = NLMSG_DATA(h);

		if (r->rtm_type == RTN_UNICAST && r->rtm_table == RT_TABLE_MAIN &&
		    r->rtm_dst_len > 0)
			add_subnet(data, h, sizeof(*r), RTA_DST, r->rtm_family, r->rtm_dst_len, 0);
	}
	return 0;
}

int link_subnets(int fd, struct link_net *ret_nets, size_t max, struct err *e)
{
	struct subnets s = { ret_nets, 0, max };
	struct ifaddrmsg a = { .ifa_family = AF_UNSPEC };
	struct rtmsg r = { .rtm_family = AF_UNSPEC };
	struct nl_msg m = { 0 };
	int rc;

	/* the kernel runs one dump at a time on a socket */
	nl_begin(&m, RTM_GETADDR, NLM_F_DUMP, &a, sizeof(a));
	nl_end(&m);
	rc = nl_call(fd, &m, subnet_message, &s, e);
	nl_free(&m);
	if (rc < 0) {
		(void)err_wrap(e, "cannot list the machine's addresses");
		return rc;
	}
	nl_begin(&m, RTM_GETROUTE, NLM_F_DUMP, &r, sizeof(r));
	nl_end(&m);
	rc = nl_call(fd, &m, subnet_message, &s, e);
	nl_free(&m);
	if (rc < 0) {
		(void)err_wrap(e, "cannot list the machine's routes");
		return rc;
	}
	return (int)s.n;
}
