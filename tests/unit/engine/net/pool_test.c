/* Address pools: order of giving, reuse, exhaustion, fixed addresses, both families, choice of
 * subnets. */
#include "engine/net/pool.h"

#include "tests/unit/test.h"

static struct ip_net net(const char *text)
{
	struct ip_net n = { 0 };

	if (ip_net_parse(text, &n, NULL) < 0)
		test_fail(__FILE__, __LINE__, "bad subnet %s", text);
	return n;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = { 0 };

	if (ip_parse(text, &a, NULL) < 0)
		test_fail(__FILE__, __LINE__, "bad address %s", text);
	return a;
}

/* The next address as text, or the error's. */
static const char *take(struct pool *p, struct err *e)
{
	static char text[IP_TEXT_MAX];
	struct ip_addr a;

	if (pool_take(p, &a, e) < 0)
		return err_text(e);
	return ip_text(&a, text);
}

TEST(gives_in_order_and_reuses_late)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("172.17.0.0/16");
	struct ip_addr gw = pool_gateway(&n), two = ip("172.17.0.2");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, NULL, &e), 0);
	CHECK_INT(pool_reserve(&p, &gw, &e), 0);
	CHECK_STR(take(&p, &e), "172.17.0.2");
	CHECK_STR(take(&p, &e), "172.17.0.3");
	pool_release(&p, &two);
	pool_release(&p, &two);
	CHECK_STR(take(&p, &e), "172.17.0.4");
	CHECK_INT((long)p.n_used, 3);
}

TEST(small_subnet_fills_and_goes_round)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("10.0.0.8/29");
	struct ip_addr gw = pool_gateway(&n), eleven = ip("10.0.0.11");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, NULL, &e), 0);
	CHECK_INT(pool_reserve(&p, &gw, &e), 0);
	CHECK_STR(take(&p, &e), "10.0.0.10");
	CHECK_STR(take(&p, &e), "10.0.0.11");
	CHECK_STR(take(&p, &e), "10.0.0.12");
	CHECK_STR(take(&p, &e), "10.0.0.13");
	CHECK_STR(take(&p, &e), "10.0.0.14");
	CHECK_STR(take(&p, &e), "no available IPv4 addresses in the subnet 10.0.0.8/29");
	CHECK_INT(e.code, ENOSPC);
	pool_release(&p, &eleven);
	CHECK_STR(take(&p, &e), "10.0.0.11");
}

TEST(range_inside_subnet)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("10.0.0.0/16"), range = net("10.0.255.254/31"),
		      out = net("10.1.0.0/24");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, &out, &e), -EINVAL);
	CHECK_STR(err_text(&e), "range 10.1.0.0/24 is not inside the subnet 10.0.0.0/16");
	CHECK_INT(pool_init(&p, &n, &range, &e), 0);
	CHECK_STR(take(&p, &e), "10.0.255.254"); /* .255 is the subnet's broadcast address */
	CHECK_STR(take(&p, &e), "no available IPv4 addresses in the subnet 10.0.0.0/16");
}

TEST(fixed_addresses)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("192.0.2.0/24");
	struct ip_addr ok = ip("192.0.2.77"), low = ip("192.0.2.0"), high = ip("192.0.2.255");
	struct ip_addr other = ip("192.0.3.1"), six = ip("fd00::1");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, NULL, &e), 0);
	CHECK_INT(pool_reserve(&p, &ok, &e), 0);
	CHECK_INT(pool_reserve(&p, &ok, &e), -EADDRINUSE);
	CHECK_STR(err_text(&e), "Address already in use: 192.0.2.77");
	CHECK_INT(pool_reserve(&p, &low, &e), -EINVAL);
	CHECK_INT(pool_reserve(&p, &high, &e), -EINVAL);
	CHECK_INT(pool_reserve(&p, &other, &e), -EINVAL);
	CHECK_INT(pool_reserve(&p, &six, &e), -EINVAL);
	CHECK_STR(take(&p, &e), "192.0.2.1");
}

