/*
 * Attaches to a container over a unix socket and leaves again, many times: `attacher SOCKET PATH
 * N`.
 *
 * PATH is what is POSTed, with everything behind the "?". Each time the head of the answer is read,
 * then the connection is closed without a word. Prints "done N". Run by tests/system/test_exec.py
 * inside of a container that has the engine's socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int attach_once(const char *path, const char *target)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char text[1024], got[4096];
	size_t have = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return -1;
	memcpy(sa.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	snprintf(text, sizeof(text),
		 "POST %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
		 "Content-Length: 0\r\n\r\n",
		 target);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	while (have < sizeof(got) - 1) {
		ssize_t n = read(fd, got + have, sizeof(got) - 1 - have);

		if (n <= 0)
			return -1;
		have += (size_t)n;
		got[have] = '\0';
		if (strstr(got, "\r\n\r\n"))
			break;
	}
	close(fd);
	return strncmp(got, "HTTP/1.1 101 ", 13) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	int n = argc == 4 ? atoi(argv[3]) : 0;

	for (int i = 0; i < n; i++) {
		if (attach_once(argv[1], argv[2]) < 0) {
			perror("attacher");
			return 1;
		}
	}
	printf("done %d\n", n);
	return 0;
}
