/*
 * The way of a container from START to running, step by step: volumes are filled from the image,
 * the network is made, config.json is written, the shim sets it up, the attached clients get their
 * sockets, and the program is let go. Each step ends in the next one or in start_failed().
 *
 * Also the ends of that way that come from the shim: exited, lost, found again after an engine
 * restart.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/container/shared.h"
#include "engine/container/userns.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

static char *shim_dir(const struct container *c)
{
	return str_printf("%s/%s", c->cs->shims_dir, c->id);
}

/* A start or the search for a shim after an engine restart has come to its end. */
static void adopted(struct container *c)
{
	if (c->adopting) {
		c->adopting = false;
		containers_adopted(c->cs);
	}
}

static void start_failed(struct container *c, int r, const struct err *e)
{
	struct err text = *e;

	if (text.code == 0)
		err_set(&text, -r, "the container could not be started");
	lifecycle(c, EV_START_FAILED, &(struct event_args){ .error = &text });
}

/* ---- volumes ---- */

static void fill_next_volume(struct container *c);

static void volume_filled(struct copy_up *job, int r, const struct err *e)
{
	struct container *c = container_of(job, struct container, copy_up);

	if (r < 0)
		start_failed(c, r, e);
	else
		fill_next_volume(c);
}

/* Who takes the volume of a mount; two mounts of one volume are two. New memory. */
static char *taker(const struct container *c, const char *who, size_t mount)
{
	return str_printf("%s-%s%zu", c->id, who, mount);
}

static int fill_volume(struct container *c, const char *who, size_t mount, struct copy_up *cu,
		       struct err *e)
{
	const struct mount_point *m = mount_at_index(c, mount);
	const struct image *img = images_find(c->cs->cfg.images, c->image_id, e);
	_cleanup_(mem_free) const char **dirs = NULL;
	_cleanup_(mem_free) char *user = taker(c, who, mount);
	struct volume_take q = { .name = m->name, .user = user, .copy = !m->no_copy };

	if (!img)
		return -e->code;
	dirs = calloc(img->n_layers + 1, sizeof(*dirs));
	if (!dirs || !user)
		return err_errno(e, ENOMEM, "volume %s", m->name);
	for (size_t i = 0; i < img->n_layers; i++)
		dirs[i] = img->layers[i].dir;
	q.layers = dirs;
	q.n_layers = img->n_layers;
	q.path = m->destination;
	return volume_take(c->cs->cfg.volumes, c->cs->cfg.loop, &q, cu, e);
}

/* A plugin says where its volumes are only when they are taken. */
static int places_known(struct container *c, struct err *e)
{
	struct mount_point *m = c->mounts.items;

	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct volume *v;

		if (str_eq(m[i].type, "volume") && m[i].driver &&
		    !str_eq(m[i].driver, VOLUME_LOCAL) &&
		    volume_get(c->cs->cfg.volumes, m[i].name, &v, NULL) == 0 &&
		    str_set(&m[i].source, v->mountpoint) < 0)
			return err_errno(e, ENOMEM, "volume %s", m[i].name);
	}
	return 0;
}

int container_copy_up(struct container *c, const char *who, size_t *next, struct copy_up *cu,
		      struct err *e)
{
	while (*next < c->mounts.n) {
		size_t i = (*next)++;
		int r;

		if (!str_eq(mount_at_index(c, i)->type, "volume"))
			continue;
		r = fill_volume(c, who, i, cu, e);
		return r < 0 ? r : 1;
	}
	return places_known(c, e);
}

static void each_volume(struct container *c, const char *who,
			void (*fn)(struct volumes *vs, const char *name, const char *user))
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		_cleanup_(mem_free) char *user = taker(c, who, i);

		if (user && str_eq(mount_at_index(c, i)->type, "volume"))
			fn(c->cs->cfg.volumes, mount_at_index(c, i)->name, user);
	}
}

void container_release_volumes(struct container *c, const char *who)
{
	each_volume(c, who, volume_release);
}

void container_found_volumes(struct container *c)
{
	each_volume(c, "", volume_taken);
}

/* ---- network and bundle ---- */

static int attach_network(struct container *c, struct err *e)
{
	const struct create_config *a = &c->asked;
	struct net_join joins[NET_ENDPOINTS_MAX];
	_cleanup_(mem_free) struct port_want *ports = NULL;
	_cleanup_(mem_free) char *dir = container_path(c, ""), *mode = NULL;
	_cleanup_(strv_free) char **hosts = NULL;
	_cleanup_(fd_close) int user_ns = -1;
	struct net_request req = {
		.id = c->id,
		.name = c->name,
		.hostname = a->config.hostname,
		.domainname = a->config.domainname,
		.dir = dir,
		.joins = joins,
		.dns = a->host.dns,
		.dns_search = a->host.dns_search,
		.dns_options = a->host.dns_options,
	};
	int r;

	if (!dir)
		return err_errno(e, ENOMEM, "network");
	r = joins_wanted(a, joins, &req.n_joins, e);
	if (r == 0)
		r = network_mode_find(c, &mode, e);
	if (r == 0)
		r = links_hosts(c, &hosts, e);
	if (r == 0)
		r = ports_wanted(&c->asked, &ports, &req.n_ports, e);
	if (r == 0)
		r = userns_open(c, &user_ns, e);
	if (r < 0)
		return r;
	req.user_ns = user_ns;
	req.mode = mode;
	req.extra_hosts = hosts;
	req.ports = ports;
	return net_attach(c->cs->cfg.nets, &req, &c->sandbox, e);
}

