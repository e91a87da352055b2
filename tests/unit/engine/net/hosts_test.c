/* hosts and resolv.conf: what Docker writes, what the machine says, and lines that try to be more
 * than one. */
#include "engine/net/hosts.h"

#include "init/base/util.h"
#include "tests/unit/test.h"

#define LOCAL_LINES                                                                               \
	"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" \
	"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
#define NOTE "# Written by Skerry at container start.\n"

TEST(hosts_file)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct hosts_entry own = { { AF_INET, { 172, 17, 0, 2 } }, "web.example.org web" };
	char *extra[] = { "db:10.0.0.5", "gw=host-gateway", "six:[fd00::1]", "v6:fd00::2", NULL };
	struct ip_addr gw = { AF_INET, { 172, 17, 0, 1 } };
	struct err e = { 0 };

	CHECK_INT(hosts_text(&b, &own, 1, &e), 0);
	CHECK_INT(hosts_extra(&b, extra, &gw, &e), 0);
	CHECK_STR(buf_text(&b),
		  LOCAL_LINES "172.17.0.2\tweb.example.org web\n10.0.0.5\tdb\n172.17.0.1\tgw\n"
			      "fd00::1\tsix\nfd00::2\tv6\n");
}

TEST(bad_extra_hosts)
{
	static const char *const bad[] = { "",
					   "db",
					   ":1.2.3.4",
					   "db:",
					   "db:nowhere",
					   "a b:1.2.3.4",
					   "a\n6.6.6.6 bank:1.2.3.4",
					   "db:1.2.3.4\n6.6.6.6 x",
					   "db:[::1" };
	struct ip_addr none = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(buf_free) struct buf b = BUF_INIT(0);
		char *list[] = { (char *)bad[i], NULL };

		CHECK_MSG(hosts_extra(&b, list, &none, &e) == -EINVAL, "took \"%s\"", bad[i]);
		CHECK_INT((long)b.len, 0);
	}
	CHECK_INT(hosts_extra(&(struct buf){ 0 }, (char *[]){ "a:host-gateway", NULL }, &none, &e),
		  -EINVAL);
	CHECK_STR(err_text(&e), "extra host \"a:host-gateway\": this network has no gateway");
}

TEST(host_names)
{
	char long_name[70];

	memset(long_name, 'a', sizeof(long_name));
	long_name[65] = '\0';
	CHECK_INT(hosts_name_check(long_name, NULL), -EINVAL);
	long_name[64] = '\0';
	CHECK_INT(hosts_name_check(long_name, NULL), 0);
	CHECK_INT(hosts_name_check("web-1.example_2.org", NULL), 0);
	CHECK_INT(hosts_name_check("", NULL), -EINVAL);
	CHECK_INT(hosts_name_check("-x", NULL), -EINVAL);
	CHECK_INT(hosts_name_check("a b", NULL), -EINVAL);
	CHECK_INT(hosts_name_check("a\nb", NULL), -EINVAL);
}

static const char machine[] = "# from eth0\n"
			      "nameserver 10.0.2.3 # first\n"
			      "nameserver 127.0.0.53\n"
			      "nameserver ::1\n"
			      "nameserver fd00::53\n"
			      "nameserver fe80::1%eth0\n"
			      "nameserver ; 9.9.9.9\n"
			      "nameserver nonsense\n"
			      "sortlist 1.2.3.4\n"
			      "domain old.example\n"
			      "search lan.example\texample.org\n"
			      "options edns0 trust-ad\r\n";

static const char *resolv(const struct resolv_want *w)
{
	static struct buf b;
	struct err e = { 0 };

	buf_free(&b);
	if (resolv_text(&b, machine, w, &e) < 0)
		return "error";
	return buf_text(&b);
}

TEST(resolv_of_the_machine)
{
	struct resolv_want own = { .own_stack = true }, six = { .own_stack = true, .ipv6 = true };
	struct resolv_want host = { .ipv6 = true };

	CHECK_STR(resolv(&own), NOTE
		  "nameserver 10.0.2.3\nsearch lan.example example.org\noptions edns0 trust-ad\n");
	CHECK_STR(resolv(&six),
		  NOTE "nameserver 10.0.2.3\nnameserver fd00::53\nsearch lan.example example.org\n"
		       "options edns0 trust-ad\n");
	CHECK_STR(
		resolv(&host), NOTE
		"nameserver 10.0.2.3\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fd00::53\n"
		"search lan.example example.org\noptions edns0 trust-ad\n");
}

TEST(resolv_as_asked)
{
	char *dns[] = { "1.1.1.1", "127.0.0.1", NULL }, *none[] = { ".", NULL },
	     *opt[] = { "ndots:2", NULL };
	struct resolv_want w = { .dns = dns, .search = none, .options = opt, .own_stack = true };

	CHECK_STR(resolv(&w), NOTE "nameserver 1.1.1.1\nnameserver 127.0.0.1\noptions ndots:2\n");
}

TEST(resolv_bad_words)
{
	char *dns[] = { "ns.example.org", NULL }, *search[] = { "a\nnameserver 6.6.6.6", NULL },
	     *opt[] = { "", NULL };
	struct resolv_want w[] = { { .dns = dns }, { .search = search }, { .options = opt } };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		_cleanup_(buf_free) struct buf b = BUF_INIT(0);

		CHECK_INT(resolv_text(&b, "", &w[i], &e), -EINVAL);
	}
}

TEST(resolv_of_nothing)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct resolv_want w = { .own_stack = true };

	CHECK_INT(resolv_text(&b, "", &w, NULL), 0);
	CHECK_STR(buf_text(&b), NOTE);
}

/* A DHCP server that sends far too much. */
TEST(resolv_is_bounded)
{
	_cleanup_(buf_free) struct buf in = BUF_INIT(0), out = BUF_INIT(0);
	struct resolv_want w = { .own_stack = true };
	size_t servers = 0;

	for (int i = 0; i < 1000; i++)
		buf_printf(&in, "nameserver 10.0.0.%d\n", i % 250);
	buf_add_text(&in, "search");
	for (int i = 0; i < 1000; i++)
		buf_printf(&in, " d%d", i);
	CHECK_INT(resolv_text(&out, buf_text(&in), &w, NULL), 0);
	for (const char *p = buf_text(&out); (p = strstr(p, "nameserver")); p++)
		servers++;
	CHECK_INT((long)servers, 16);
	CHECK(out.len < 2048);
}
