/*
 * Plugins: where they are found, what files say, and calls through the real worker process (this
 * program stands in for skerryd) to fake plugins that are good, slow, lying, cut off or hanging.
 */
#include "engine/plugin/plugin.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "engine/plugin/inside.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "worker") == 0)
		_exit(plugin_worker_main(argc - 2, argv + 2)); /* the leak check needs ptrace */
}

static char path_buf[600];

static const char *at(const char *rest)
{
	snprintf(path_buf, sizeof(path_buf), "%s/%s", test_tmpdir(), rest);
	return path_buf;
}

static void put(const char *rest, const char *text)
{
	struct err e = { 0 };
	_cleanup_(mem_free) char *dir = str_dup(at(rest));

	*strrchr(dir, '/') = '\0';
	if (dir_make(AT_FDCWD, dir, 0755, &e) < 0 ||
	    file_replace(AT_FDCWD, at(rest), text, strlen(text), 0644, false, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
}

/* ---- what files say ---- */

TEST(specs)
{
	static const struct {
		const char *text, *socket, *url;
	} rows[] = {
		{ "unix:///run/x.sock\n", "/run/x.sock", NULL },
		{ " tcp://10.0.0.1:8080 ", NULL, "http://10.0.0.1:8080" },
		{ "http://h/p/", NULL, "http://h/p" },
		{ "https://h:1", NULL, "https://h:1" },
		{ "", NULL, NULL },
		{ "h:80", NULL, NULL },
		{ "ftp://h", NULL, NULL },
		{ "unix://relative", NULL, NULL },
		{ "tcp://", NULL, NULL },
		{ "tcp://a b", NULL, NULL },
		{ "tcp://user@h", NULL, NULL },
		{ "tcp://h?x", NULL, NULL },
		{ "http://h\r\nX: y", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(plugin_address_free) struct plugin_address a = { 0 };
		struct err e = { 0 };
		int r = plugin_spec_parse(rows[i].text, &a, &e);

		CHECK_MSG(r == (rows[i].socket || rows[i].url ? 0 : -EINVAL), "\"%s\": %d",
			  rows[i].text, r);
		CHECK_MSG(str_eq(a.socket, rows[i].socket) && str_eq(a.url, rows[i].url),
			  "\"%s\": %s %s", rows[i].text, a.socket, a.url);
	}
}

TEST(json_specs)
{
	static const char good[] =
		"{\"Name\":\"p\",\"Addr\":\"tcp://h:1\",\"TLSConfig\":{\"InsecureSkipVerify\":true,"
		"\"CAFile\":\"/ca\",\"CertFile\":\"/cert\",\"KeyFile\":\"/key\"}}";
	static const char *const bad[] = { "",
					   "[]",
					   "{}",
					   "{\"Addr\":1}",
					   "{\"Addr\":\"h\"}",
					   "{\"Addr\":\"tcp://h\",\"TLSConfig\":7}" };
	_cleanup_(plugin_address_free) struct plugin_address a = { 0 };
	struct err e = { 0 };

	CHECK_MSG(plugin_json_parse(good, strlen(good), &a, &e) == 0, "%s", err_text(&e));
	CHECK_STR(a.url, "https://h:1");
	CHECK(a.insecure && str_eq(a.ca, "/ca") && str_eq(a.cert, "/cert") &&
	      str_eq(a.key, "/key"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(plugin_address_free) struct plugin_address b = { 0 };

		CHECK_MSG(plugin_json_parse(bad[i], strlen(bad[i]), &b, &e) == -EINVAL, "%s",
			  bad[i]);
	}
}

/* ---- fake plugins ---- */

static int listen_at(const char *rest)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)str_copy(a.sun_path, sizeof(a.sun_path), at(rest));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		test_fail(__FILE__, __LINE__, "cannot listen at %s", rest);
	return fd;
}

static void say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

static void say_json(int fd, int status, const char *json)
{
	char head[200];

	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status,
		 strlen(json));
	say(fd, head);
	say(fd, json);
}

/* How each fake answers what is no Activate. */
static void misbehave(const char *how, int fd)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	if (str_eq(how, "good"))
		say_json(fd, 200, "{\"Mountpoint\":\"/mnt\"}");
	else if (str_eq(how, "empty"))
		say_json(fd, 200, "");
	else if (str_eq(how, "err"))
		say_json(fd, 200, "{\"Err\":\"no\\nroom\"}");
	else if (str_eq(how, "err500"))
		say_json(fd, 500, "{\"Err\":\"broken\"}");
	else if (str_eq(how, "text404"))
		say_json(fd, 404, "page not found\n");
	else if (str_eq(how, "nonsense"))
		say_json(fd, 200, "<html>");
	else if (str_eq(how, "array"))
		say_json(fd, 200, "[1]");
	else if (str_eq(how, "cut"))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\"");
	else if (str_eq(how, "nohttp"))
		say(fd, "hello\r\n\r\n");
	else if (str_eq(how, "redirect"))
		say(fd, "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\n"
			"Content-Length: 0\r\n\r\n");
	else if (str_eq(how, "deep"))
		for (int i = 0; i < 1; i++)
			say_json(
				fd, 200,
				"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
				"[[[[[[");
	else if (str_eq(how, "endless")) {
		say(fd, "HTTP/1.1 200 OK\r\n\r\n");
		while (write(fd, block, sizeof(block)) > 0)
			;
	} else if (str_eq(how, "headers")) {
		say(fd, "HTTP/1.1 200 OK\r\nX-A: ");
		while (write(fd, block, sizeof(block)) > 0)
			;
	} else if (str_eq(how, "slowly")) { /* a byte at a time, for ever */
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
		while (write(fd, " ", 1) > 0)
			usleep(20000);
	} else {
		pause();
	}
}

