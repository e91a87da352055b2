/*
 * The resolver as a process, asked over sockets: what it knows, what it asks of other servers, what
 * it takes for an answer, and its bounds.
 *
 * Everything happens in a network namespace of the test's own (needs root, else a case says so and
 * passes): the space's sockets at 127.0.0.11, servers at 127.0.0.2 and 127.0.0.3, port 53, played
 * by the test.
 */
#include "tests/unit/engine/dns/ask.h"
#include "tests/unit/test.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/dns/dns.h"
#include "init/base/buf.h"
#include "init/base/msg.h"

enum { PATIENCE_MS = 30000, BUFFER = 8 << 20, LONG_MS = 60000, SHORT_MS = 100 };

struct rig {
	int channel, client;
	struct sockaddr_in udp, tcp; /* of the resolver */
	pid_t pid;
	uint8_t last[DNS_TCP_MAX];
	size_t last_len;
};

static int sock(int type, const char *addr, uint16_t port, struct sockaddr_in *ret)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1, size = BUFFER;

	inet_pton(AF_INET, addr, &sa.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 8) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		perror("socket");
		exit(99);
	}
	if (ret)
		*ret = sa;
	return fd;
}

/* try_ms: how long a server may take. */
static bool rig_open_for(struct rig *r, int try_ms)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int pair[2], udp, tcp, fd;
	struct err e = { 0 };

	*r = (struct rig){ .channel = -1, .client = -1 };
	if (unshare(CLONE_NEWNET) < 0) {
		printf("# skipped: needs root\n");
		return false;
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0 || msg_pair(pair, &e) < 0)
		exit(99);
	close(fd);
	udp = sock(SOCK_DGRAM, DNS_ADDRESS, 0, &r->udp);
	tcp = sock(SOCK_STREAM, DNS_ADDRESS, 0, &r->tcp);
	r->pid = fork();
	if (r->pid == 0) {
		close(pair[0]);
		close(udp);
		close(tcp);
		_exit(dns_run(pair[1], false, try_ms, &e) < 0);
	}
	close(pair[1]);
	r->channel = pair[0];
	r->client = sock(SOCK_DGRAM, "127.0.0.1", 0, NULL);
	if (dns_send_space(r->channel, "c1", udp, tcp, &e) < 0)
		exit(99);
	close(udp);
	close(tcp);
	return true;
}

static bool rig_open(struct rig *r)
{
	return rig_open_for(r, LONG_MS);
}

/* The end of the channel is the end of the process: it must be a clean one (leaks, too). */
static void rig_close(struct rig *r)
{
	int status = 0;

	if (!r->pid)
		return;
	close(r->channel);
	close(r->client);
	waitpid(r->pid, &status, 0);
	if (status != 0)
		test_fail(__FILE__, __LINE__, "the resolver ended with status %x", status);
}
DEFINE_CLEANUP_VALUE(struct rig, rig_close)

static void tell(struct rig *r, const char *endpoints, const char *space)
{
	char json[65536];

	snprintf(
		json, sizeof(json),
		"{\"networks\":[{\"id\":\"n1\",\"name\":\"Shop\",\"endpoints\":[%s]},"
		"{\"id\":\"n2\",\"name\":\"other\",\"endpoints\":[{\"names\":[\"hidden\"],"
		"\"addresses\":[\"10.2.0.2\"]}]}],\"spaces\":[{\"id\":\"c1\",\"networks\":[\"n1\"],"
		"%s}]}",
		endpoints, space);
	if (dns_send_table(r->channel, json, strlen(json), NULL) < 0)
		exit(99);
}

#define NO_WAY_OUT "\"servers\":[\"127.0.0.2\"],\"forward\":false"
#define ONE_SERVER "\"servers\":[\"127.0.0.2\"],\"forward\":true"
#define TWO_SERVERS "\"servers\":[\"127.0.0.2\",\"127.0.0.3\"],\"forward\":true"
#define WEB                                                                            \
	"{\"names\":[\"Web\",\"front\",\"0123456789ab\"],\"addresses\":[\"10.1.0.2\"," \
	"\"fd00::2\"]},{\"names\":[\"db\",\"front\"],\"addresses\":[\"10.1.0.3\"]}"

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) > 0;
}