TEST(ipv6_pool)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("fd00:1::/64");
	struct ip_addr last = ip("fd00:1::ffff:ffff:ffff:ffff");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, NULL, &e), 0);
	CHECK_INT(pool_reserve(&p, &last, &e), 0);
	CHECK_STR(take(&p, &e), "fd00:1::1");
	p.cursor = last;
	CHECK_STR(take(&p, &e), "fd00:1::2");
}

TEST(tiny_subnets)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("10.0.0.4/31");
	struct err e = { 0 };

	CHECK_INT(pool_init(&p, &n, NULL, &e), 0);
	CHECK_STR(take(&p, &e), "10.0.0.4");
	CHECK_STR(take(&p, &e), "10.0.0.5");
	CHECK_INT(pool_take(&p, &n.addr, &e), -ENOSPC);
}

TEST(four_thousand)
{
	_cleanup_(pool_free) struct pool p = { 0 };
	struct ip_net n = net("10.0.0.0/20");
	struct ip_addr a;

	CHECK_INT(pool_init(&p, &n, NULL, NULL), 0);
	for (int i = 0; i < 4094; i++)
		CHECK_INT(pool_take(&p, &a, NULL), 0);
	CHECK_INT(pool_take(&p, &a, NULL), -ENOSPC);
	for (size_t i = 1; i < p.n_used; i++)
		CHECK(memcmp(p.used[i - 1].b, p.used[i].b, 16) < 0);
}

TEST(subnet_choice)
{
	struct ip_net machine[] = { net("10.0.2.15/24"), net("172.17.5.1/24"),
				    net("172.16.0.0/14") };
	struct ip_net all[] = { net("172.16.0.0/12"), net("192.168.0.0/16") }, n;
	char text[IP_NET_TEXT_MAX];
	struct err e = { 0 };

	CHECK_INT(pool_choose_subnet(NULL, 0, &n, &e), 0);
	CHECK_STR(ip_net_text(&n, text), "172.17.0.0/16");
	CHECK_INT(pool_choose_subnet(machine, 2, &n, &e), 0);
	CHECK_STR(ip_net_text(&n, text), "172.18.0.0/16");
	CHECK_INT(pool_choose_subnet(machine, 3, &n, &e), 0);
	CHECK_STR(ip_net_text(&n, text), "172.20.0.0/16");
	CHECK_INT(pool_choose_subnet(all, 1, &n, &e), 0);
	CHECK_STR(ip_net_text(&n, text), "192.168.0.0/20");
	CHECK_INT(pool_choose_subnet(all, 2, &n, &e), -ENOSPC);
}

TEST(addresses_parse_strictly)
{
	static const char *const bad[] = { "",	       "1.2.3",	       "1.2.3.4.5", "1.2.3.256",
					   " 1.2.3.4", "fe80::1%eth0", ":::" };
	static const char *const bad_net[] = { "10.0.0.0",    "10.0.0.0/33", "10.0.0.0/",
					       "10.0.0.0/-1", "/8",	     "fd00::/129" };
	static const char *const bad_mac[] = { "",
					       "02:42:ac:11:00",
					       "02-42-ac-11-00-02",
					       "01:00:5e:00:00:01",
					       "00:00:00:00:00:00",
					       "02:42:ac:11:00:zz" };
	struct ip_addr a;
	struct ip_net n;
	uint8_t mac[6];
	char text[MAC_TEXT_MAX];
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(ip_parse(bad[i], &a, &e) == -EINVAL, "took %s", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad_net); i++)
		CHECK_MSG(ip_net_parse(bad_net[i], &n, &e) == -EINVAL, "took %s", bad_net[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad_mac); i++)
		CHECK_MSG(mac_parse(bad_mac[i], mac, &e) == -EINVAL, "took %s", bad_mac[i]);
	CHECK_INT(mac_parse("02:42:AC:11:00:02", mac, &e), 0);
	CHECK_STR(mac_text(mac, text), "02:42:ac:11:00:02");
}
