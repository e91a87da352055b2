/* Published ports: the text forms, and holding real sockets on loopback addresses. */
#include "engine/net/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "init/base/util.h"
#include "tests/unit/test.h"

/* All wants of a spec as one line: "proto ip first-last>container ..."; or the error's text. */
static const char *spec(const char *text)
{
	static char out[512];
	char ip[IP_TEXT_MAX];
	struct port_want *w = NULL;
	struct err e = { 0 };
	size_t n = 0, at = 0;

	if (port_spec_parse(text, &w, &n, &e) < 0) {
		snprintf(out, sizeof(out), "%s", err_text(&e));
		return out;
	}
	out[0] = '\0';
	for (size_t i = 0; i < n && at < sizeof(out); i++)
		at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%s %s %u-%u>%u",
				       i ? ", " : "", port_proto_name(w[i].proto),
				       ip_text(&w[i].host_ip, ip), w[i].host_first, w[i].host_last,
				       w[i].container_port);
	free(w);
	return out;
}

TEST(specs)
{
	CHECK_STR(spec("80"), "tcp  0-0>80");
	CHECK_STR(spec("8080:80"), "tcp  8080-8080>80");
	CHECK_STR(spec("53:5353/udp"), "udp  53-53>5353");
	CHECK_STR(spec("127.0.0.1:8080:80/TCP"), "tcp 127.0.0.1 8080-8080>80");
	CHECK_STR(spec("127.0.0.1::80"), "tcp 127.0.0.1 0-0>80");
	CHECK_STR(spec("[::1]:8080:80"), "tcp ::1 8080-8080>80");
	CHECK_STR(spec("0:80"), "tcp  0-0>80");
	CHECK_STR(spec("80/"), "tcp  0-0>80"); /* as Docker has it */
	CHECK_STR(spec("8000-8010:80"), "tcp  8000-8010>80");
	CHECK_STR(spec("9000-9001:80-81/sctp"), "sctp  9000-9000>80, sctp  9001-9001>81");
	CHECK_STR(spec("80-82"), "tcp  0-0>80, tcp  0-0>81, tcp  0-0>82");
}

TEST(bad_specs)
{
	static const char *const bad[] = { "",	       ":",
					   "0",	       "65536",
					   "80:",      "a:80",
					   "80/icmp",  "-80",
					   "80-",      "90-80",
					   "1-3:1-2",  "1.2.3:80:80",
					   "1:2:3:4",  "[::1:80:80",
					   "[::1]:80", " 80",
					   "80 ",      "+80",
					   "1e3",      "host:80:80",
					   ":80:80",   "80:80:80:80/tcp/udp" };
	struct port_want *w = NULL;
	size_t n;
	struct err e;
	char long_spec[400];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e.code = 0;
		CHECK_MSG(port_spec_parse(bad[i], &w, &n, &e) == -EINVAL, "took \"%s\"", bad[i]);
		CHECK_INT(e.code, EINVAL);
	}
	CHECK_INT(port_spec_parse("1-65535", &w, &n, &e), -E2BIG);
	memset(long_spec, '1', sizeof(long_spec));
	long_spec[sizeof(long_spec) - 1] = '\0';
	CHECK_INT(port_spec_parse(long_spec, &w, &n, &e), -EINVAL);
	CHECK_STR(spec("1-3:1-2"), "invalid port \"1-3:1-2\": the two ranges differ in length");
}

TEST(api_form)
{
	struct port_want w;
	struct err e;

	CHECK_INT(port_want_parse("80/tcp", "", "", &w, &e), 0);
	CHECK(!ip_is_set(&w.host_ip) && w.host_first == 0 && w.container_port == 80);
	CHECK_INT(port_want_parse("53/udp", "192.0.2.1", "53-60", &w, &e), 0);
	CHECK(w.proto == IPPROTO_UDP && w.host_first == 53 && w.host_last == 60);
	CHECK_INT(port_want_parse("80/tcp", NULL, "x", &w, &e), -EINVAL);
	CHECK_INT(port_want_parse("80/tcp", "nowhere", "1", &w, &e), -EINVAL);
	CHECK_INT(port_want_parse("/tcp", "", "1", &w, &e), -EINVAL);
}

static struct port_want want(const char *text)
{
	struct port_want w = { 0 }, *list = NULL;
	size_t n;