static const char *take(struct rig *r)
{
	ssize_t n;

	if (!wait_for(r->client))
		return "(nothing)";
	n = recv(r->client, r->last, sizeof(r->last), 0);
	r->last_len = (size_t)MAX(n, 0);
	return ask_text(r->last, r->last_len);
}

static void send_bytes(struct rig *r, const uint8_t *data, size_t len)
{
	if (sendto(r->client, data, len, 0, (struct sockaddr *)&r->udp, sizeof(r->udp)) < 0)
		perror("send");
}

static void ask_id(struct rig *r, uint16_t id, const char *name, uint16_t type, uint16_t edns)
{
	uint8_t buf[512];

	send_bytes(r, buf, ask_write(buf, id, name, type, edns));
}

static const char *ask(struct rig *r, const char *name, uint16_t type)
{
	ask_id(r, 0x4242, name, type, 0);
	return take(r);
}

TEST(names_of_the_network)
{
	_cleanup_(rig_close) struct rig r;

	if (!rig_open(&r))
		return;
	tell(&r, WEB, NO_WAY_OUT);
	CHECK_STR(ask(&r, "web", DNS_ANY), "NOERROR 10.1.0.2 fd00::2");
	CHECK_STR(ask(&r, "web", DNS_A), "NOERROR 10.1.0.2");
	CHECK_INT(dns_get16(r.last), 0x4242);
	CHECK_STR(ask(&r, "WEB", DNS_A), "NOERROR 10.1.0.2");
	CHECK_STR(ask(&r, "web.shop", DNS_A), "NOERROR 10.1.0.2");
	CHECK_STR(ask(&r, "0123456789ab", DNS_A), "NOERROR 10.1.0.2");
	CHECK_STR(ask(&r, "web", DNS_AAAA), "NOERROR fd00::2");
	CHECK_STR(ask(&r, "db", DNS_AAAA), "NOERROR"); /* no data */
	CHECK_STR(ask(&r, "web", 15), "NOERROR");
	CHECK_STR(ask(&r, "2.0.1.10.in-addr.arpa", DNS_PTR), "NOERROR ?=web.shop");
	CHECK_STR(ask(&r,
		      "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
		      DNS_PTR),
		  "NOERROR ?=web.shop");
	/* those of another network are not there, and nothing leaves the machine */
	CHECK_STR(ask(&r, "hidden", DNS_A), "SERVFAIL");
	CHECK_STR(ask(&r, "example.com", DNS_A), "SERVFAIL");
	CHECK_STR(ask(&r, "", DNS_ANY), "SERVFAIL");
	/* the next table counts at once */
	tell(&r, "{\"names\":[\"web\"],\"addresses\":[\"10.1.0.9\"]}", NO_WAY_OUT);
	CHECK_STR(ask(&r, "web", DNS_A), "NOERROR 10.1.0.9");
	CHECK_STR(ask(&r, "db", DNS_A), "SERVFAIL");
}

TEST(one_name_of_several_goes_round)
{
	_cleanup_(rig_close) struct rig r;

	if (!rig_open(&r))
		return;
	tell(&r, WEB, NO_WAY_OUT);
	CHECK_STR(ask(&r, "front", DNS_A), "NOERROR 10.1.0.2 10.1.0.3");
	(void)ask(&r, "front", DNS_AAAA); /* the three addresses take turns */
	CHECK_STR(ask(&r, "front", DNS_A), "NOERROR 10.1.0.3 10.1.0.2");
	CHECK_STR(ask(&r, "front", DNS_A), "NOERROR 10.1.0.2 10.1.0.3");
}

