/*
 * The packet filter as the kernel understood it, against the listing of Debian's nft program, and
 * the bytes of one small transaction against ones checked by hand.
 *
 * The listing needs root and the nft program: it runs in a network namespace of its own. Without
 * them that case says so and passes; CI has both.
 */
#include "engine/net/rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

enum { LISTING_MAX = 1 << 20, ELEMENTS_MAX = 64 };

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = { 0 };

	ip_parse(text, &a, NULL);
	return a;
}

static struct ip_net net(const char *text)
{
	struct ip_net n = { 0 };

	ip_net_parse(text, &n, NULL);
	return n;
}

enum what { WHOLE, OF_RESOLVER, OF_USER };

static void build(struct nft *n, enum what what, const struct rules *r)
{
	if (what == WHOLE)
		rules_build(n, r);
	else if (what == OF_RESOLVER) /* of a container's own namespace */
		rules_build_resolver(n, &(struct ip_addr){ AF_INET, { 127, 0, 0, 11 } }, 40000,
				     40001);
	else
		rules_build_user(n);
}

/* What people may do with their chain. */
static bool own_rule(void)
{
	static const char command[] =
		"nft add rule inet skerry-user forward ip saddr 10.9.9.9 drop && "
		"nft chain inet skerry-user forward '{ policy drop; }'";
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		execlp("sh", "sh", "-c", command, (char *)NULL);
		_exit(99);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* Commits r in a fresh network namespace (child process) and gives what nft lists there; NULL when
 * that cannot be done here. */
static char *listing_of(enum what what, const struct rules *r, struct err *e)
{
	int fds[2], status;
	char *out = calloc(1, LISTING_MAX);
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	if (!out || pipe(fds) < 0)
		exit(99);
	pid = fork();
	if (pid == 0) {
		struct nft n;
		int fd;

		dup2(fds[1], 1);
		close(fds[0]);
		if (unshare(CLONE_NEWNET) < 0)
			_exit(77);
		fd = nl_open(NETLINK_NETFILTER, e);
		for (int i = 0; i < 2; i++) { /* twice: the second replaces the first */
			build(&n, what, r);
			if (nft_commit(&n, fd, e) < 0) {
				dprintf(1, "%s", err_text(e));
				_exit(1);
			}
			nft_free(&n);
			if (what == OF_USER && i == 0 && !own_rule())
				_exit(77);
		}
		execlp("nft", "nft", "-nn", "list", "ruleset", (char *)NULL);
		_exit(77);
	}
	close(fds[1]);
	while ((got = read(fds[0], out + len, LISTING_MAX - 1 - len)) > 0)
		len += (size_t)got;
	close(fds[0]);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		free(out);
		printf("# skipped: needs root and the nft program\n");
		return NULL;
	}
	return out;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the elements of each set in place of their order in the kernel's hash: "elements = { a, b
 * }" on one line. */
static char *sorted(char *listing)
{
	char *out = calloc(1, LISTING_MAX), *at = out, *p = listing, *open;

	while ((open = strstr(p, "elements = {"))) {
		char *items[ELEMENTS_MAX], *end = strchr(open, '}'), *save = NULL;
		size_t n = 0;

		open += strlen("elements = {");
		at += snprintf(at, LISTING_MAX - (size_t)(at - out), "%.*s", (int)(open - p), p);
		*end = '\0';
		for (char *t = strtok_r(open, ",", &save); t && n < ELEMENTS_MAX;
		     t = strtok_r(NULL, ",", &save))
			items[n++] = str_trim(t);
		qsort(items, n, sizeof(*items), by_text);
		for (size_t i = 0; i < n; i++)
			at += snprintf(at, LISTING_MAX - (size_t)(at - out), "%s %s", i ? "," : "",
				       items[i]);
		at += snprintf(at, LISTING_MAX - (size_t)(at - out), " }");
		p = end + 1;
	}
	snprintf(at, LISTING_MAX - (size_t)(at - out), "%s", p);
	free(listing);
	return out;
}

static void check_listing(enum what what, const struct rules *r, const char *fixture)
{
	struct err e = { 0 };
	char *got = listing_of(what, r, &e), *want;
	bool same;

	if (!got)
		return;
	got = sorted(got);
	want = test_fixture(fixture, NULL);
	if (strcmp(got, want) != 0)
		fprintf(stderr, "%s", got);
	same = strcmp(got, want) == 0;
	free(got);
	free(want);
	CHECK_MSG(same, "the listing above is not %s", fixture);
}

TEST(golden_resolver)
{
	check_listing(OF_RESOLVER, NULL, "tests/unit/engine/net/rules_resolver.nft");
}

/* What people wrote into it stays. */
TEST(golden_user)
{
	check_listing(OF_USER, NULL, "tests/unit/engine/net/rules_user.nft");
}

TEST(golden_empty)
{
	struct rules r = { 0 };

	check_listing(WHOLE, &r, "tests/unit/engine/net/rules_empty.nft");
}