static void serve_one(const char *how, int fd, int log)
{
	char text[8192];
	size_t len = 0;
	ssize_t n;

	/* small requests: the whole comes soon */
	do {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
	} while (n > 0 && !strchr(text, '}'));
	if (!strchr(text, '\r'))
		return;
	(void)!write(log, text, strcspn(text, "\r"));
	say(log, "\n");
	if (strstr(how, "hangall"))
		pause();
	if (strncmp(text, "POST /Plugin.Activate ", 22) != 0)
		misbehave(how, fd);
	else if (str_eq(how, "liar"))
		say_json(fd, 200, "{\"Implements\":\"VolumeDriver\"}");
	else if (str_eq(how, "netonly"))
		say_json(fd, 200, "{\"Implements\":[\"NetworkDriver\"]}");
	else
		say_json(fd, 200, "{\"Implements\":[\"VolumeDriver\",5,\"x\"]}");
}

/* A child that is a plugin at NAME.sock; what it was asked goes to NAME.log. */
static pid_t fake(const char *how)
{
	char name[64];
	int log, fd;
	pid_t pid;

	(void)dir_make(AT_FDCWD, at("sockets"), 0755, NULL);
	snprintf(name, sizeof(name), "sockets/%s.sock", how);
	fd = listen_at(name);
	snprintf(name, sizeof(name), "%s.log", how);
	log = open(at(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			serve_one(how, c, log);
			close(c);
		}
	}
	close(fd);
	close(log);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- calls ---- */

struct wait {
	struct plugin_call c;
	int calls, r;
	char answer[256];
	struct err e;
};

static void done(struct plugin_call *c, int r, yyjson_val *answer, const struct err *e)
{
	struct wait *w = container_of(c, struct wait, c);
	_cleanup_(mem_free) char *text = answer ? yyjson_val_write(answer, 0, NULL) : NULL;

	w->calls++;
	w->r = r;
	w->e = *e;
	(void)str_copy(w->answer, sizeof(w->answer), text ? text : "");
}

struct scene {
	struct loop *loop;
	struct plugins *ps;
	char *sockets, *specs[2];
};

static void open_scene(struct scene *s)
{
	struct err e = { 0 };

	s->sockets = str_dup(at("sockets"));
	s->specs[0] = str_dup(at("specs"));
	s->specs[1] = NULL;
	CHECK_INT(loop_new(&s->loop, &e), 0);
	CHECK_INT(plugins_new(&(struct plugins_config){ .loop = s->loop,
							.sockets = s->sockets,
							.specs = (const char *const *)s->specs,
							.quick_ms = 1500,
							.slow_ms = 1500,
							.no_sandbox = true },
			      &s->ps, &e),
		  0);
}

static void close_scene(struct scene *s)
{
	plugins_free(s->ps);
	loop_free(s->loop);
	free(s->sockets);
	free(s->specs[0]);
}

static int call(struct scene *s, const char *plugin, struct wait *w)
{
	const struct plugin_request q = { .plugin = plugin,
					  .kind = "VolumeDriver",
					  .method = "Mount",
					  .body = "{\"Name\":\"v\"}" };
	int r;

	*w = (struct wait){ .c.done = done };
	r = plugin_call(s->ps, &w->c, &q, &w->e);
	if (r < 0)
		return r;
	if (w->calls > 0)
		return -EDEADLK;
	while (w->calls == 0)
		if (loop_once(s->loop, 20000) == 0)
			return -EDEADLK;
	return w->r;
}

TEST(good_plugin)
{
	_cleanup_(mem_free) char *log = NULL;
	struct scene s;
	struct wait w;
	pid_t pid = fake("good");

	open_scene(&s);
	CHECK_INT(plugin_implements(s.ps, "good", "VolumeDriver"), -ENOENT);
	CHECK_MSG(call(&s, "good", &w) == 0, "%s", err_text(&w.e));
	CHECK_STR(w.answer, "{\"Mountpoint\":\"/mnt\"}");
	CHECK_MSG(call(&s, "good", &w) == 0, "%s", err_text(&w.e));
	CHECK_INT(plugin_implements(s.ps, "good", "VolumeDriver"), 1);
	CHECK_INT(plugin_implements(s.ps, "good", "NetworkDriver"), 0);
	CHECK_INT(file_read(AT_FDCWD, at("good.log"), 4096, &log, NULL, NULL), 0);
	CHECK_STR(log, "POST /Plugin.Activate HTTP/1.1\nPOST /VolumeDriver.Mount HTTP/1.1\n"
		       "POST /VolumeDriver.Mount HTTP/1.1\n");
	end(pid);
	/* nobody listens: said at once, and then it is asked anew what it is */
	CHECK_INT(call(&s, "good", &w), -ECONNREFUSED);
	CHECK(strstr(err_text(&w.e), "plugin \"good\": VolumeDriver.Mount: connecting to "));
	CHECK_INT(plugin_implements(s.ps, "good", "VolumeDriver"), -ENOENT);
	CHECK(unlink(at("sockets/good.sock")) == 0);
	CHECK_INT(call(&s, "good", &w), -ENOENT);
	CHECK_STR(err_text(&w.e), "plugin \"good\" not found");
	close_scene(&s);
}

TEST(bad_plugins)
{
	static const struct {
		const char *how;
		int r;
		const char *text;
	} rows[] = {
		{ "empty", 0, "" },
		{ "err", -EREMOTEIO, "VolumeDriver.Mount: no room" },
		{ "err500", -EREMOTEIO, "VolumeDriver.Mount: broken" },
		{ "text404", -EREMOTEIO, "VolumeDriver.Mount: status 404: page not found" },
		{ "redirect", -EREMOTEIO, "VolumeDriver.Mount: status 307: " },
		{ "nonsense", -EBADMSG, "the answer is no JSON object" },
		{ "array", -EBADMSG, "the answer is no JSON object" },
		{ "deep", -EBADMSG, "the answer is no JSON object" },
		{ "cut", -EBADMSG, "the answer was cut off" },
		{ "nohttp", -EBADMSG, "" },
		{ "endless", -EBADMSG, "the answer has more than 1048576 bytes" },
		{ "headers", -EBADMSG, "" },
		{ "liar", -EBADMSG, "no usable \"Implements\"" },
		{ "netonly", -ENOENT, "plugin \"netonly\" is no VolumeDriver" },
		{ "slowly", -ETIMEDOUT, "VolumeDriver.Mount: it does not answer within 1 s" },
		{ "hang", -ETIMEDOUT, "VolumeDriver.Mount: it does not answer within 1 s" },
		{ "hangall", -ETIMEDOUT, "Plugin.Activate: it does not answer within 1 s" },
	};
	struct scene s;
	struct wait w;

	open_scene(&s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = fake(rows[i].how);
		int64_t begin = clock_mono_ms();
		int r = call(&s, rows[i].how, &w);

		CHECK_MSG(r == rows[i].r, "%s: %d: %s", rows[i].how, r, err_text(&w.e));
		CHECK_MSG(strstr(err_text(&w.e), rows[i].text), "%s: %s", rows[i].how,
			  err_text(&w.e));
		CHECK_MSG(clock_mono_ms() - begin < 15000, "%s", rows[i].how);
		end(pid);
	}
	close_scene(&s);
}

TEST(calls_are_bounded_and_cancelled)
{
	const struct plugin_request q = { .plugin = "hang",
					  .kind = "VolumeDriver",
					  .method = "Get" };
	struct wait w[PLUGIN_CALLS_EACH + 1] = { 0 };
	pid_t pid = fake("hang");
	struct scene s;
	struct err e = { 0 };

	open_scene(&s);
	for (size_t i = 0; i < PLUGIN_CALLS_EACH; i++) {
		w[i].c.done = done;
		CHECK_INT(plugin_call(s.ps, &w[i].c, &q, &e), 0);
	}
	CHECK_INT(plugin_call(s.ps, &w[PLUGIN_CALLS_EACH].c, &q, &e), -EAGAIN);
	CHECK(!plugin_calling(&w[PLUGIN_CALLS_EACH].c));
	for (size_t i = 0; i < PLUGIN_CALLS_EACH; i++) {
		plugin_cancel(&w[i].c);
		plugin_cancel(&w[i].c);
		CHECK(!plugin_calling(&w[i].c) && w[i].calls == 0);
	}
	end(pid);
	close_scene(&s);
}

TEST(found_by_socket_and_file)
{
	_cleanup_(strv_free) char **names = NULL;
	_cleanup_(mem_free) char *all = NULL, *port_spec = NULL;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	pid_t pid = fake("good"), tcp;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), log;
	struct scene s;
	struct wait w;
	struct err e = { 0 };

	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0 &&
	      getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	port_spec = str_printf("tcp://127.0.0.1:%d\n", ntohs(a.sin_port));
	put("specs/remote.spec", port_spec);
	put("specs/nested/nested.json", "{\"Addr\":\"tcp://127.0.0.1:1\"}");
	put("specs/bad.spec", "what");
	put("specs/readme.txt", "not one");
	put("sockets/file.sock", "no socket");
	CHECK(symlink("good.sock", at("sockets/link.sock")) == 0);
	CHECK(dir_make(AT_FDCWD, at("sockets/deep"), 0755, NULL) == 0);
	close(listen_at("sockets/deep/deep.sock"));
	log = open("/dev/null", O_WRONLY);
	tcp = fork();
	if (tcp == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			serve_one("good", c, log);
			close(c);
		}
	}
	close(fd);
	close(log);
	open_scene(&s);
	CHECK_INT(plugins_list(s.ps, &names, &e), 0);
	all = strv_join(names, " ");
	CHECK_STR(all, "bad deep good nested remote");
	CHECK_MSG(call(&s, "remote", &w) == 0, "%s", err_text(&w.e));
	CHECK_INT(call(&s, "nested", &w), -ECONNREFUSED);
	CHECK_INT(call(&s, "bad", &w), -EINVAL);
	CHECK(strstr(err_text(&w.e), "bad.spec: the address of the plugin is \"what\""));
	CHECK_INT(call(&s, "link", &w), -ENOENT);
	CHECK_INT(call(&s, "file", &w), -ENOENT);
	CHECK_INT(call(&s, "../good", &w), -ENOENT);
	CHECK_INT(call(&s, "", &w), -ENOENT);
	end(pid);
	end(tcp);
	close_scene(&s);
}