static int spawn_shim(struct container *c, struct err *e)
{
	_cleanup_(mem_free) char *dir = shim_dir(c);
	struct shim_client_config cfg = {
		.loop = c->cs->cfg.loop,
		.dir = dir,
		.id = c->id,
		.cgroup = "shims",
		.maker = c->cs->shim_maker,
		.ops = &container_shim_ops,
		.data = c,
	};
	int r;

	if (!dir)
		return err_errno(e, ENOMEM, "shim");
	r = tree_remove(AT_FDCWD, dir, e);
	if (r == 0)
		r = dir_make(AT_FDCWD, dir, 0700, e);
	if (r == 0)
		r = spec_write(c, dir, e);
	if (r == 0)
		r = shim_client_spawn(&cfg, &c->shim, e);
	return r;
}

static void fill_next_volume(struct container *c)
{
	struct err e = { 0 };
	int r;

	c->copy_up.done = volume_filled;
	r = container_copy_up(c, "", &c->copy_next, &c->copy_up, &e);
	if (r > 0)
		return;
	if (r == 0)
		r = attach_network(c, &e);
	if (r == 0) {
		announce_taken(c);
		r = spawn_shim(c, &e);
	}
	if (r < 0)
		start_failed(c, r, &e);
}

void container_start_go_on(struct container *c)
{
	fill_next_volume(c);
}

int act_start(struct container *c, const struct event_args *a, struct err *e)
{
	if (c->cs->stopping)
		return err_set(e, EAGAIN,
			       "the machine is shutting down: container %s is not started", c->id);
	if (a->op)
		list_append(&c->start_ops, &a->op->link);
	c->by_policy = c->healing || (c->state == CONTAINER_RESTARTING && !a->op);
	if (c->healing)
		c->rec.restart_count++;
	else if (c->state != CONTAINER_RESTARTING)
		c->rec.backoff_ms = c->rec.restart_count = 0;
	c->healing = false;
	timer_clear(&c->backoff_timer);
	c->rec.stopped_by_user = false;
	str_set(&c->rec.boot_id, c->cs->boot_id);
	c->restart_told |= a->restart;
	c->stop_wanted = c->kill_wanted = c->kill_sent = c->stop_asked = false;
	c->limits_stale = false;
	c->copy_next = 0;
	c->state = CONTAINER_STARTING; /* not saved: the shim's folder tells after a crash */
	if (!container_files_hold_start(c))
		fill_next_volume(c);
	return 0;
}

int act_join_start(struct container *c, const struct event_args *a, struct err *e)
{
	(void)e;
	if (a->op)
		list_append(&c->start_ops, &a->op->link);
	return 0;
}

/* ---- the shim speaks ---- */

/* The kernel killed something in it; `kills` so far in this run. */
static void oom_seen(struct container *c, int64_t kills)
{
	c->rec.oom_kills = kills;
	if (!c->rec.oom_killed) { /* a fork bomb must not write without end */
		c->rec.oom_killed = true;
		container_enter(c, c->state);
	}
	container_publish(c, "oom", NULL, NULL);
}

static void shim_started(struct shim_client *shim, int r, struct shim_reply *reply,
			 const struct err *e, void *data)
{
	struct container *c = data;

	(void)shim;
	(void)reply;
	if (r == 0)
		lifecycle(c, EV_STARTED, &(struct event_args){ 0 });
	else if (r != -ENOTCONN) /* then `lost` follows */
		log_info("container %.12s: start refused: %s", c->id, err_text(e));
	/* a failed start is told by `exited` with never_ran */
}

/* By an engine that was away: what happened meanwhile is told now. */
static void found_running(struct container *c, const struct shim_status *st)
{
	bool was_paused = str_eq(c->rec.state, "paused");

	if (!was_paused && !str_eq(c->rec.state, "running"))
		lifecycle(c, EV_STARTED, &(struct event_args){ 0 });
	c->rec.started_ns = st->started_ns;
	container_enter(c, st->paused ? CONTAINER_PAUSED : CONTAINER_RUNNING);
	if (st->paused != was_paused)
		container_publish(c, st->paused ? "pause" : "unpause", NULL, NULL);
	if (st->oom_kills > c->rec.oom_kills)
		oom_seen(c, st->oom_kills);
	health_found(c);
	update_again(c); /* one may have been cut off after it was durable */
}

