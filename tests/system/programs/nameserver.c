/*
 * A name server that knows one answer: `nameserver ADDRESS` answers every question over UDP with
 * that IPv4 address, and prints the name that was asked for, one a line.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADER = 12, RECORD = 16, PORT = 53 };

static size_t print_name(const unsigned char *p, size_t len)
{
	size_t at = HEADER;

	while (at < len && p[at]) {
		printf("%s%.*s", at == HEADER ? "" : ".", p[at], p + at + 1);
		at += p[at] + 1U;
	}
	printf("\n");
	fflush(stdout);
	return at + 5;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	unsigned char record[RECORD] = { 0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4 }, m[1024];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 2 || inet_pton(AF_INET, argv[1], record + 12) != 1 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror("nameserver");
		return 1;
	}
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, m, 512, 0, (struct sockaddr *)&from, &size);
		size_t end;

		if (n < HEADER)
			continue;
		end = print_name(m, (size_t)n);
		if (end > 512)
			continue;
		m[2] |= 0x80;
		m[3] |= 0x80;
		m[7] = end > HEADER && m[end - 3] == 1; /* of type A; else no data */
		memset(m + 8, 0, 4); /* no EDNS */
		memcpy(m + end, record, sizeof(record));
		sendto(fd, m, end + (m[7] ? sizeof(record) : 0), 0, (struct sockaddr *)&from, size);
	}
}
