/* resolv.conf, addresses, time servers. */
#include "init/net/resolv.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/net/ntp.h"
#include "tests/unit/test.h"

static struct ip ip(const char *text)
{
	struct ip v = { 0 };

	if (ip_parse(text, &v) < 0)
		test_fail(__FILE__, __LINE__, "%s is not taken", text);
	return v;
}

static void server(struct resolv *r, const char *text)
{
	struct ip v = ip(text);

	resolv_add_server(r, &v);
}

TEST(merged_without_doubles_and_at_most_three)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct resolv r = { 0 };

	server(&r, "192.0.2.1");
	server(&r, "2001:db8::1");
	server(&r, "192.0.2.1");
	server(&r, "192.0.2.2");
	server(&r, "192.0.2.3");
	resolv_add_search(&r, "example.net");
	resolv_add_search(&r, "");
	resolv_add_search(&r, "example.net");
	resolv_add_search(&r, "lan");
	CHECK_INT(resolv_text(&r, &out), 0);
	CHECK_STR(strchr(out.data, '\n') + 1, "search example.net lan\nnameserver 192.0.2.1\n"
					      "nameserver 2001:db8::1\nnameserver 192.0.2.2\n");
}

TEST(written_only_when_it_changes)
{
	_cleanup_(mem_free) char *path = str_printf("%s/resolv.conf", test_tmpdir());
	struct resolv r = { 0 };

	CHECK_INT(resolv_write(&r, path, NULL), 1);
	CHECK_INT(resolv_write(&r, path, NULL), 0);
	server(&r, "192.0.2.1");
	CHECK_INT(resolv_write(&r, path, NULL), 1);
	CHECK_INT(resolv_write(&r, path, NULL), 0);
}

TEST(addresses)
{
	static const char *const wrong[] = {
		"",	  "192.0.2",	   "192.0.2.1/33", "192.0.2.1/", "192.0.2.1/-1",
		"::/129", "192.0.2.1/24x", "hello",	   "1.2.3.4.5",	 "fe80::1%eth0"
	};
	struct ip v;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_MSG(ip_parse(wrong[i], &v) < 0, "%s is taken", wrong[i]);
	v = ip("2001:db8::5/64");
	CHECK_INT(v.family, AF_INET6);
	CHECK_INT(v.prefix, 64);
	v = ip("192.0.2.1");
	CHECK_INT(v.prefix, 32);
	CHECK(ip_is_host(&v));
	v = ip("0.0.0.0");
	CHECK(!ip_is_host(&v));
	v = ip("::1");
	CHECK(!ip_is_host(&v));
	v = ip("ff02::1");
	CHECK(!ip_is_host(&v));
}

TEST(time_servers)
{
	CHECK(ntp_server_valid("time.example.net") && ntp_server_valid("192.0.2.1") &&
	      ntp_server_valid("2001:db8::1"));
	CHECK(!ntp_server_valid("") && !ntp_server_valid("-x") && !ntp_server_valid("a b") &&
	      !ntp_server_valid("192.0.2.1/24") && !ntp_server_valid("127.0.0.1"));
}
