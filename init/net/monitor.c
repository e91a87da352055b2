/*
 * rtnetlink multicast: links, addresses of both families, options of router adverts that the kernel
 * leaves to programs (RFC 8106 name servers). Datagrams are the kernel's; router adverts inside
 * them are anybody's, so their lengths are checked step by step.
 */
#include "init/net/monitor.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"

enum {
	RECEIVE_MAX = 8192,
	BURST = 64,
	BUFFER = 256 << 10,
	ICMP6_ROUTER_ADVERT = 134,
	ND_OPT_RDNSS = 25,
};

int monitor_parse_link(const struct nlmsghdr *h, struct link_news *ret)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	const struct nlattr *name;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EINVAL;
	len = h->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	name = nl_attr_find((const char *)info + NLMSG_ALIGN(sizeof(*info)), len, IFLA_IFNAME);
	if (!name || nl_attr_len(name) == 0 || nl_attr_len(name) > IFNAMSIZ)
		return -EINVAL;
	*ret = (struct link_news){
		.index = info->ifi_index,
		.gone = h->nlmsg_type == RTM_DELLINK,
		/* not IFF_RUNNING: the kernel tells that one up to a second late */
		.running = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_LOWER_UP),
		.ethernet = info->ifi_type == ARPHRD_ETHER,
	};
	memcpy(ret->name, nl_attr_data(name), nl_attr_len(name));
	ret->name[IFNAMSIZ - 1] = '\0';
	return 0;
}

/* one option {type, length in units of eight, ...}; its servers go to ret */
static void take_rdnss(const unsigned char *option, size_t len, struct rdnss_news *ret)
{
	ret->lifetime = (uint32_t)option[4] << 24 | (uint32_t)option[5] << 16 |
			(uint32_t)option[6] << 8 | option[7];
	for (size_t at = 8; at + 16 <= len && ret->n < RDNSS_MAX; at += 16) {
		struct ip *ip = &ret->servers[ret->n];

		*ip = (struct ip){ .family = AF_INET6, .prefix = 128 };
		memcpy(ip->bytes, option + at, 16);
		/* a link-local server would need its link's name behind it; the link's DHCP or a
		 * global address serves everybody */
		if (ip_is_host(ip) && !(ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80))
			ret->n++;
	}
}

int monitor_parse_rdnss(const struct nlmsghdr *h, struct rdnss_news *ret)
{
	const struct nduseroptmsg *m = NLMSG_DATA(h);
	const unsigned char *p;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
	if (m->nduseropt_family != AF_INET6 || m->nduseropt_icmp_type != ICMP6_ROUTER_ADVERT)
		return -EINVAL;
	left = MIN(left, (size_t)m->nduseropt_opts_len);
	*ret = (struct rdnss_news){ .index = m->nduseropt_ifindex };
	for (p = (const unsigned char *)(m + 1); left >= 8;) {
		size_t len = (size_t)p[1] * 8;

		if (len < 8 || len > left)
			return -EINVAL;
		if (p[0] == ND_OPT_RDNSS)
			take_rdnss(p, len, ret);
		p += len;
		left -= len;
	}
	return 0;
}

static void dispatch(struct monitor *m, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *address = NLMSG_DATA(h);
	struct rdnss_news rdnss;
	struct link_news link;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (monitor_parse_link(h, &link) == 0)
			m->link(m, &link);
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(*address)))
			m->address(m, (int)address->ifa_index);
		return;
	case RTM_NEWNDUSEROPT:
		if (monitor_parse_rdnss(h, &rdnss) == 0)
			m->rdnss(m, &rdnss);
		return;
	default:
		return;
	}
}

static void on_readable(struct io_event *io, uint32_t events)
{
	struct monitor *m = container_of(io, struct monitor, io);
	char buf[RECEIVE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));

	(void)events;
	for (int i = 0; i < BURST && m->fd >= 0; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(m->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&from, &from_len);
		unsigned left = (unsigned)MIN((size_t)MAX(n, 0), sizeof(buf));

		if (n < 0 && errno == ENOBUFS) {
			m->lost(m);
			continue;
		}
		if (n < 0)
			return;
		if (from.nl_pid != 0)
			continue;
		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left))
			dispatch(m, h);
	}
}

int monitor_start(struct monitor *m, struct loop *l, struct err *e)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_ND_USEROPT };
	int size = BUFFER, r;

	m->fd = nl_open(NETLINK_ROUTE, e);
	if (m->fd < 0)
		return m->fd;
	(void)setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (setsockopt(m->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			log_warn("no announcements of the kernel's group %d: %s", groups[i],
				 strerror(errno));
	}
	m->io.fn = on_readable;
	r = io_add(l, &m->io, m->fd, EPOLLIN);
	return r < 0 ? err_errno(e, -r, "cannot watch links") : 0;
}

void monitor_stop(struct monitor *m)
{
	if (m->fd < 0)
		return;
	io_remove(&m->io);
	fd_close(take_fd(m->fd));
}

static int on_dumped(const struct nlmsghdr *h, void *data, struct err *e)
{
	struct monitor *m = data;
	struct link_news news;

	(void)e;
	if (h->nlmsg_type == RTM_NEWLINK && monitor_parse_link(h, &news) == 0)
		m->link(m, &news);
	return 0;
}

int monitor_list_links(struct monitor *m, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg msg = { .buf = BUF_INIT(1024) };
	_cleanup_(fd_close) int fd = nl_open(NETLINK_ROUTE, e);
	struct ifinfomsg info = { 0 };

	if (fd < 0)
		return fd;
	nl_begin(&msg, RTM_GETLINK, NLM_F_DUMP, &info, sizeof(info));
	nl_end(&msg);
	return nl_call(fd, &msg, on_dumped, m, e);
}