TEST(golden_default_bridge)
{
	struct rules_bridge b = { "skerry0", net("172.17.0.0/16"), .masquerade = true,
				  .icc = true };
	struct rules_port ports[] = {
		{ IPPROTO_TCP, ip("0.0.0.0"), 8080, ip("172.17.0.2"), 80 },
		{ IPPROTO_UDP, ip("0.0.0.0"), 53, ip("172.17.0.3"), 5353 },
		{ IPPROTO_TCP, ip("127.0.0.1"), 5432, ip("172.17.0.3"), 5432 },
	};
	struct rules r = { &b, 1, ports, ARRAY_SIZE(ports) };

	check_listing(WHOLE, &r, "tests/unit/engine/net/rules_bridge.nft");
}

TEST(golden_many)
{
	struct rules_bridge b[] = {
		{ "skerry0", net("172.17.0.0/16"), .masquerade = true, .icc = true },
		{ "br-internal", net("172.18.0.0/16"), true, true, true },
		{ "br-noicc", net("10.1.2.0/23"), .icc = false },
		{ "br-noicc", net("fd00:1::/64"), .masquerade = true },
		{ "br-open", net("10.1.4.0/24"), .masquerade = true, .unprotected = true },
		{ "br-routed", net("10.1.5.0/24"), .icc = true, .routed = true },
		{ "br-routed", net("fd00:5::/64"), .icc = true, .routed = true },
	};
	struct rules_port ports[] = {
		{ IPPROTO_SCTP, ip("192.0.2.1"), 36412, ip("10.1.2.9"), 36412 },
		{ IPPROTO_TCP, ip("::"), 443, ip("fd00:1::2"), 8443 },
		{ IPPROTO_TCP, ip("fe80::1"), 444, ip("fd00:1::2"), 8443 },
		{ IPPROTO_TCP, ip("0.0.0.0"), 0, ip("10.1.5.2"), 80 },
		{ IPPROTO_UDP, ip("::"), 0, ip("fd00:5::2"), 53 },
	};
	struct rules r = { b, ARRAY_SIZE(b), ports, ARRAY_SIZE(ports) };

	check_listing(WHOLE, &r, "tests/unit/engine/net/rules_many.nft");
}

TEST(thousands_of_ports)
{
	enum { N = 4000 };
	struct rules_bridge b = { "skerry0", net("172.17.0.0/16"), .masquerade = true,
				  .icc = true };
	struct rules_port *ports = calloc(N, sizeof(*ports));
	struct rules r = { &b, 1, ports, N };
	struct err e = { 0 };
	bool found;
	char *got;

	for (int i = 0; i < N; i++)
		ports[i] = (struct rules_port){ IPPROTO_TCP, ip("0.0.0.0"), (uint16_t)(1000 + i),
						ip("172.17.0.2"), 80 };
	got = listing_of(WHOLE, &r, &e);
	free(ports);
	if (!got)
		return;
	found = strstr(got, "6 . 4999 : 172.17.0.2 . 80") &&
		strstr(got, "6 . 1000 : 172.17.0.2 . 80");
	free(got);
	CHECK(found);
}

/* One chain with one rule "iifname x drop", byte by byte, read against
 * linux/netfilter/nf_tables.h. */
TEST(golden_bytes)
{
	static const char want[] =
		/* batch begin, for subsystem 10 */
		"14000000"
		"1000"
		"0100"
		"01000000"
		"00000000"
		"0000000a"
		/* new chain (create): table t, name c */
		"24000000"
		"030a"
		"0104"
		"02000000"
		"00000000"
		"02000000"
		"0600010074000000"
		"0600030063000000"
		/* new rule (create, append, acknowledge): table t, chain c, expressions */
		"b4000000"
		"060a"
		"050c"
		"03000000"
		"00000000"
		"02000000"
		"0600010074000000"
		"0600020063000000"
		"90000480"
		/* meta: register 8, key 6 (name of the input link) */
		"24000180"
		"090001006d65746100000000"
		"14000280"
		"0800020000000006"
		"0800010000000008"
		/* cmp: register 8 equals "x" in 16 bytes */
		"38000180"
		"08000100636d7000"
		"2c000280"
		"0800010000000008"
		"0800020000000000"
		"18000380"
		"14000100"
		"78000000000000000000000000000000"
		/* immediate: verdict drop */
		"30000180"
		"0e000100696d6d656469617465000000"
		"1c000280"
		"0800010000000000"
		"10000280"
		"0c000280"
		"0800010000000000"
		/* batch end */
		"14000000"
		"1100"
		"0100"
		"04000000"
		"00000000"
		"0000000a";
	struct nft n = { 0 };
	char hex[1024];

	nft_begin(&n);
	n.family = NFPROTO_IPV4;
	n.table = "t";
	nft_chain(&n, "c");
	nft_rule(&n, "c");
	nft_match_ifname(&n, false, "x", false);
	nft_verdict(&n, NF_DROP, NULL);
	nft_rule_end(&n);
	nft_end(&n);
	CHECK_INT(n.msg.buf.failed, 0);
	CHECK(n.msg.buf.len * 2 < sizeof(hex));
	hex_encode(hex, n.msg.buf.data, n.msg.buf.len);
	nft_free(&n);
	CHECK_STR(hex, want);
}
