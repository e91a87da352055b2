/* Announcements of the kernel, router adverts in them with hostile lengths. */
#include "init/net/monitor.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "init/base/netlink.h"
#include "tests/unit/test.h"

static void link_message(struct nl_msg *m, uint16_t type, const char *name, unsigned flags)
{
	struct ifinfomsg info = { .ifi_index = 7, .ifi_type = ARPHRD_ETHER, .ifi_flags = flags };

	nl_begin(m, type, 0, &info, sizeof(info));
	if (name)
		nl_put_text(m, IFLA_IFNAME, name);
	nl_end(m);
}

TEST(a_link_that_came_up)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(4096) };
	struct link_news news;

	link_message(&m, RTM_NEWLINK, "eth0", IFF_UP | IFF_LOWER_UP);
	CHECK_INT(monitor_parse_link((const void *)m.buf.data, &news), 0);
	CHECK_STR(news.name, "eth0");
	CHECK_INT(news.index, 7);
	CHECK(news.running && news.ethernet && !news.gone);
}

TEST(a_link_that_went)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(4096) };
	struct link_news news;

	link_message(&m, RTM_DELLINK, "eth0", IFF_UP);
	CHECK_INT(monitor_parse_link((const void *)m.buf.data, &news), 0);
	CHECK(news.gone && !news.running);
}

TEST(a_link_without_a_name)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(4096) };
	struct link_news news;

	link_message(&m, RTM_NEWLINK, NULL, 0);
	CHECK_INT(monitor_parse_link((const void *)m.buf.data, &news), -EINVAL);
}

/* a router advert's options as the kernel hands them on */
static int advert(const unsigned char *options, size_t len, struct rdnss_news *news)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(4096) };
	struct nduseroptmsg head = {
		.nduseropt_family = AF_INET6,
		.nduseropt_opts_len = (unsigned short)len,
		.nduseropt_ifindex = 3,
		.nduseropt_icmp_type = 134,
	};
	char whole[sizeof(head) + 256];

	memcpy(whole, &head, sizeof(head));
	memcpy(whole + sizeof(head), options, len);
	nl_begin(&m, RTM_NEWNDUSEROPT, 0, whole, sizeof(head) + len);
	nl_end(&m);
	return monitor_parse_rdnss((const void *)m.buf.data, news);
}

static const unsigned char two_servers[] = {
	25,   5,    0,	 0,    0, 0, 2, 88, /* 600 s */
	0x20, 1,    0xd, 0xb8, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 1, /* 2001:db8::1 */
	0xfe, 0x80, 0,	 0,    0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 1, /* fe80::1, left out */
};

TEST(name_servers_of_a_router)
{
	struct rdnss_news news;
	char text[IP_TEXT_MAX];

	CHECK_INT(advert(two_servers, sizeof(two_servers), &news), 0);
	CHECK_INT(news.index, 3);
	CHECK_INT(news.n, 1);
	CHECK_INT(news.lifetime, 600);
	CHECK_STR(ip_text(&news.servers[0], text), "2001:db8::1");
}

TEST(hostile_options)
{
	unsigned char zero[] = { 25, 0, 0, 0, 0, 0, 0, 0 }, beyond[sizeof(two_servers)],
		      odd[8] = { 25, 1 };
	struct rdnss_news news;

	memcpy(beyond, two_servers, sizeof(beyond));
	beyond[1] = 200;
	CHECK_INT(advert(zero, sizeof(zero), &news), -EINVAL);
	CHECK_INT(advert(beyond, sizeof(beyond), &news), -EINVAL);
	CHECK_INT(advert(odd, sizeof(odd), &news), 0);
	CHECK_INT(news.n, 0);
}
