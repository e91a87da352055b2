/*
 * The world of a container without a machine: shim, network, images and volumes as puppets.
 *
 * The functions of shim/client.h, net/net.h, image/image.h and volume/volume.h that container/
 * calls are defined here, so that the real ones stay out of the test program. A test moves the
 * puppets ("the shim says it exited") and looks at what the container asked of them. Included once
 * by each test program.
 */
#ifndef SKERRY_TEST_CONTAINER_WORLD_H
#define SKERRY_TEST_CONTAINER_WORLD_H

#include <fcntl.h>

#include "engine/container/object.h"
#include "engine/shim/maker.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct shim_client {
	const struct shim_client_ops *ops;
	void *data;
	struct shim_status status;
	struct shim_done start_done;
	struct shim_done signal_done, pause_done, update_done; /* of what has not been answered */
	bool pausing, acked;
};

/* What the puppets were asked for, and how they answer. */
static struct world {
	struct loop *loop;
	struct events *events;
	struct containers *cs;
	char *dir;
	struct shim_client *shim; /* the newest */
	int n_spawned, n_signals, last_signal, n_attached, n_detached;
	int spawn_fails, attach_fails, pause_fails; /* errno */
	int connect_fails;
	int n_pauses, n_updates;
	int n_taken, n_filled, n_released, n_found; /* volumes */
	char update[1024]; /* the last one's resources */
	bool has_exit_file;
	struct shim_exit exit_file;
	struct sandbox sandbox;
	struct remap remap; /* the engine's setting */
	int user_ns; /* the last network was asked for in one */
	char actions[4096]; /* of all events, each with a blank behind it */
	struct event_sub sub;
	char *layer;
} w;

/* ---- shim ---- */

int shim_client_spawn(const struct shim_client_config *cfg, struct shim_client **ret, struct err *e)
{
	if (w.spawn_fails)
		return err_errno(e, w.spawn_fails, "no shim");
	*ret = w.shim = calloc(1, sizeof(*w.shim));
	w.shim->ops = cfg->ops;
	w.shim->data = cfg->data;
	w.n_spawned++;
	return 0;
}

int shim_client_connect(const struct shim_client_config *cfg, struct shim_client **ret,
			struct err *e)
{
	if (w.connect_fails)
		return err_errno(e, w.connect_fails, "no shim");
	return shim_client_spawn(cfg, ret, e);
}

void shim_client_free(struct shim_client *c)
{
	if (c == w.shim)
		w.shim = NULL;
	free(c);
}

const struct shim_status *shim_client_status(const struct shim_client *c)
{
	return &c->status;
}

int shim_start(struct shim_client *c, const struct shim_done *done, struct err *e)
{
	(void)e;
	c->start_done = *done;
	return 0;
}

int shim_signal(struct shim_client *c, int signal, bool all, const struct shim_done *done,
		struct err *e)
{
	(void)all;
	(void)e;
	w.n_signals++;
	w.last_signal = signal;
	if (done)
		c->signal_done = *done;
	return 0;
}

int shim_attach(struct shim_client *c, bool in, bool out, bool err, int stall_ms,
		const struct shim_done *done, struct err *e)
{
	struct shim_reply reply = { .fd = open("/dev/null", O_RDWR | O_CLOEXEC) };

	(void)in;
	(void)out;
	(void)err;
	(void)stall_ms;
	(void)e;
	done->fn(c, 0, &reply, NULL, done->data);
	fd_close(reply.fd);
	return 0;
}

int shim_pause(struct shim_client *c, bool paused, const struct shim_done *done, struct err *e)
{
	(void)e;
	if (w.pause_fails)
		return err_set(e, w.pause_fails, "no freezer");
	w.n_pauses++;
	c->pausing = paused;
	c->pause_done = *done;
	return 0;
}

