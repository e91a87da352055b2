/*
 * Times networks: what the engine's are compared with, and questions to its resolver.
 *
 *   nets serve PORT             answers each UDP datagram with itself, for ever
 *   nets echo ADDRESS PORT N    median time of N datagrams there and back, in microseconds
 *   nets dns ADDRESS NAME N     the same for questions for a container's name
 *   nets link N                 median time to make a bridge with an address, bring it up and
 *                               remove it, by the bare netlink calls
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 10000, WAIT_MS = 5000 };

static void die(const char *what)
{
	fprintf(stderr, "nets: %s: %m\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int finish(int64_t *took, int n)
{
	qsort(took, (size_t)n, sizeof(*took), by_size);
	printf("%lld\n", (long long)took[n / 2]);
	return 0;
}

/* ---- datagrams ---- */

static int udp(const char *address, int port, int server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, address, &a.sin_addr);
	if (fd < 0 || (server ? bind : connect)(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(address);
	return fd;
}

static _Noreturn void serve(int port)
{
	int fd = udp("0.0.0.0", port, 1);
	struct sockaddr_in from;
	char data[1500];

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			(void)sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static size_t question(unsigned char *q, const char *name)
{
	size_t len = strlen(name);

	if (len > 63)
		die("the name is too long");
	memset(q, 0, 12);
	q[2] = 1;
	q[5] = 1;
	q[12] = (unsigned char)len;
	memcpy(q + 13, name, len);
	memcpy(q + 13 + len, "\0\0\1\0\1", 5);
	return 18 + len;
}

static int there_and_back(int fd, const void *data, size_t size, int rounds, int64_t *took)
{
	unsigned char answer[1500];

	for (int i = 0; i < rounds; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t start = now_us();

		if (send(fd, data, size, 0) < 0 || poll(&p, 1, WAIT_MS) <= 0 ||
		    recv(fd, answer, sizeof(answer), 0) < (ssize_t)size)
			die("no answer");
		took[i] = now_us() - start;
	}
	return finish(took, rounds);
}

/* ---- netlink ---- */

struct message {
	struct nlmsghdr h;
	char rest[256];
};

static void begin(struct message *m, uint16_t type, uint16_t flags, const void *head, size_t len)
{
	memset(m, 0, sizeof(*m));
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	memcpy(m->rest, head, len);
	m->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
}

static struct rtattr *put(struct message *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void call(int fd, struct message *m)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[1024];
	} answer;

	if (send(fd, m, m->h.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		die("netlink");
	if (answer.h.nlmsg_type != NLMSG_ERROR || answer.e.error) {
		errno = -answer.e.error;
		die("netlink refuses");
	}
}

static void bridge(int fd, const char *name)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg address = { .ifa_family = AF_INET, .ifa_prefixlen = 16 };
	unsigned char ip[4] = { 10, 253, 0, 1 };
	struct message m;
	struct rtattr *info;

	begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put(&m, IFLA_INFO_KIND, "bridge", sizeof("bridge"));
	info->rta_len = (uint16_t)((char *)&m + m.h.nlmsg_len - (char *)info);
	call(fd, &m);
	link.ifi_index = (int)if_nametoindex(name);
	address.ifa_index = (uint32_t)link.ifi_index;
	begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &address, sizeof(address));
	put(&m, IFA_LOCAL, ip, sizeof(ip));
	put(&m, IFA_ADDRESS, ip, sizeof(ip));
	call(fd, &m);
	link.ifi_flags = link.ifi_change = IFF_UP;
	begin(&m, RTM_NEWLINK, 0, &link, sizeof(link));
	call(fd, &m);
	begin(&m, RTM_DELLINK, 0, &link, sizeof(link));
	call(fd, &m);
}

static int links(int rounds, int64_t *took)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0)
		die("netlink");
	for (int i = 0; i < rounds; i++) {
		int64_t start = now_us();

		bridge(fd, "bench0");
		took[i] = now_us() - start;
	}
	return finish(took, rounds);
}

int main(int argc, char **argv)
{
	static int64_t took[ROUNDS_MAX];
	int rounds = argc > 2 ? atoi(argv[argc - 1]) : 0;
	unsigned char q[128] = "how long does it take?";

	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(rounds);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	if (argc == 5 && !strcmp(argv[1], "echo"))
		return there_and_back(udp(argv[2], atoi(argv[3]), 0), q, 40, rounds, took);
	if (argc == 5 && !strcmp(argv[1], "dns"))
		return there_and_back(udp(argv[2], 53, 0), q, question(q, argv[3]), rounds, took);
	if (argc == 3 && !strcmp(argv[1], "link"))
		return links(rounds, took);
	return 2;
}
