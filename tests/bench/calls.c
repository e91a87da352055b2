/*
 * Times container operations inside the machine, over one kept connection to the Docker socket, and
 * the bare system calls that they are compared with.
 *
 * tests/bench/run bakes it into an image and runs it on the console: `calls WHAT ROUNDS IMAGE`. It
 * prints the median in microseconds. WHAT: unshare (the command `unshare -mpnuif --mount-proc
 * busybox true`), enter (fork, setns into a running container's namespaces, execve),
 * run (create, start, wait, delete; network none), port (the same with bridge and a published
 * port), exec (create, start and read to its end), list (all containers), network (create and
 * remove one).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_PATH "/run/docker.sock"
#define PROGRAM "/bin/busybox"

enum { ROUNDS_MAX = 1000, ANSWER_MAX = 4 << 20 };

struct http {
	int fd;
	size_t have; /* bytes in text */
	char text[ANSWER_MAX + 1];
};

static void die(const char *what)
{
	fprintf(stderr, "calls: %s: %m\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- HTTP, as far as it is needed here ---- */

static void http_open(struct http *h)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };

	h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->fd < 0 || connect(h->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(SOCKET_PATH);
}

static void more(struct http *h)
{
	ssize_t n = h->have < ANSWER_MAX ? read(h->fd, h->text + h->have, ANSWER_MAX - h->have) : 0;

	if (n <= 0)
		die("the engine's answer is cut or too long");
	h->have += (size_t)n;
	h->text[h->have] = '\0';
}

/* One request and its answer; the status, the body's start in *ret_body. */
static int ask(struct http *h, const char *method, const char *path, const char *json,
	       const char **ret_body)
{
	char *end, *field;
	size_t body;

	dprintf(h->fd,
		"%s %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, strlen(json), json);
	h->have = 0;
	h->text[0] = '\0';
	while (!(end = strstr(h->text, "\r\n\r\n")))
		more(h);
	body = (size_t)(end - h->text) + 4;
	*end = '\0';
	field = strcasestr(h->text, "\r\ncontent-length:");
	if (field) {
		size_t len = strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);

		while (h->have < body + len)
			more(h);
	} else if (strcasestr(h->text, "\r\ntransfer-encoding: chunked")) {
		while (h->have < body + 5 || memcmp(h->text + h->have - 5, "0\r\n\r\n", 5))
			more(h);
	}
	if (ret_body)
		*ret_body = h->text + body;
	return atoi(h->text + strlen("HTTP/1.1 "));
}

static void need(struct http *h, const char *method, const char *path, const char *json, int want,
		 const char **ret_body)
{
	const char *body;
	int status = ask(h, method, path, json, &body);

	if (status != want) {
		fprintf(stderr, "calls: %s %s: %d %s\n", method, path, status, body);
		exit(1);
	}
	if (ret_body)
		*ret_body = body;
}

/* The 64 hex digits behind "Id":" in an answer. */
static void read_id(const char *body, char id[65])
{
	const char *at = strstr(body, "\"Id\":\"");

	if (!at || sscanf(at + 6, "%64[0-9a-f]", id) != 1)
		die("an answer without Id");
}

/* ---- what is measured ---- */

static void container(struct http *h, const char *host_config, const char *image, const char *cmd,
		      char id[65])
{
	const char *body;
	char json[512];

	snprintf(json, sizeof(json), "{\"Image\":\"%s\",\"Cmd\":%s,\"HostConfig\":%s}", image, cmd,
		 host_config);
	need(h, "POST", "/containers/create", json, 201, &body);
	read_id(body, id);
}

static void verb(struct http *h, const char *method, const char *id, const char *what, int want)
{
	char path[160];

	snprintf(path, sizeof(path), "/containers/%s%s", id, what);
	need(h, method, path, "", want, NULL);
}

static void run_with(struct http *h, const char *host_config, const char *image)
{
	char id[65];

	container(h, host_config, image, "[\"true\"]", id);
	verb(h, "POST", id, "/start", 204);
	verb(h, "POST", id, "/wait", 200);
	verb(h, "DELETE", id, "", 204);
}

static void run(struct http *h, const char *image, const char *id)
{
	(void)id;
	run_with(h, "{\"NetworkMode\":\"none\"}", image);
}

static void port(struct http *h, const char *image, const char *id)
{
	(void)id;
	run_with(h, "{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"18099\"}]}}", image);
}

static void exec(struct http *h, const char *image, const char *id)
{
	struct http *own = calloc(1, sizeof(*own));
	char path[160], exec_id[65];
	const char *body;

	(void)image;
	if (!own)
		die("memory");
	snprintf(path, sizeof(path), "/containers/%s/exec", id);
	need(h, "POST", path, "{\"Cmd\":[\"true\"],\"AttachStdout\":true}", 201, &body);
	read_id(body, exec_id);
	snprintf(path, sizeof(path), "/exec/%s/start", exec_id);
	http_open(own); /* the connection ends with the stream */
	need(own, "POST", path, "{}", 200, NULL);
	while (read(own->fd, own->text, ANSWER_MAX) > 0)
		;
	close(own->fd);
	free(own);
}

static void list(struct http *h, const char *image, const char *id)
{
	(void)image;
	(void)id;
	need(h, "GET", "/containers/json?all=1", "", 200, NULL);
}

static void network(struct http *h, const char *image, const char *id)
{
	(void)image;
	(void)id;
	need(h, "POST", "/networks/create", "{\"Name\":\"bench-network\"}", 201, NULL);
	need(h, "DELETE", "/networks/bench-network", "", 204, NULL);
}

static void finish(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		die("a child");
}

/* The command that is the floor, as somebody would type it. */
static void bare_unshare(struct http *h, const char *image, const char *id)
{
	pid_t child = fork();

	(void)h;
	(void)image;
	(void)id;
	if (child == 0) {
		execl(PROGRAM, "unshare", "-mpnuif", "--mount-proc", PROGRAM, "true", (char *)NULL);
		_exit(127);
	}
	finish(child);
}

static pid_t pid_of(struct http *h, const char *id)
{
	const char *body, *at;
	char path[160];

	snprintf(path, sizeof(path), "/containers/%s/json", id);
	need(h, "GET", path, "", 200, &body);
	at = strstr(body, "\"Pid\":");
	return at ? atoi(at + 6) : 0;
}

/* fork and exec with setns between them, twice forked since a pid namespace holds for children */
static void bare_enter(struct http *h, const char *image, const char *id)
{
	static pid_t first;
	pid_t outer;

	(void)image;
	if (!first)
		first = pid_of(h, id);
	outer = fork();
	if (outer == 0) {
		int pidfd = (int)syscall(SYS_pidfd_open, first, 0), status = 1;
		pid_t inner;

		if (setns(pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS |
					 CLONE_NEWIPC | CLONE_NEWCGROUP) < 0)
			_exit(1);
		inner = fork();
		if (inner == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		waitpid(inner, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	finish(outer);
}

static const struct {
	const char *name;
	void (*fn)(struct http *h, const char *image, const char *id);
	bool needs_container;
} measures[] = {
	{ "unshare", bare_unshare, false },
	{ "enter", bare_enter, true },
	{ "run", run, false },
	{ "port", port, false },
	{ "exec", exec, true },
	{ "list", list, false },
	{ "network", network, false },
};

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	static struct http h;
	static int64_t took[ROUNDS_MAX];
	char id[65] = "";
	int rounds = argc > 3 ? atoi(argv[2]) : 0;

	for (size_t i = 0; i < sizeof(measures) / sizeof(*measures) && rounds > 0; i++) {
		if (strcmp(argv[1], measures[i].name))
			continue;
		http_open(&h);
		if (measures[i].needs_container) {
			container(&h, "{\"NetworkMode\":\"none\"}", argv[3],
				  "[\"sleep\",\"100000\"]", id);
			verb(&h, "POST", id, "/start", 204);
		}
		for (int n = -1; n < rounds && n < ROUNDS_MAX; n++) { /* the first is not counted */
			int64_t start = now_us();

			measures[i].fn(&h, argv[3], id);
			if (n >= 0)
				took[n] = now_us() - start;
		}
		if (*id)
			verb(&h, "DELETE", id, "?force=1", 204);
		qsort(took, (size_t)rounds, sizeof(*took), by_value);
		printf("%lld\n", (long long)took[rounds / 2]);
		return 0;
	}
	fprintf(stderr, "usage: calls unshare|enter|run|port|exec|list ROUNDS IMAGE\n");
	return 2;
}
