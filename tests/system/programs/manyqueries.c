/*
 * manyqueries NAME COUNT: asks 127.0.0.11 for the address of NAME, COUNT times at once from one
 * socket, and prints how many answers came with an address within 10 s.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static size_t question(unsigned char *q, unsigned int id, const char *name)
{
	size_t at = 12;

	memset(q, 0, 12);
	q[0] = (unsigned char)(id >> 8);
	q[1] = (unsigned char)id;
	q[2] = 1; /* recursion is wished */
	q[5] = 1; /* one question */
	while (*name) {
		size_t len = strcspn(name, ".");

		q[at++] = (unsigned char)len;
		memcpy(q + at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	memcpy(q + at, "\0\0\1\0\1", 5);
	return at + 5;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20, count, answers = 0;
	unsigned char m[1024];

	if (argc != 3 || strlen(argv[1]) > 250 || fd < 0)
		return 2;
	count = atoi(argv[2]);
	inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	for (int i = 0; i < count; i++)
		if (send(fd, m, question(m, (unsigned int)i, argv[1]), 0) < 0)
			perror("send");
	while (answers < count) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 10000) <= 0)
			break;
		if (recv(fd, m, sizeof(m), 0) > 12 && (m[3] & 15) == 0 && m[7] > 0)
			answers++;
	}
	printf("%d\n", answers);
	return 0;
}