TEST(bad_queries_and_edns)
{
	_cleanup_(rig_close) struct rig r;
	uint8_t buf[512];
	size_t len;

	if (!rig_open(&r))
		return;
	tell(&r, WEB, NO_WAY_OUT);
	send_bytes(&r, (const uint8_t *)"x", 1); /* says nothing */
	ask_id(&r, 1, "web", DNS_A, 1232);
	CHECK_STR(take(&r), "NOERROR 10.1.0.2 EDNS");
	len = ask_write(buf, 1, "web", DNS_A, 1232);
	buf[len - 5] = 1; /* EDNS version 1 */
	send_bytes(&r, buf, len);
	CHECK_STR(take(&r), "NOERROR BADVERS");
	len = ask_write(buf, 1, "web", DNS_A, 0);
	buf[2] = 0x28;
	send_bytes(&r, buf, len);
	CHECK_STR(take(&r), "NOTIMP");
	ask_write(buf, 1, "web", DNS_A, 0);
	send_bytes(&r, buf, len + 1);
	CHECK_STR(take(&r), "FORMERR");
	len = ask_write(buf, 1, "version.bind", 16, 0);
	buf[len - 1] = 3; /* class CHAOS */
	send_bytes(&r, buf, len);
	CHECK_STR(take(&r), "REFUSED");
}

/* Of a connection: one answer, its text. */
static const char *tcp_take(struct rig *r, int fd)
{
	uint8_t head[2];
	size_t have = 0;

	if (!wait_for(fd) || recv(fd, head, 2, MSG_WAITALL) != 2)
		return "(closed)";
	r->last_len = dns_get16(head);
	while (have < r->last_len) {
		ssize_t n = recv(fd, r->last + have, r->last_len - have, 0);

		if (n <= 0)
			return "(cut)";
		have += (size_t)n;
	}
	return ask_text(r->last, r->last_len);
}

static void tcp_write(int fd, uint16_t id, const char *name, uint16_t type)
{
	uint8_t buf[514];
	size_t len = ask_write(buf + 2, id, name, type, 0);

	dns_put16(buf, (uint16_t)len);
	if (send(fd, buf, len + 2, 0) < 0)
		perror("send");
}

static int tcp_open(struct rig *r)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&r->tcp, sizeof(r->tcp)) < 0)
		perror("connect");
	return fd;
}

TEST(large_answers_are_cut_over_udp_and_whole_over_tcp)
{
	_cleanup_(buf_free) struct buf many = BUF_INIT(0);
	_cleanup_(rig_close) struct rig r;
	int fd;

	if (!rig_open(&r))
		return;
	for (int i = 0; i < 200; i++)
		buf_printf(&many, "%s{\"names\":[\"many\"],\"addresses\":[\"10.1.1.%d\"]}",
			   i ? "," : "", i + 1);
	tell(&r, buf_text(&many), NO_WAY_OUT);
	CHECK(str_starts(ask(&r, "many", DNS_A), "NOERROR TC 10.1.1."));
	CHECK(r.last_len <= 512);
	ask_id(&r, 1, "many", DNS_A, 4096);
	CHECK(str_starts(take(&r), "NOERROR 10.1.1.") && dns_get16(r.last + 6) == 200);
	fd = tcp_open(&r);
	tcp_write(fd, 7, "many", DNS_A); /* two at once */
	tcp_write(fd, 8, "many", DNS_AAAA);
	CHECK(str_starts(tcp_take(&r, fd), "NOERROR 10.1.1.") && dns_get16(r.last + 6) == 200);
	CHECK_INT(dns_get16(r.last), 7);
	CHECK_STR(tcp_take(&r, fd), "NOERROR");
	CHECK_INT(dns_get16(r.last), 8);
	shutdown(fd, SHUT_WR);
	CHECK_STR(tcp_take(&r, fd), "(closed)");
	close(fd);
	fd = tcp_open(&r); /* no query at all */
	CHECK_INT(send(fd, "\0\1x", 3, 0), 3);
	CHECK_STR(tcp_take(&r, fd), "(closed)");
	close(fd);
}

/* A question that the resolver asks of a server. */
struct question {
	uint8_t data[DNS_UDP_MAX];
	size_t len;
	struct sockaddr_in from;
};

static bool server_take(int server, struct question *q)
{
	socklen_t len = sizeof(q->from);
	ssize_t n;

	if (!wait_for(server))
		return false;
	n = recvfrom(server, q->data, sizeof(q->data), 0, (struct sockaddr *)&q->from, &len);
	q->len = (size_t)MAX(n, 0);
	return n > 0;
}

/* Answers 192.0.2.LAST, or with an rcode. */
static size_t server_answer(const struct question *q, uint8_t out[512], uint8_t last,
			    enum dns_rcode rcode)
{
	struct dns_addr a = { 4, { 192, 0, 2, last } };
	struct dns_query parsed;
	struct dns_out o;