int shim_update(struct shim_client *c, const char *resources_json, const struct shim_done *done,
		struct err *e)
{
	(void)e;
	w.n_updates++;
	snprintf(w.update, sizeof(w.update), "%s", resources_json);
	if (done)
		c->update_done = *done;
	return 0;
}

/* What was asked of execs; the case answers by exec_done. */
static struct {
	struct shim_exec last; /* its strings are gone, but process and id */
	char id[65], process[8192], user[64], log[256];
	struct shim_done done, resize_done;
	unsigned int rows, cols;
	int n, fails;
	int fd; /* the puppet's end of the stream */
} fx;

int shim_exec(struct shim_client *c, const struct shim_exec *x, const struct shim_done *done,
	      struct err *e)
{
	(void)c;
	if (fx.fails)
		return err_set(e, fx.fails, "no shim");
	fx.last = *x;
	fx.n++;
	fx.done = *done;
	snprintf(fx.id, sizeof(fx.id), "%s", x->exec_id);
	snprintf(fx.process, sizeof(fx.process), "%s", x->process_json);
	snprintf(fx.user, sizeof(fx.user), "%s", x->user ? x->user : "(null)");
	return 0;
}

int shim_exec_signal(struct shim_client *c, const char *exec_id, int signal,
		     const struct shim_done *done, struct err *e)
{
	(void)c;
	(void)e;
	(void)done;
	snprintf(fx.log, sizeof(fx.log), "signal %.4s %d", exec_id, signal);
	return 0;
}

int shim_resize(struct shim_client *c, const char *exec_id, unsigned int rows, unsigned int cols,
		const struct shim_done *done, struct err *e)
{
	(void)e;
	snprintf(fx.log, sizeof(fx.log), "resize %.4s %u %u", exec_id ? exec_id : "self", rows,
		 cols);
	done->fn(c, 0, NULL, NULL, done->data);
	return 0;
}

/* Nothing is forked: shim_client_spawn above is all there is of shims. */
struct shim_maker *shim_maker_new(struct loop *loop)
{
	(void)loop;
	return calloc(1, 1);
}

void shim_maker_free(struct shim_maker *m)
{
	free(m);
}

int shim_ack(struct shim_client *c, struct err *e)
{
	(void)e;
	c->acked = true;
	return 0;
}

int shim_exit_read(const char *dir, struct shim_exit *ret, struct err *e)
{
	(void)dir;
	if (!w.has_exit_file)
		return err_set(e, ENOENT, "no exit file");
	*ret = w.exit_file;
	return 0;
}

/* ---- network ---- */

int nets_find(const struct nets *n, const char *ref, const struct network **ret, struct err *e)
{
	static struct network known[] = { { .id = "ne7", .name = (char *)"bridge" },
					  { .name = (char *)"host", .driver = NET_HOST },
					  { .name = (char *)"none", .driver = NET_NONE } };

	(void)n;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (str_eq(known[i].name, ref)) {
			*ret = &known[i];
			return 0;
		}
	}
	return err_set(e, ENOENT, "network %s not found", ref);
}

int net_check_join(const struct nets *n, const char *mode, const struct net_join *j, struct err *e)
{
	(void)n;
	(void)mode;
	(void)j;
	(void)e;
	return 0;
}

int net_connect(struct nets *n, const char *id, const struct net_join *j, struct err *e)
{
	(void)n;
	(void)id;
	(void)j;
	(void)e;
	return 0;
}

int net_disconnect(struct nets *n, const char *id, const struct network *net, struct err *e)
{
	(void)n;
	(void)id;
	(void)net;
	(void)e;
	return 0;
}

int net_rename(struct nets *n, const char *id, const char *name, struct err *e)
{
	(void)n;
	(void)id;
	(void)name;
	(void)e;
	return 0;
}

int nets_start(struct nets *n, char *const *running, struct err *e)
{
	(void)n;
	(void)running;
	(void)e;
	return 0;
}

