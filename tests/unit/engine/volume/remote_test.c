/*
 * Volumes of plugins, and mounts by options: what a plugin is told and when, what becomes of its
 * lies, and a queue of jobs per volume. The plugin is a child process, the workers are real (this
 * program stands in for skerryd). Mounts need root and a mount namespace of the test's own.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "engine/volume/inside.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "worker") == 0 && strcmp(argv[2], "plugin") == 0)
		_exit(plugin_worker_main(argc - 2, argv + 2));
	if (argc == 3 && strcmp(argv[1], "worker") == 0)
		_exit(volume_worker_main(argc - 2, argv + 2));
}

static char path_buf[600];

static const char *at(const char *rest)
{
	snprintf(path_buf, sizeof(path_buf), "%s/%s", test_tmpdir(), rest);
	return path_buf;
}

/* ---- the plugin ---- */

static void say(int fd, const char *json)
{
	dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(json), json);
}

static void value(const char *json, const char *key, char *ret, size_t size)
{
	const char *found = strstr(json, key);

	ret[0] = '\0';
	if (found)
		snprintf(ret, size, "%.*s", (int)strcspn(found + strlen(key), "\""),
			 found + strlen(key));
}

static void serve(int fd, int log, const char *root)
{
	char text[8192], method[64] = "", name[300], id[200], json[1000];
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
	} while (n > 0 && !strchr(text, '}'));
	(void)sscanf(text, "POST /%63s", method);
	value(text, "\"Name\":\"", name, sizeof(name));
	value(text, "\"ID\":\"", id, sizeof(id));
	dprintf(log, "%s %s %s\n", strchr(method, '.') ? strchr(method, '.') + 1 : "", name, id);
	if (str_ends(method, ".Activate"))
		say(fd, "{\"Implements\":[\"VolumeDriver\"]}");
	else if (str_ends(method, ".List"))
		snprintf(json, sizeof(json),
			 "{\"Volumes\":[{\"Name\":\"foreign\",\"Mountpoint\":\"/f\"},"
			 "{\"Name\":\"vol\"},{\"Name\":7},5,{\"Name\":\"\"}]}"),
			say(fd, json);
	else if (str_ends(method, ".Capabilities"))
		say(fd, "{\"Capabilities\":{\"Scope\":\"global\"}}");
	else if (str_ends(method, ".Get"))
		say(fd, "{\"Volume\":{\"Name\":\"x\",\"Mountpoint\":\"/m\",\"Status\":{\"a\":1}}}");
	else if (str_starts(name, "bad") && !str_ends(method, ".Mount"))
		say(fd, "{\"Err\":\"will not\"}");
	else if (str_ends(method, ".Mount") && strchr(name, '.')) /* a lie */
		snprintf(json, sizeof(json), "{\"Mountpoint\":\"%s\"}", strchr(name, '.') + 1),
			say(fd, json);
	else
		snprintf(json, sizeof(json), "{\"Mountpoint\":\"%s/remote\"}", root), say(fd, json);
}

static pid_t fake(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), log;
	_cleanup_(mem_free) char *root = str_dup(test_tmpdir());
	pid_t pid;

	(void)dir_make(AT_FDCWD, at("sockets"), 0755, NULL);
	(void)dir_make(AT_FDCWD, at("remote"), 0755, NULL);
	(void)str_copy(a.sun_path, sizeof(a.sun_path), at("sockets/plug.sock"));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		test_fail(__FILE__, __LINE__, "cannot listen");
	log = open(at("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			serve(c, log, root);
			close(c);
		}
	}
	close(fd);
	close(log);
	return pid;
}

/* ---- the scene ---- */

struct scene {
	struct loop *loop;
	struct plugins *ps;
	struct volumes *vs;
	pid_t pid;
};

static void open_scene(struct scene *s)
{
	_cleanup_(mem_free) char *sockets = NULL;
	struct err e = { 0 };

	s->pid = fake();
	sockets = str_dup(at("sockets"));
	CHECK_INT(loop_new(&s->loop, &e), 0);
	CHECK_INT(plugins_new(&(struct plugins_config){ .loop = s->loop,
							.sockets = sockets,
							.no_sandbox = true },
			      &s->ps, &e),
		  0);
	CHECK_INT(volumes_new(s->loop, at("state"), &s->vs, &e), 0);
	volumes_set_plugins(s->vs, s->ps);
}