	if (dns_query_read(q->data, q->len, &parsed) < 0)
		exit(99);
	dns_answer_begin(&o, out, 512, q->data, &parsed, rcode);
	if (rcode == DNS_NOERROR)
		(void)dns_answer_addr(&o, &a, 60);
	return dns_answer_end(&o);
}

static void server_send(int server, const struct question *q, const uint8_t *data, size_t len)
{
	if (sendto(server, data, len, 0, (const struct sockaddr *)&q->from, sizeof(q->from)) < 0)
		perror("answer");
}

TEST(other_names_are_asked_of_the_server)
{
	_cleanup_(rig_close) struct rig r;
	struct question q, second;
	uint8_t out[512];
	int server;
	size_t len;

	if (!rig_open(&r))
		return;
	server = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	ask_id(&r, 0x1111, "Example.com", DNS_A, 1232);
	CHECK(server_take(server, &q));
	len = server_answer(&q, out, 7, DNS_NOERROR);
	server_send(server, &q, out, len);
	CHECK_STR(take(&r), "NOERROR 192.0.2.7 EDNS");
	CHECK_INT(dns_get16(r.last), 0x1111);
	/* each on a port of its own; the name as it was written */
	ask_id(&r, 0x1111, "Example.com", DNS_A, 0);
	CHECK(server_take(server, &second));
	CHECK(memcmp(q.data + DNS_HEADER, "\7Example\3com", 13) == 0);
	CHECK(second.from.sin_port != q.from.sin_port ||
	      dns_get16(second.data) != dns_get16(q.data));
	/* a name that does not exist does not exist */
	len = server_answer(&second, out, 0, DNS_NXDOMAIN);
	server_send(server, &second, out, len);
	CHECK_STR(take(&r), "NXDOMAIN");
	close(server);
}

TEST(forged_replies_do_not_count)
{
	_cleanup_(rig_close) struct rig r;
	struct question q, other = { .len = 0 };
	int server, stranger;
	uint8_t out[512];
	size_t len;

	if (!rig_open(&r))
		return;
	server = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	stranger = sock(SOCK_DGRAM, "127.0.0.3", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	ask_id(&r, 1, "example.com", DNS_A, 0);
	CHECK(server_take(server, &q));
	len = server_answer(&q, out, 66, DNS_NOERROR);
	server_send(stranger, &q, out, len); /* another address */
	dns_put16(out, (uint16_t)(dns_get16(out) + 1));
	server_send(server, &q, out, len); /* another id */
	other.from = q.from;
	other.len = ask_write(other.data, dns_get16(q.data), "example.org", DNS_A, 0);
	len = server_answer(&other, out, 66, DNS_NOERROR);
	server_send(server, &q, out, len); /* another question */
	server_send(server, &q, q.data, q.len); /* no answer */
	server_send(server, &q, (const uint8_t *)"", 0);
	len = server_answer(&q, out, 7, DNS_NOERROR);
	server_send(server, &q, out, len);
	CHECK_STR(take(&r), "NOERROR 192.0.2.7");
	close(server);
	close(stranger);
}

TEST(the_next_server_is_asked)
{
	_cleanup_(rig_close) struct rig r;
	int second, first;
	struct question q;
	uint8_t out[512];
	size_t len;

	if (!rig_open(&r))
		return;
	second = sock(SOCK_DGRAM, "127.0.0.3", 53, NULL);
	tell(&r, WEB, TWO_SERVERS);
	ask_id(&r, 1, "one.example", DNS_A, 0); /* nobody listens at the first one */
	CHECK(server_take(second, &q));
	len = server_answer(&q, out, 3, DNS_NOERROR);
	server_send(second, &q, out, len);
	CHECK_STR(take(&r), "NOERROR 192.0.2.3");
	first = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	ask_id(&r, 1, "two.example", DNS_A, 0); /* the first one will not */
	CHECK(server_take(first, &q));
	len = server_answer(&q, out, 0, DNS_REFUSED);
	server_send(first, &q, out, len);
	CHECK(server_take(second, &q));
	len = server_answer(&q, out, 0, DNS_SERVFAIL);
	server_send(second, &q, out, len);
	CHECK_STR(take(&r), "SERVFAIL");
	close(first);
	/* nobody there at all */
	close(second);
	CHECK_STR(ask(&r, "three.example", DNS_A), "SERVFAIL");
}

TEST(a_silent_server_is_given_up)
{
	_cleanup_(rig_close) struct rig r;
	struct question q;
	int server;

	if (!rig_open_for(&r, SHORT_MS))
		return;
	server = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	ask_id(&r, 1, "example.com", DNS_A, 0);
	CHECK(server_take(server, &q));
	CHECK(server_take(server, &q)); /* asked once more */
	CHECK_STR(take(&r), "SERVFAIL");
	close(server);
}

TEST(a_thousand_at_once)
{
	enum { N = 1000 };
	_cleanup_(rig_close) struct rig r;
	static bool seen[N];
	struct question q;
	uint8_t out[512];
	char name[32];
	int server;

	if (!rig_open(&r))
		return;
	server = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		ask_id(&r, (uint16_t)i, name, DNS_A, 0);
	}
	for (int i = 0; i < N; i++) {
		CHECK_MSG(server_take(server, &q), "question %d does not come", i);
		server_send(server, &q, out, server_answer(&q, out, 1, DNS_NOERROR));
	}
	for (int i = 0; i < N; i++) {
		CHECK_STR(take(&r), "NOERROR 192.0.2.1");
		CHECK_MSG(dns_get16(r.last) < N && !seen[dns_get16(r.last)], "answer %d is twice",
			  dns_get16(r.last));
		seen[dns_get16(r.last)] = true;
	}
	close(server);
}