int net_check(const struct nets *n, const struct net_request *r, struct err *e)
{
	(void)n;
	(void)r;
	(void)e;
	return 0;
}

int net_attach(struct nets *n, const struct net_request *r, const struct sandbox **ret,
	       struct err *e)
{
	(void)n;
	if (w.attach_fails)
		return err_set(e, w.attach_fails, "the port is taken");
	w.n_attached++;
	w.user_ns = r->user_ns > 0;
	*ret = &w.sandbox;
	return 0;
}

int net_detach(struct nets *n, const char *id, struct err *e)
{
	(void)n;
	(void)id;
	(void)e;
	w.n_detached++;
	return 0;
}

const struct sandbox *net_get(const struct nets *n, const char *id)
{
	(void)n;
	(void)id;
	return &w.sandbox;
}

int net_stats(struct nets *n, const char *id, struct net_stats *ret_stats, size_t max,
	      struct err *e)
{
	(void)n;
	(void)id;
	(void)max;
	(void)e;
	*ret_stats = (struct net_stats){ .ifname = "eth0", .rx_bytes = 7 };
	return 1;
}

const char *net_driver_name(enum net_driver d)
{
	return d == NET_BRIDGE ? "bridge" : "null";
}

/* ---- images and volumes ---- */

static struct image_layer the_layer;
static char *the_cmd[] = { (char *)"/bin/sleep", (char *)"9", NULL };
static struct image the_image = {
	.id = (char *)"sha256:1111111111111111111111111111111111111111111111111111111111111111",
	.os = (char *)"linux",
	.config = { .cmd = the_cmd },
	.layers = &the_layer,
	.n_layers = 1,
};

const struct image *images_find(struct images *s, const char *ref, struct err *e)
{
	(void)s;
	if (str_eq(ref, "img") || str_eq(ref, the_image.id))
		return &the_image;
	err_set(e, ENOENT, "No such image: %s:latest", ref);
	return NULL;
}

char **image_lower_dirs(const struct image *img)
{
	char **v = NULL;

	(void)img;
	strv_add(&v, "/layer");
	return v;
}

static struct volume the_volume = { .name = (char *)"vol",
				    .driver = (char *)"local",
				    .mountpoint = (char *)"/volumes/vol/_data" };

int volume_create(struct volumes *vs, const struct volume_want *want, const struct volume **ret,
		  struct err *e)
{
	(void)vs;
	(void)want;
	(void)e;
	*ret = &the_volume;
	return 0;
}

size_t volumes_count(const struct volumes *vs)
{
	(void)vs;
	return 1;
}

int volume_remove(struct volumes *vs, const char *name, unsigned int users, const char *text,
		  struct err *e)
{
	(void)vs;
	(void)name;
	(void)users;
	(void)text;
	(void)e;
	return 0;
}

int volume_get(const struct volumes *vs, const char *name, const struct volume **ret, struct err *e)
{
	(void)vs;
	(void)name;
	(void)e;
	*ret = &the_volume;
	return 0;
}

bool volume_is_local(const struct volume *v)
{
	return str_eq(v->driver, "local");
}

int volume_op_drop(struct volumes *vs, const char *name, bool force, struct volume_op *op,
		   struct err *e)
{
	(void)vs;
	(void)name;
	(void)force;
	(void)op;
	return err_set(e, ENOSYS, "no plugins here");
}

int volume_take(struct volumes *vs, struct loop *loop, const struct volume_take *q,
		struct copy_up *c, struct err *e)
{
	(void)vs;
	(void)loop;
	(void)e;
	w.n_taken++;
	if (q->copy)
		w.n_filled++;
	c->done(c, 0, NULL);
	return 0;
}

void volume_release(struct volumes *vs, const char *name, const char *user)
{
	(void)vs;
	(void)name;
	(void)user;
	w.n_released++;
}

void volume_taken(struct volumes *vs, const char *name, const char *user)
{
	(void)vs;
	(void)name;
	(void)user;
	w.n_found++;
}