	if (port_spec_parse(text, &list, &n, NULL) == 0)
		w = list[0];
	free(list);
	return w;
}

/* A machine's own listening socket on 127.0.0.1; returns its port. */
static int listener(uint16_t *ret_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		exit(99);
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

TEST(conflicts_are_the_kernels)
{
	struct port_space s = { 0 };
	struct port_want w[2] = { want("127.0.0.1::80"), want("127.0.0.1:1:81") };
	struct port_binding a, b[2];
	struct err e = { 0 };
	char text[100];
	uint16_t port;
	int fd = listener(&port);

	/* a program of the machine has it */
	w[1].host_first = w[1].host_last = port;
	CHECK_INT(ports_take(&s, &w[1], 1, &a, &e), -EADDRINUSE);
	snprintf(text, sizeof(text), "Bind for 127.0.0.1:%u failed: port is already allocated",
		 port);
	CHECK_STR(err_text(&e), text);
	/* all or none: the first of two is given back */
	CHECK_INT(ports_take(&s, w, 2, b, &e), -EADDRINUSE);
	CHECK_INT(b[0].fd, -1);
	close(fd);
	CHECK_INT(ports_take(&s, &w[1], 1, &a, &e), 0);
	CHECK_INT(a.host_port, port);
	/* the wildcard clashes with the single address, another single address does not */
	w[0] = want("0.0.0.0:1:80");
	w[0].host_first = w[0].host_last = port;
	CHECK_INT(ports_take(&s, w, 1, b, &e), -EADDRINUSE);
	w[0].host_ip.b[0] = 127;
	w[0].host_ip.b[3] = 2;
	CHECK_INT(ports_take(&s, w, 1, b, &e), 0);
	ports_release(&s, b, 1);
	ports_release(&s, &a, 1);
	/* and after release it is free again; a range takes the next one */
	CHECK_INT(port_retake(&s, &a, &e), 0);
	w[0].host_ip = w[1].host_ip;
	w[0].host_last = (uint16_t)MIN(port + 20, 65535);
	CHECK_INT(ports_take(&s, w, 1, b, &e), 0);
	CHECK(b[0].host_port > port);
	ports_release(&s, b, 1);
	ports_release(&s, &a, 1);
	port_space_free(&s);
}

TEST(random_ports_go_on)
{
	struct port_space s = { .cursor = PORT_EPHEMERAL_LAST - 1 };
	struct port_want w[3] = { want("127.0.0.1::80"), want("127.0.0.1::81"),
				  want("127.0.0.1::82/udp") };
	struct port_binding b[3];
	struct err e = { 0 };

	CHECK_MSG(ports_take(&s, w, 3, b, &e) == 0, "%s", err_text(&e));
	for (int i = 0; i < 3; i++)
		CHECK(b[i].host_port >= PORT_EPHEMERAL_FIRST &&
		      b[i].host_port <= PORT_EPHEMERAL_LAST && b[i].fd >= 0);
	CHECK(b[0].host_port != b[1].host_port && b[1].host_port != b[2].host_port);
	ports_release(&s, b, 3);
	CHECK_INT(b[1].fd, -1);
	port_space_free(&s);
}

TEST(foreign_address)
{
	struct port_space s = { 0 };
	struct port_want w = want("192.0.2.77:8080:80");
	struct port_binding b;
	struct err e = { 0 };

	CHECK_INT(ports_take(&s, &w, 1, &b, &e), -EADDRNOTAVAIL);
	CHECK_STR(err_text(&e), "cannot bind 192.0.2.77:8080/tcp: Cannot assign requested address");
}

/* SCTP conflicts are found with and without sockets of that kind in the kernel. */
TEST(sctp)
{
	struct port_space s = { 0 };
	struct port_want one = want("36412:36412/sctp"), two = want("127.0.0.1:36412:1/sctp");
	struct port_binding a, b;
	struct err e = { 0 };

	CHECK_MSG(ports_take(&s, &one, 1, &a, &e) == 0, "%s", err_text(&e));
	CHECK_INT(ports_take(&s, &two, 1, &b, &e), -EADDRINUSE);
	ports_release(&s, &a, 1);
	CHECK_MSG(ports_take(&s, &two, 1, &b, &e) == 0, "%s", err_text(&e));
	ports_release(&s, &b, 1);
	CHECK_INT((long)s.n_unheld, 0);
	port_space_free(&s);
}