static void close_scene(struct scene *s)
{
	volumes_free(s->vs);
	plugins_free(s->ps);
	loop_free(s->loop);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

static const char *told(void)
{
	static char *text;

	free(text);
	text = NULL;
	return file_read(AT_FDCWD, at("log"), 65536, &text, NULL, NULL) < 0 ? "" : text;
}

struct wait {
	struct copy_up c;
	struct volume_op op;
	int calls, r;
	struct err e;
};

static void taken(struct copy_up *c, int r, const struct err *e)
{
	struct wait *w = container_of(c, struct wait, c);

	w->calls++;
	w->r = r;
	w->e = *e;
}

static void answered(struct volume_op *op, int r, const struct err *e)
{
	struct wait *w = container_of(op, struct wait, op);

	w->calls++;
	w->r = r;
	w->e = *e;
}

static int until_done(struct scene *s, struct wait *w)
{
	while (w->calls == 0)
		if (loop_once(s->loop, 20000) == 0)
			return -ETIMEDOUT;
	return w->r;
}

static int take_begin(struct scene *s, const char *name, const char *user, struct wait *w)
{
	*w = (struct wait){ .c.done = taken };
	return volume_take(s->vs, s->loop,
			   &(struct volume_take){ .name = name, .user = user, .path = "/x" }, &w->c,
			   &w->e);
}

static int take(struct scene *s, const char *name, const char *user, struct wait *w)
{
	int r = take_begin(s, name, user, w);

	return r < 0 ? r : until_done(s, w);
}

static const struct volume *make(struct scene *s, const char *name, const char *driver,
				 char *const *options)
{
	const struct volume_want want = { .name = name, .driver = driver, .options = options };
	const struct volume *v = NULL;
	struct err e = { 0 };

	if (volume_create(s->vs, &want, &v, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return v;
}

/* ---- plugins ---- */

TEST(life_at_a_plugin)
{
	static const char all[] = "Activate  \nCreate vol \nMount vol u1\nMount vol u2\n"
				  "Unmount vol u1\nUnmount vol u2\nRemove vol \n";
	struct scene s;
	struct wait w;
	const struct volume *v;
	struct err e = { 0 };

	open_scene(&s);
	v = make(&s, "vol", "plug", NULL);
	CHECK_STR(v->driver, "plug");
	CHECK_STR(v->mountpoint, "");
	CHECK_STR(told(), ""); /* nothing before it is needed */
	CHECK_MSG(take(&s, "vol", "u1", &w) == 0, "%s", err_text(&w.e));
	CHECK_STR(v->mountpoint, at("remote"));
	CHECK_MSG(take(&s, "vol", "u2", &w) == 0, "%s", err_text(&w.e));
	CHECK_INT(volume_remove(s.vs, "vol", 0, NULL, &e), -EBUSY);
	volume_release(s.vs, "vol", "u1");
	volume_release(s.vs, "vol", "u1"); /* not twice */
	volume_release(s.vs, "vol", "nobody");
	volume_release(s.vs, "vol", "u2");
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_drop(s.vs, "vol", false, &w.op, &e), 0);
	CHECK_MSG(until_done(&s, &w) == 0, "%s", err_text(&w.e));
	CHECK_STR(told(), all);
	CHECK_INT((long)volumes_count(s.vs), 0);
	CHECK(access(at("state/volumes/vol"), F_OK) < 0);
	close_scene(&s);
}

TEST(made_once_and_remembered)
{
	struct scene s;
	struct wait w = { .op.done = answered };
	const struct volume *v;
	struct err e = { 0 };

	open_scene(&s);
	make(&s, "vol", "plug", NULL);
	CHECK_INT(volume_op_make(s.vs, "vol", &w.op, &e), 0);
	CHECK_MSG(until_done(&s, &w) == 0, "%s", err_text(&w.e));
	/* the engine starts again while it is in use */
	volumes_free(s.vs);
	CHECK_INT(volumes_new(s.loop, at("state"), &s.vs, &e), 0);
	volumes_set_plugins(s.vs, s.ps);
	CHECK_INT(volume_get(s.vs, "vol", &v, &e), 0);
	CHECK(str_eq(v->driver, "plug") && v->made);
	volume_taken(s.vs, "vol", "before");
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_make(s.vs, "vol", &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), 0);
	volume_release(s.vs, "vol", "before");
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_look(s.vs, "vol", &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), 0);
	CHECK(w.op.global);
	CHECK_STR(w.op.status, "{\"a\":1}");
	CHECK_STR(w.op.mountpoint, "/m");
	free(w.op.status);
	free(w.op.mountpoint);
	CHECK_STR(told(),
		  "Activate  \nCreate vol \nUnmount vol before\nGet vol \nCapabilities  \n");
	close_scene(&s);
}

