/* Events of udhcpc: a good lease, and what hostile servers send. */
#include "init/net/dhcp.h"

#include <sys/socket.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

static struct dhcp_event parsed(const char *text)
{
	struct dhcp_event ev = { 0 };
	struct err e = { 0 };

	if (dhcp_parse(text, &ev, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return ev;
}

TEST(a_lease)
{
	struct dhcp_event ev = parsed(
		"net-event bound\ninterface=eth0\nip=192.0.2.15\nmask=24\nrouter=192.0.2.2\n"
		"dns=192.0.2.3 192.0.2.4\ndomain=example.net\nntpsrv=192.0.2.5\nlease=86400\n");
	char text[IP_TEXT_MAX];

	CHECK_INT(ev.kind, DHCP_BOUND);
	CHECK_STR(ev.interface, "eth0");
	CHECK_STR(ip_text(&ev.address, text), "192.0.2.15");
	CHECK_INT(ev.address.prefix, 24);
	CHECK_INT(ev.n_routes, 1);
	CHECK_INT(ev.routes[0].to.prefix, 0);
	CHECK_STR(ip_text(&ev.routes[0].gateway, text), "192.0.2.2");
	CHECK_INT(ev.n_dns, 2);
	CHECK_INT(ev.n_ntp, 1);
	CHECK_STR(ev.domain, "example.net");
	CHECK_INT(ev.lease, 86400);
}

TEST(classless_routes_replace_the_router)
{
	struct dhcp_event ev =
		parsed("net-event renew\ninterface=eth0\nip=192.0.2.15\nmask=24\nrouter=192.0.2.2\n"
		       "staticroutes=10.0.0.0/8 192.0.2.7 198.51.100.0/24 0.0.0.0 0.0.0.0/0 "
		       "192.0.2.1 1.2.3.4/33 192.0.2.1 9.9.9.0/24\n");

	CHECK_INT(ev.n_routes, 3);
	CHECK_INT(ev.routes[0].to.prefix, 8);
	CHECK_INT(ev.routes[1].gateway.family, 0);
	CHECK_INT(ev.routes[2].to.prefix, 0);
}

TEST(other_events_need_only_a_link)
{
	CHECK_INT(parsed("net-event deconfig\ninterface=eth0\n").kind, DHCP_DECONFIG);
	CHECK_INT(parsed("net-event nak\ninterface=eth0\n").kind, DHCP_DECONFIG);
	CHECK_INT(parsed("net-event leasefail\ninterface=eth0\n").kind, DHCP_FAILED);
}

TEST(refused_events)
{
	static const char *const refused[] = {
		"",
		"net-event",
		"net-event bound",
		"net-event dance\ninterface=eth0\n",
		"net-event bound\ninterface=eth0\n",
		"net-event bound\ninterface=eth0\nip=0.0.0.0\n",
		"net-event bound\ninterface=eth0\nip=224.0.0.1\n",
		"net-event bound\ninterface=eth0\nip=127.0.0.1\n",
		"net-event bound\ninterface=eth0\nip=fe80::1\n",
		"net-event bound\ninterface=eth0\nip=192.0.2.1/24\n",
		"net-event bound\ninterface=../eth0\nip=192.0.2.1\n",
		"net-event bound\ninterface=\nip=192.0.2.1\n",
		"net-event bound\ninterface=a-name-that-is-too-long\nip=192.0.2.1\n",
	};
	struct dhcp_event ev;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		CHECK_MSG(dhcp_parse(refused[i], &ev, NULL) < 0, "taken: %s", refused[i]);
}

TEST(hostile_values_are_dropped)
{
	struct dhcp_event ev = parsed(
		"net-event bound\ninterface=eth0\nip=192.0.2.15\nmask=99\nrouter=255.255.255.255\n"
		"dns=::1 x 127.0.0.53 192.0.2.3 192.0.2.3;reboot 192.0.2.4 192.0.2.5 192.0.2.6\n"
		"domain=a b;c\nlease=0\n");

	CHECK_INT(ev.address.prefix, 24);
	CHECK_INT(ev.n_routes, 0);
	CHECK_INT(ev.n_dns, 3);
	CHECK_STR(ev.domain, "");
	CHECK_INT(ev.lease, DHCP_LEASE_MIN);
}

TEST(a_lease_without_an_end)
{
	CHECK(parsed("net-event bound\ninterface=e\nip=192.0.2.15\nlease=4294967295\n").lease ==
	      LINK_FOREVER);
	CHECK(parsed("net-event bound\ninterface=e\nip=192.0.2.15\n").lease == LINK_FOREVER);
}
