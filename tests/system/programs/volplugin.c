/*
 * A volume plugin for tests: `volplugin SOCKET FOLDER`. Volumes are folders below FOLDER; each call
 * is a line of FOLDER/calls: the method, the name, the id.
 *
 * Names that begin so make it misbehave: "refuse" (says no to Create), "hang" (never answers to
 * Create), "stuck" (never answers to Get), "rootfs", "state", "nowhere", "relative", "nomp" (lies
 * about where it is), "garbage" (answers to Mount with what is no JSON), "keep" (refuses Remove).
 * With a third argument "deaf" it takes connections and never says a word.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder;

static int begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The text behind "key":" in a JSON that has no escapes. */
static void value(const char *json, const char *key, char *ret, size_t size)
{
	char mark[64];
	const char *at;

	snprintf(mark, sizeof(mark), "\"%s\":\"", key);
	at = strstr(json, mark);
	ret[0] = '\0';
	if (at)
		snprintf(ret, size, "%.*s", (int)strcspn(at + strlen(mark), "\""),
			 at + strlen(mark));
}

static void say(int fd, const char *json)
{
	dprintf(fd,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
		"%zu\r\n\r\n%s",
		strlen(json), json);
}

static void place(const char *name, char *ret, size_t size)
{
	static const char *const lies[][2] = { { "rootfs", "/" },
					       { "state", "/var/lib/skerry/containers" },
					       { "nowhere", "/no/such/place" },
					       { "relative", "here" },
					       { "nomp", "" } };

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		if (begins(name, lies[i][0])) {
			snprintf(ret, size, "%s", lies[i][1]);
			return;
		}
	}
	snprintf(ret, size, "%s/%s", folder, name);
}

static void list(int fd)
{
	char json[32768] = "{\"Volumes\":[";
	DIR *d = opendir(folder);
	struct dirent *x;
	size_t n = strlen(json);

	while (d && (x = readdir(d)) && n < sizeof(json) - 1000)
		if (x->d_name[0] != '.' && x->d_type == DT_DIR)
			n += (size_t)snprintf(json + n, sizeof(json) - n,
					      "%s{\"Name\":\"%s\",\"Mountpoint\":\"%s/%s\"}",
					      json[n - 1] == '[' ? "" : ",", x->d_name, folder,
					      x->d_name);
	if (d)
		closedir(d);
	snprintf(json + n, sizeof(json) - n, "],\"Err\":\"\"}");
	say(fd, json);
}

static int remove_all(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("rm", "rm", "-rf", path, NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static void answer(int fd, const char *method, const char *name)
{
	char where[1024], path[1024], json[4096];
	struct stat st;

	place(name, where, sizeof(where));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (strcmp(method, "Plugin.Activate") == 0) {
		say(fd, "{\"Implements\":[\"VolumeDriver\"]}");
	} else if (strcmp(method, "VolumeDriver.Capabilities") == 0) {
		say(fd, "{\"Capabilities\":{\"Scope\":\"global\"}}");
	} else if (strcmp(method, "VolumeDriver.List") == 0) {
		list(fd);
	} else if (strcmp(method, "VolumeDriver.Create") == 0) {
		if (begins(name, "refuse")) {
			say(fd, "{\"Err\":\"no more volumes today\"}");
			return;
		}
		if (begins(name, "hang"))
			pause();
		mkdir(path, 0755);
		say(fd, "{\"Err\":\"\"}");
	} else if (strcmp(method, "VolumeDriver.Remove") == 0) {
		if (begins(name, "keep")) {
			say(fd, "{\"Err\":\"it is dear to me\"}");
			return;
		}
		if (remove_all(path) < 0)
			say(fd, "{\"Err\":\"rm\"}");
		else
			say(fd, "{}");
	} else if (strcmp(method, "VolumeDriver.Mount") == 0 && begins(name, "garbage")) {
		say(fd, "<html>");
	} else if (strcmp(method, "VolumeDriver.Get") == 0) {
		if (begins(name, "stuck"))
			pause();
		if (stat(path, &st) < 0) {
			say(fd, "{\"Err\":\"there is no such volume\"}");
			return;
		}
		snprintf(json, sizeof(json),
			 "{\"Volume\":{\"Name\":\"%s\",\"Mountpoint\":\"%s\",\"Status\":{\"mood\":"
			 "\"good\"}},\"Err\":\"\"}",
			 name, where);
		say(fd, json);
	} else {
		snprintf(json, sizeof(json), "{\"Mountpoint\":\"%s\",\"Err\":\"\"}", where);
		say(fd, json);
	}
}

static void serve(int fd, int deaf)
{
	char text[16384], method[64] = "", name[300], id[200], line[700];
	size_t len = 0;
	ssize_t n;
	int log;

	do {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
	} while (n > 0 && !strchr(text, '}'));
	if (deaf)
		pause();
	sscanf(text, "POST /%63s", method);
	value(text, "Name", name, sizeof(name));
	value(text, "ID", id, sizeof(id));
	snprintf(line, sizeof(line), "%s/calls", folder);
	log = open(line, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dprintf(log, "%s %s %.12s\n", strchr(method, '.') ? strchr(method, '.') + 1 : "", name, id);
	close(log);
	answer(fd, method, name);
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc < 3)
		return 2;
	folder = argv[2];
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[1]);
	unlink(argv[1]);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 32) < 0) {
		perror(argv[1]);
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (c >= 0 && fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			close(fd);
			serve(c, argc > 3);
			_exit(0);
		}
		close(c);
	}
}
