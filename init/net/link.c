/*
 * rtnetlink requests of the machine's own links.
 */
#include "init/net/link.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "init/base/netlink.h"
#include "init/base/str.h"

enum { REQUEST_MAX = 4096 };

unsigned ip_bits(const struct ip *ip)
{
	return ip->family == AF_INET ? 32 : 128;
}

static size_t ip_len(const struct ip *ip)
{
	return ip_bits(ip) / 8;
}

int ip_parse(const char *text, struct ip *ret)
{
	char address[IP_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct ip ip = { 0 };
	uint64_t prefix;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET, address, ip.bytes) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, address, ip.bytes) == 1)
		ip.family = AF_INET6;
	else
		return -EINVAL;
	ip.prefix = ip_bits(&ip);
	if (slash) {
		if (str_to_u64(slash + 1, &prefix) < 0 || prefix > ip_bits(&ip))
			return -EINVAL;
		ip.prefix = (unsigned)prefix;
	}
	*ret = ip;
	return 0;
}

const char *ip_text(const struct ip *ip, char buf[IP_TEXT_MAX])
{
	if (!ip->family || !inet_ntop(ip->family, ip->bytes, buf, IP_TEXT_MAX))
		buf[0] = '\0';
	return buf;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && a->prefix == b->prefix &&
	       (!a->family || memcmp(a->bytes, b->bytes, ip_len(a)) == 0);
}

bool ip_is_host(const struct ip *ip)
{
	static const unsigned char loopback6[16] = { [15] = 1 }, none[16];

	if (ip->family == AF_INET)
		return ip->bytes[0] != 0 && ip->bytes[0] != 127 && ip->bytes[0] < 224;
	return ip->family == AF_INET6 && ip->bytes[0] != 0xff && memcmp(ip->bytes, none, 16) != 0 &&
	       memcmp(ip->bytes, loopback6, 16) != 0;
}

/* Sends what was built; `fine` is an errno that is as good as success, or 0. */
static int call(int fd, struct nl_msg *m, int fine, struct err *e)
{
	struct err own = { 0 };
	int r = nl_call(fd, m, NULL, NULL, &own);

	if (r == 0 || (fine && r == -fine))
		return 0;
	if (e)
		*e = own;
	return r;
}

int link_up(int fd, int index, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };
	struct ifinfomsg info = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	nl_begin(&m, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
	nl_end(&m);
	return call(fd, &m, 0, e);
}

int link_mtu(int fd, int index, unsigned mtu, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };
	struct ifinfomsg info = { .ifi_index = index };

	nl_begin(&m, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
	nl_put_u32(&m, IFLA_MTU, mtu);
	nl_end(&m);
	return call(fd, &m, 0, e);
}

static void put_address(struct nl_msg *m, const struct ip *ip)
{
	nl_put(m, IFA_LOCAL, ip->bytes, ip_len(ip));
	nl_put(m, IFA_ADDRESS, ip->bytes, ip_len(ip));
}

int link_add_address(int fd, int index, const struct ip *ip, uint32_t seconds, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };
	struct ifaddrmsg info = {
		.ifa_family = (unsigned char)ip->family,
		.ifa_prefixlen = (unsigned char)ip->prefix,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = (unsigned)index,
	};
	struct ifa_cacheinfo life = { .ifa_prefered = seconds, .ifa_valid = seconds };

	nl_begin(&m, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	put_address(&m, ip);
	if (ip->family == AF_INET && ip->prefix < 31) {
		uint32_t address, broadcast;

		memcpy(&address, ip->bytes, 4);
		broadcast = address | htonl(ip->prefix ? UINT32_MAX >> ip->prefix : UINT32_MAX);
		nl_put(&m, IFA_BROADCAST, &broadcast, 4);
	}
	nl_put(&m, IFA_CACHEINFO, &life, sizeof(life));
	nl_end(&m);
	return call(fd, &m, 0, e);
}

int link_remove_address(int fd, int index, const struct ip *ip, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };
	struct ifaddrmsg info = {
		.ifa_family = (unsigned char)ip->family,
		.ifa_prefixlen = (unsigned char)ip->prefix,
		.ifa_index = (unsigned)index,
	};

	nl_begin(&m, RTM_DELADDR, NLM_F_ACK, &info, sizeof(info));
	put_address(&m, ip);
	nl_end(&m);
	return call(fd, &m, EADDRNOTAVAIL, e);
}

static void build_route(struct nl_msg *m, uint16_t type, uint16_t flags, int index,
			const struct ip *to, const struct ip *gateway, const struct ip *source,
			uint32_t metric)
{
	struct rtmsg info = {
		.rtm_family = (unsigned char)to->family,
		.rtm_dst_len = (unsigned char)to->prefix,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = gateway->family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};

	nl_begin(m, type, NLM_F_ACK | flags, &info, sizeof(info));
	if (to->prefix)
		nl_put(m, RTA_DST, to->bytes, ip_len(to));
	if (gateway->family)
		nl_put(m, RTA_GATEWAY, gateway->bytes, ip_len(gateway));
	if (source)
		nl_put(m, RTA_PREFSRC, source->bytes, ip_len(source));
	nl_put_u32(m, RTA_OIF, (uint32_t)index);
	nl_put_u32(m, RTA_PRIORITY, metric);
	nl_end(m);
}

int link_add_route(int fd, int index, const struct ip *to, const struct ip *gateway,
		   const struct ip *source, uint32_t metric, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };

	build_route(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, to, gateway, source,
		    metric);
	return call(fd, &m, 0, e);
}

int link_remove_route(int fd, int index, const struct ip *to, const struct ip *gateway,
		      uint32_t metric, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(REQUEST_MAX) };

	build_route(&m, RTM_DELROUTE, 0, index, to, gateway, NULL, metric);
	return call(fd, &m, ESRCH, e);
}