void copy_up_cancel(struct copy_up *c)
{
	(void)c;
}

/* ---- the stage ---- */

static void note_event(struct event_sub *sub, const struct event *ev)
{
	size_t len = strlen(w.actions);

	(void)sub;
	snprintf(w.actions + len, sizeof(w.actions) - len, "%s ", ev->action);
}

static void world_open(void)
{
	const char *tmp = test_tmpdir();

	memset(&w, 0, sizeof(w));
	w.dir = str_dup(tmp);
	loop_new(&w.loop, NULL);
	w.events = events_new();
	w.sub.fn = note_event;
	events_subscribe(w.events, &w.sub);
}

static void world_engine(const char *boot_id)
{
	char *state = str_printf("%s/containers", w.dir), *run = str_printf("%s/run", w.dir);
	const struct containers_config cfg = {
		.state_dir = state,
		.run_dir = run,
		.boot_id = boot_id,
		.init_program = "/usr/libexec/docker-init",
		.remap = w.remap,
		.loop = w.loop,
		.events = w.events,
	};
	struct err e = { 0 };

	if (containers_new(&cfg, &w.cs, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	free(state);
	free(run);
}

static UNUSED void world_settle(void)
{
	while (loop_once(w.loop, 0) > 0)
		;
}

static void world_end_engine(void)
{
	containers_free(w.cs);
	w.cs = NULL;
}

static void world_close(void)
{
	if (w.cs)
		world_end_engine();
	events_unsubscribe(&w.sub);
	events_free(w.events);
	loop_free(w.loop);
	free(w.dir);
}

static UNUSED struct container *make(const char *json)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	struct container *c = NULL;
	struct err e = { 0 };

	if (container_create(w.cs, NULL, yyjson_doc_get_root(doc), &c, NULL, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	yyjson_doc_free(doc);
	return c;
}

/* A caller that notes its answer. */
struct caller {
	struct container_op op;
	int n, r;
	char text[ERR_TEXT_MAX];
};

static UNUSED void caller_done(struct container_op *op, int r, const struct err *e)
{
	struct caller *c = container_of(op, struct caller, op);

	c->n++;
	c->r = r;
	snprintf(c->text, sizeof(c->text), "%s", r < 0 ? err_text(e) : "");
}

#define CALLER(name) struct caller name = { .op.done = caller_done }

/* The shim reports that the container is set up, and then that its program runs. */
static UNUSED void shim_comes_up(void)
{
	w.shim->status.state = SHIM_CREATED;
	w.shim->status.pid = 42;
	w.shim->ops->created(w.shim, &w.shim->status, w.shim->data);
	w.shim->status.state = SHIM_RUNNING;
	w.shim->start_done.fn(w.shim, 0, NULL, NULL, w.shim->start_done.data);
}

/* The shim answers the pause or unpause it was asked for; error 0: done. */
static UNUSED void shim_paused(int error)
{
	struct shim_client *c = w.shim;
	struct shim_done done = c->pause_done;
	struct err e = { 0 };

	c->pause_done.fn = NULL;
	if (error)
		err_set(&e, error, "the freezer is stuck");
	else
		c->status.paused = c->pausing;
	done.fn(c, -error, NULL, &e, done.data);
}

static UNUSED void shim_exits(int code)
{
	struct shim_exit x = { .exit_code = code,
			       .started_ns = clock_real_ns() - 1000000,
			       .finished_ns = clock_real_ns() };

	w.shim->ops->exited(w.shim, &x, w.shim->data);
}

static UNUSED void shim_never_runs(int code, const char *why)
{
	struct shim_exit x = { .exit_code = code,
			       .never_ran = true,
			       .finished_ns = clock_real_ns() };

	snprintf(x.error, sizeof(x.error), "%s", why);
	w.shim->ops->exited(w.shim, &x, w.shim->data);
}

#endif