TEST(lies)
{
	static const struct {
		const char *place, *why;
	} rows[] = {
		{ "", "\"\" should be an absolute path" },
		{ "/", "is the machine's own" },
		{ "/proc/1", "is the machine's own" },
		{ "/dev", "is the machine's own" },
		{ "relative", "should be an absolute path" },
		{ "/tmp/../etc", "should be an absolute path without detours" },
		{ "/no/such", "/no/such: No such file" },
		{ "/etc/passwd", "/etc/passwd: Not a directory" },
	};
	struct scene s;
	struct err e = { 0 };
	_cleanup_(mem_free) char *own = NULL, *data = NULL, *link = NULL;

	open_scene(&s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_MSG(volume_place_check(s.vs, rows[i].place, &e) == -EBADMSG, "took %s",
			  rows[i].place);
		CHECK_MSG(strstr(err_text(&e), rows[i].why), "%s: %s", rows[i].place, err_text(&e));
	}
	own = str_dup(at("state/volumes"));
	data = str_dup(at("state/volumes/a/_data/x"));
	link = str_dup(at("link"));
	CHECK(dir_make(AT_FDCWD, data, 0755, NULL) == 0 && symlink("/", link) == 0);
	CHECK_INT(volume_place_check(s.vs, own, &e), -EBADMSG);
	CHECK_INT(volume_place_check(s.vs, link, &e), -EBADMSG);
	CHECK_INT(volume_place_check(s.vs, at("state/volumes/a"), &e), -EBADMSG);
	CHECK_INT(volume_place_check(s.vs, data, &e), 0);
	CHECK_INT(volume_place_check(s.vs, "/usr", &e), 0);
	close_scene(&s);
}

TEST(refusals)
{
	struct scene s;
	struct wait w = { .op.done = answered };
	struct err e = { 0 };

	open_scene(&s);
	make(&s, "bad-1", "plug", NULL);
	CHECK_INT(volume_op_make(s.vs, "bad-1", &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), -EREMOTEIO);
	CHECK_STR(err_text(&w.e), "create bad-1: VolumeDriver.Create: will not");
	CHECK_INT(take(&s, "bad-1", "u", &w), -EREMOTEIO);
	/* it was never made, so that nobody needs to be asked */
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_drop(s.vs, "bad-1", false, &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), 0);
	make(&s, "x.here", "plug", NULL);
	CHECK_INT(take(&s, "x.here", "u", &w), -EBADMSG);
	CHECK_STR(err_text(&w.e),
		  "error while mounting volume 'x.here': plugin \"plug\": VolumeDriver.Mount: its "
		  "mount point \"here\" should be an absolute path without detours");
	/* one that does not want to remove, and then has to */
	CHECK_INT(volume_adopt(s.vs, "bad-2", "plug", &(const struct volume *){ NULL }, &e), 0);
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_drop(s.vs, "bad-2", false, &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), -EREMOTEIO);
	CHECK_INT((long)volumes_count(s.vs), 2);
	w = (struct wait){ .op.done = answered };
	CHECK_INT(volume_op_drop(s.vs, "bad-2", true, &w.op, &e), 0);
	CHECK_INT(until_done(&s, &w), 0);
	CHECK_INT((long)volumes_count(s.vs), 1);
	/* no such plugin */
	CHECK_INT(volume_create(s.vs, &(struct volume_want){ .name = "vv", .driver = "none" },
				&(const struct volume *){ NULL }, &e),
		  -ENOENT);
	close_scene(&s);
}