/* Servers that ask each other in a ring end by this bound. */
TEST(questions_at_once_are_bounded)
{
	enum { N = 1500, MOST = 1024 };
	_cleanup_(rig_close) struct rig r;
	struct question q;
	char name[32];
	int server;

	if (!rig_open(&r))
		return;
	server = sock(SOCK_DGRAM, "127.0.0.2", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	for (int i = 0; i < MOST; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		ask_id(&r, (uint16_t)i, name, DNS_A, 0);
	}
	CHECK(server_take(server, &q));
	for (int i = MOST; i < N; i++)
		ask_id(&r, (uint16_t)i, "more.example", DNS_A, 0);
	for (int i = MOST; i < N; i++) {
		CHECK_STR(take(&r), "SERVFAIL");
	}
	CHECK_STR(ask(&r, "web", DNS_A), "NOERROR 10.1.0.2");
	close(server);
}

TEST(over_tcp_the_server_is_asked_over_tcp)
{
	_cleanup_(rig_close) struct rig r;
	int server, fd, peer;
	struct question q = { .len = 0 };
	uint8_t out[514], head[2];
	size_t len;

	if (!rig_open(&r))
		return;
	server = sock(SOCK_STREAM, "127.0.0.2", 53, NULL);
	tell(&r, WEB, ONE_SERVER);
	fd = tcp_open(&r);
	tcp_write(fd, 9, "example.com", DNS_A);
	CHECK(wait_for(server));
	peer = accept(server, NULL, NULL);
	CHECK_INT(recv(peer, head, 2, MSG_WAITALL), 2);
	q.len = dns_get16(head);
	CHECK_INT(recv(peer, q.data, q.len, MSG_WAITALL), (long)q.len);
	len = server_answer(&q, out + 2, 9, DNS_NOERROR);
	dns_put16(out, (uint16_t)len);
	CHECK_INT(send(peer, out, 1, 0), 1); /* in pieces */
	CHECK_INT(send(peer, out + 1, len + 1, 0), (long)len + 1);
	CHECK_STR(tcp_take(&r, fd), "NOERROR 192.0.2.9");
	CHECK_INT(dns_get16(r.last), 9);
	/* who goes away while it waits leaves nothing behind */
	tcp_write(fd, 10, "example.com", DNS_A);
	close(peer);
	CHECK(wait_for(server));
	peer = accept(server, NULL, NULL);
	close(fd);
	CHECK_STR(ask(&r, "web", DNS_A), "NOERROR 10.1.0.2");
	close(peer);
	close(server);
}