static void on_created(struct shim_client *shim, const struct shim_status *st, void *data)
{
	struct container *c = data;
	const struct shim_done done = { shim_started, c };
	struct err e = { 0 };
	int r;

	c->rec.pid = st->pid;
	if (st->state == SHIM_RUNNING) {
		found_running(c, st);
		execs_load(c);
		adopted(c);
		return;
	}
	attaches_begin(c);
	r = shim_start(shim, &done, &e);
	if (r < 0)
		start_failed(c, r, &e);
	adopted(c); /* an engine before this one began the start */
}

static void on_exited(struct shim_client *shim, const struct shim_exit *x, void *data)
{
	struct container *c = data;

	(void)shim;
	container_ended(c, x);
	adopted(c);
}

static void on_exec_exited(struct shim_client *shim, const char *exec_id, int exit_code, void *data)
{
	(void)shim;
	execs_exited(data, exec_id, exit_code);
}

static void on_oom(struct shim_client *shim, void *data)
{
	oom_seen(data, shim_client_status(shim)->oom_kills);
}

/* The shim is dead: so is what it held. Its exit file, if it got so far, knows the truth. */
static void on_lost(struct shim_client *shim, const struct err *e, void *data)
{
	struct container *c = data;
	struct shim_exit x = { 0 };
	_cleanup_(mem_free) char *dir = shim_dir(c);

	(void)shim;
	log_error("container %.12s: lost its shim: %s", c->id, err_text(e));
	if (!dir || shim_exit_read(dir, &x, NULL) < 0) {
		x = (struct shim_exit){
			.exit_code = 128 + SIGKILL,
			.signal = SIGKILL,
			.started_ns = c->rec.started_ns,
			.finished_ns = clock_real_ns(),
		};
		str_copy(x.error, sizeof(x.error), "the process that watched the container died");
		x.never_ran = c->state == CONTAINER_STARTING;
	}
	container_ended(c, &x);
	adopted(c);
}

const struct shim_client_ops container_shim_ops = {
	.created = on_created,
	.exited = on_exited,
	.exec_exited = on_exec_exited,
	.oom = on_oom,
	.lost = on_lost,
};

int container_adopt(struct container *c, struct err *e)
{
	_cleanup_(mem_free) char *dir = shim_dir(c);
	struct shim_client_config cfg = {
		.loop = c->cs->cfg.loop,
		.dir = dir,
		.id = c->id,
		.ops = &container_shim_ops,
		.data = c,
		.create_timeout_ms = ADOPT_DEADLINE_MS,
	};

	if (!dir)
		return err_errno(e, ENOMEM, "shim");
	c->sandbox = net_get(c->cs->cfg.nets, c->id);
	return shim_client_connect(&cfg, &c->shim, e);
}

/* ---- the two ends of a start ---- */

int act_started(struct container *c, const struct event_args *a, struct err *e)
{
	const struct shim_status *st = shim_client_status(c->shim);

	(void)a;
	(void)e;
	c->rec.pid = st->pid;
	c->rec.started_ns = st->started_ns ? st->started_ns : clock_real_ns();
	c->rec.finished_ns = 0;
	c->rec.exit_code = 0;
	c->rec.oom_killed = false;
	c->rec.oom_kills = 0;
	str_set(&c->rec.error, NULL);
	health_begin(c);
	container_enter(c, CONTAINER_RUNNING);
	container_publish(c, "start", NULL, NULL);
	if (c->restart_told)
		container_publish(c, "restart", NULL, NULL);
	c->restart_told = false;
	if (c->limits_stale)
		update_again(c);
	ops_answer(c->cs, &c->start_ops, 0, NULL);
	if (c->kill_wanted) {
		c->stop_wanted = c->kill_wanted = false;
		lifecycle(c, EV_KILL, &(struct event_args){ .signal = SIGKILL });
	} else if (c->stop_wanted) {
		c->stop_wanted = false;
		lifecycle(c, EV_STOP, &(struct event_args){ .timeout = -1 });
	}
	return 0;
}

int act_start_failed(struct container *c, const struct event_args *a, struct err *e)
{
	bool by_policy =
		c->by_policy && list_empty(&c->start_ops) && !c->stop_wanted && !c->kill_wanted;

	(void)e;
	c->restart_told = false;
	container_release(c);
	log_warn("container %.12s (%s): %s", c->id, c->name, err_text(a->error));
	str_set(&c->rec.error, err_text(a->error));
	c->rec.pid = 0;
	c->rec.exit_code = a->exit ? a->exit->exit_code : 128;
	container_enter(c, c->rec.started_ns ? CONTAINER_EXITED : CONTAINER_CREATED);
	attaches_fail(c, a->error);
	waits_answer(c, 1u << WAIT_NEXT_EXIT | 1u << WAIT_NOT_RUNNING, (int)c->rec.exit_code,
		     c->rec.error);
	ops_answer(c->cs, &c->start_ops, -a->error->code, a->error);
	stopped(c);
	if (by_policy && c->state == CONTAINER_EXITED && policy_wants_restart(c, false)) {
		policy_count(c);
		container_enter(c, CONTAINER_RESTARTING);
		policy_wait(c);
	}
	return 0;
}
