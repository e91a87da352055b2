/*
 * Many clients of a unix socket, of one kind each time:
 *
 *   clients stall SOCKET COUNT PATH    ask, never read, stay; says "ready" and waits to be killed
 *   clients quick SOCKET COUNT PATH    one after the other: ask, read the answer, go
 *   clients half SOCKET COUNT PATH     the same, but they end their side before they read
 *   clients leave SOCKET COUNT PATH    one after the other: ask and go at once
 *
 * PATH may have a method in front ("POST /x"). Says at the end how many were answered with 2xx ("9
 * ok"), or which one failed.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(const char *path, const char *request)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t len = strlen(request);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	return write(fd, request, len) == (ssize_t)len ? fd : -1;
}

/* Reads to the end; whether it began with 2xx. */
static bool answered(int fd)
{
	char text[4096] = "";
	ssize_t n = read(fd, text, sizeof(text) - 1), more = n;

	while (more > 0)
		more = read(fd, text + 100, sizeof(text) - 100);
	return n > 12 && strncmp(text, "HTTP/1.1 2", 10) == 0;
}

int main(int argc, char **argv)
{
	int count = argc == 5 ? atoi(argv[3]) : 0, ok = 0;
	bool stall = argc == 5 && strcmp(argv[1], "stall") == 0;
	bool half = argc == 5 && strcmp(argv[1], "half") == 0;
	bool quick = half || (argc == 5 && strcmp(argv[1], "quick") == 0);
	char request[1024];

	if (count <= 0)
		return 2;
	snprintf(request, sizeof(request), "%s%s HTTP/1.1\r\nHost: d\r\n%s\r\n",
		 argv[4][0] == '/' ? "GET " : "", argv[4], quick ? "Connection: close\r\n" : "");
	for (int i = 0; i < count; i++) {
		int fd = ask(argv[2], request);

		if (fd < 0) {
			perror("clients");
			printf("failed at %d\n", i);
			return 1;
		}
		if (half)
			shutdown(fd, SHUT_WR);
		ok += quick && answered(fd);
		if (!stall)
			close(fd);
	}
	if (stall) {
		printf("ready\n");
		fflush(stdout);
		poll(NULL, 0, -1);
	}
	printf("%d ok\n", ok);
	return 0;
}