static void surveyed(struct volume_survey *v)
{
	v->n_seen += 1000; /* tells that it was called */
}

TEST(survey_and_cancel)
{
	struct volume_survey v = { .done = surveyed };
	struct scene s;
	struct wait w, w2;
	struct err e = { 0 };

	open_scene(&s);
	make(&s, "vol", "plug", NULL);
	CHECK_INT(volume_survey(s.vs, &v, &e), 0);
	while (v.n_seen < 1000)
		CHECK(loop_once(s.loop, 20000) > 0);
	v.n_seen -= 1000;
	CHECK_INT((long)v.n_seen, 1); /* "vol" is known, the rest is nonsense */
	CHECK_STR(v.seen[0].name, "foreign");
	CHECK(!v.warnings);
	volume_survey_clear(&v);
	v = (struct volume_survey){ .done = surveyed };
	CHECK_INT(volume_survey(s.vs, &v, &e), 0);
	volume_survey_clear(&v);
	CHECK_INT((long)v.n_seen, 0);
	/* a start that is given up, with another one behind it */
	CHECK_INT(take_begin(&s, "vol", "u1", &w), 0);
	CHECK_INT(take_begin(&s, "vol", "u2", &w2), 0);
	copy_up_cancel(&w.c);
	volume_release(s.vs, "vol", "u1");
	CHECK_INT(until_done(&s, &w2), 0);
	CHECK_INT(w.calls, 0);
	/* and the end with somebody in it */
	CHECK_INT(take_begin(&s, "vol", "u3", &w), 0);
	close_scene(&s);
	CHECK_INT(w.calls, 0);
}

/* ---- mounts ---- */

static bool own_mounts(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return true;
	printf("# skipped: needs root and a mount namespace\n");
	return false;
}

TEST(mounts_by_options)
{
	char *tmpfs[] = { "type=tmpfs", "device=tmpfs", "o=size=1m,mode=700", NULL };
	char bind_device[700];
	char *bind[] = { "type=none", bind_device, "o=bind,ro", NULL };
	char *none[] = { "type=none", "device=/no/such/place", "o=bind", NULL };
	const struct volume *v;
	struct scene s;
	struct wait w;
	struct stat st;
	struct err e = { 0 };

	if (!own_mounts())
		return;
	open_scene(&s);
	v = make(&s, "mem", NULL, tmpfs);
	CHECK_MSG(take(&s, "mem", "u1", &w) == 0, "%s", err_text(&w.e));
	CHECK_MSG(take(&s, "mem", "u2", &w) == 0, "%s", err_text(&w.e));
	CHECK_INT(mount_is_point(AT_FDCWD, v->mountpoint), 1);
	CHECK(stat(v->mountpoint, &st) == 0 && (st.st_mode & 0777) == 0700);
	volume_release(s.vs, "mem", "u1");
	CHECK_INT(mount_is_point(AT_FDCWD, v->mountpoint), 1);
	CHECK_INT(volume_remove(s.vs, "mem", 0, NULL, &e), -EBUSY);
	volume_release(s.vs, "mem", "u2");
	CHECK_INT(mount_is_point(AT_FDCWD, v->mountpoint), 0);
	snprintf(bind_device, sizeof(bind_device), "device=%s", at("remote"));
	v = make(&s, "bind", NULL, bind);
	CHECK_MSG(take(&s, "bind", "u1", &w) == 0, "%s", err_text(&w.e));
	CHECK(mkdir(at("state/volumes/bind/_data/x"), 0755) < 0 && errno == EROFS);
	/* removed by force of circumstances: what is bound stays */
	CHECK(mkdir(at("remote/precious"), 0755) == 0);
	volume_release(s.vs, "bind", "u1");
	CHECK_INT(volume_remove(s.vs, "bind", 0, NULL, &e), 0);
	CHECK(access(at("remote/precious"), F_OK) == 0);
	make(&s, "none", NULL, none);
	CHECK_INT(take(&s, "none", "u1", &w), -ENOENT);
	CHECK(strstr(err_text(&w.e), "failed to mount local volume: /no/such/place: No such file"));
	close_scene(&s);
}
