/*
 * The world of a service that is kept true: the functions of container/, image/, registry/, volume/
 * and net/ that manifest/ calls are puppets here. An operation waits until the test says how it
 * ends; each asking is a word in `w.asked`. Included once by each program that needs it.
 */
#ifndef SKERRY_MANIFEST_PUPPETS_H
#define SKERRY_MANIFEST_PUPPETS_H

/* No case needs them all. */
#pragma GCC diagnostic ignored "-Wunused-function"

#include <stdlib.h>

#include "engine/manifest/inside.h"
#include "init/base/clock.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct container {
	char id[65], name[80], project[40], service[40], hash[65], image[80], file[80], number[8];
	char health[16];
	int64_t created_ns, started_ns;
	enum container_state state;
	int exit_code;
	bool ran, gone;
};

enum { MOST = 16 };

/* For functions that cannot end their case. */
#define MUST(cond)                                                  \
	do {                                                        \
		if (!(cond)) {                                      \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
			abort();                                    \
		}                                                   \
	} while (0)

static struct world {
	struct loop *loop;
	struct events *events;
	struct container made[MOST];
	size_t n_made;
	/* what the store has: names, and the ids that they stand for */
	const char *image_names[4], *image_ids[4];
	size_t n_images;
	struct image image;
	struct image_op *loading, *pulling;
	struct container_op *running; /* start, stop or remove */
	struct container *of; /* what it is about */
	enum container_state then; /* its state if that succeeds */
	int create_fails, ports_taken; /* errno */
	int64_t now; /* of this world: counts what happens */
	struct network nets[8]; /* that there are */
	size_t n_nets;
	bool net_busy;
	char asked[1024];
	struct manifests *m;
	struct project project;
} w;

static void asked(const char *verb, const char *what)
{
	size_t len = strlen(w.asked);

	snprintf(w.asked + len, sizeof(w.asked) - len, "%s%s %s", len ? ", " : "", verb, what);
}

/* ---- containers ---- */

struct events *containers_events(struct containers *cs)
{
	(void)cs;
	return w.events;
}

struct container *containers_find(struct containers *cs, const char *ref, struct err *e)
{
	(void)cs;
	(void)e;
	for (size_t i = 0; i < w.n_made; i++)
		if (!w.made[i].gone && (str_eq(w.made[i].id, ref) || str_eq(w.made[i].name, ref)))
			return &w.made[i];
	return NULL;
}

struct container *containers_next(struct containers *cs, size_t *pos)
{
	(void)cs;
	while (*pos < w.n_made)
		if (!w.made[(*pos)++].gone)
			return &w.made[*pos - 1];
	return NULL;
}

const char *container_id(const struct container *c)
{
	return c->id;
}

const char *container_name(const struct container *c)
{
	return c->name;
}

enum container_state container_state(const struct container *c)
{
	return c->state;
}

int container_exit_code(const struct container *c)
{
	return c->exit_code;
}

const char *container_health(const struct container *c)
{
	return c->health[0] ? c->health : "none";
}

int64_t container_created_ns(const struct container *c)
{
	return c->created_ns;
}

int64_t container_started_ns(const struct container *c)
{
	return c->started_ns;
}

bool container_has_mount(const struct container *c, const char *text)
{
	(void)c;
	(void)text;
	return false;
}

bool container_has_network(const struct container *c, const char *name)
{
	(void)c;
	(void)name;
	return false;
}

const char *container_image_id(const struct container *c)
{
	return c->image;
}

const char *container_label(const struct container *c, const char *key)
{
	const char *word = strrchr(key, '.') + 1;

	return str_eq(word, "project")		  ? c->project
	       : str_eq(word, "service")	  ? c->service
	       : str_eq(word, "config-hash")	  ? c->hash
	       : str_eq(word, "config_files")	  ? c->file
	       : str_eq(word, "container-number") ? c->number
						  : NULL;
}

bool container_ran_in_boot(const struct container *c)
{
	return c->ran;
}

bool container_remap_current(const struct container *c)
{
	(void)c;
	return true;
}

bool container_holds_port(const struct container *c, uint8_t proto, uint16_t host_port)
{
	(void)c;
	(void)proto;
	(void)host_port;
	return false;
}

static void label_into(char *to, size_t size, yyjson_val *labels, const char *key)
{
	const char *text = yyjson_get_str(yyjson_obj_get(labels, key));

	str_copy(to, size, text ? text : "");
}

int container_create(struct containers *cs, const char *name, yyjson_val *body,
		     struct container **ret, char ***warnings, struct err *e)
{
	struct container *c = &w.made[w.n_made];
	yyjson_val *labels = yyjson_obj_get(body, "Labels");
	const char *image = yyjson_get_str(yyjson_obj_get(body, "Image"));
	const struct image *img = images_find(NULL, image, NULL);

	(void)cs;
	(void)warnings;
	asked("create", name);
	if (w.create_fails)
		return err_errno(e, w.create_fails, "no container");
	MUST(w.n_made < MOST && img);
	*c = (struct container){ .state = CONTAINER_CREATED, .created_ns = ++w.now };
	snprintf(c->id, sizeof(c->id), "%064zx", ++w.n_made);
	str_copy(c->name, sizeof(c->name), name);
	str_copy(c->image, sizeof(c->image), img->id);
	label_into(c->project, sizeof(c->project), labels, "com.docker.compose.project");
	label_into(c->service, sizeof(c->service), labels, "com.docker.compose.service");
	label_into(c->hash, sizeof(c->hash), labels, "com.docker.compose.config-hash");
	label_into(c->file, sizeof(c->file), labels, "com.docker.compose.project.config_files");
	label_into(c->number, sizeof(c->number), labels, "com.docker.compose.container-number");
	*ret = c;
	return 0;
}

static void begin(const char *verb, struct container *c, enum container_state then,
		  struct container_op *op)
{
	asked(verb, c->name);
	CHECK(!w.running);
	w.running = op;
	w.of = c;
	w.then = then;
}

void container_start(struct container *c, struct container_op *op)
{
	begin("start", c, CONTAINER_RUNNING, op);
}

void container_stop(struct container *c, int timeout, int signal, struct container_op *op)
{
	(void)timeout;
	(void)signal;
	begin("stop", c, CONTAINER_EXITED, op);
}

void container_restart(struct container *c, int timeout, int signal, struct container_op *op)
{
	(void)timeout;
	(void)signal;
	begin("restart", c, CONTAINER_RUNNING, op);
}

void container_remove(struct container *c, bool force, bool volumes, struct container_op *op)
{
	(void)force;
	(void)volumes;
	begin("remove", c, CONTAINER_N_STATES, op);
}

int container_rename(struct container *c, const char *name, struct err *e)
{
	(void)e;
	str_copy(c->name, sizeof(c->name), name);
	return 0;
}

void container_op_cancel(struct container_op *op)
{
	if (w.running == op)
		w.running = NULL;
}

/* ---- images, registry ---- */

const struct image *images_find(struct images *s, const char *ref, struct err *e)
{
	(void)s;
	(void)e;
	for (size_t i = 0; i < w.n_images; i++)
		if (str_eq(w.image_names[i], ref)) {
			w.image.id = (char *)w.image_ids[i];
			return &w.image;
		}
	return NULL;
}

int images_ensure(struct images *s, const char *ref, struct image_op *op, struct err *e)
{
	(void)s;
	(void)e;
	asked("load", ref);
	MUST(!w.loading && !w.pulling);
	w.loading = op;
	return 0;
}

int registry_own_auth(const struct registry *reg, const char *ref, struct registry_auth *ret,
		      struct err *e)
{
	(void)reg;
	(void)ref;
	(void)ret;
	(void)e;
	return 0;
}

int registry_pull(struct registry *reg, const char *ref, const struct image_platform *platform,
		  const struct registry_auth *auth, struct image_op *op, struct err *e)
{
	(void)reg;
	(void)platform;
	(void)auth;
	(void)e;
	asked("pull", ref);
	MUST(!w.loading && !w.pulling);
	w.pulling = op;
	return 0;
}

void image_op_cancel(struct image_op *op)
{
	if (w.loading == op)
		w.loading = NULL;
	if (w.pulling == op)
		w.pulling = NULL;
}

/* ---- volumes, network ---- */

int volume_get(const struct volumes *v, const char *name, const struct volume **ret, struct err *e)
{
	(void)v;
	(void)ret;
	return err_set(e, ENOENT, "get %s: no such volume", name);
}

int volume_create(struct volumes *v, const struct volume_want *want, const struct volume **ret,
		  struct err *e)
{
	(void)v;
	(void)want;
	(void)ret;
	return err_set(e, ENOSYS, "no volumes here");
}

int nets_find(const struct nets *n, const char *ref, const struct network **ret, struct err *e)
{
	(void)n;
	for (size_t i = 0; i < w.n_nets; i++) {
		if (!str_eq(w.nets[i].name, ref))
			continue;
		*ret = &w.nets[i];
		return 0;
	}
	return err_set(e, ENOENT, "network %s not found", ref);
}

size_t nets_count(const struct nets *n)
{
	(void)n;
	return w.n_nets;
}

const struct network *nets_at(const struct nets *n, size_t i)
{
	(void)n;
	return &w.nets[i];
}

bool network_in_use(const struct nets *n, const struct network *net)
{
	(void)n;
	(void)net;
	return w.net_busy;
}

const char *net_driver_name(enum net_driver d)
{
	(void)d;
	return "bridge";
}

int nets_create(struct nets *n, const struct network_want *want, const struct network **ret,
		struct err *e)
{
	struct network *net = &w.nets[w.n_nets];

	(void)n;
	(void)e;
	asked("net", want->name);
	*net = (struct network){ .name = str_dup(want->name) };
	net->labels = strv_copy(want->labels);
	w.n_nets++;
	*ret = net;
	return 0;
}

int nets_remove(struct nets *n, const struct network *net, struct err *e)
{
	size_t i = (size_t)(net - w.nets);

	(void)n;
	(void)e;
	asked("no net", net->name);
	free(w.nets[i].name);
	strv_free(w.nets[i].labels);
	memmove(&w.nets[i], &w.nets[i + 1], (--w.n_nets - i) * sizeof(w.nets[0]));
	return 0;
}

int nets_probe_ports(struct nets *n, const struct port_want *ports, size_t count, struct err *e)
{
	(void)n;
	(void)ports;
	(void)count;
	return w.ports_taken ? err_errno(e, w.ports_taken, "ports") : 0;
}

/* ---- the test's hands ---- */

static void has_image(const char *name, const char *id)
{
	for (size_t i = 0; i < w.n_images; i++)
		if (str_eq(w.image_names[i], name)) {
			w.image_ids[i] = id;
			return;
		}
	w.image_names[w.n_images] = name;
	w.image_ids[w.n_images++] = id;
}

static void ends(struct image_op **slot, int r, const char *text)
{
	struct image_op *op = *slot;
	struct err e = { 0 };

	CHECK(op);
	*slot = NULL;
	if (r < 0)
		err_set(&e, -r, "%s", text);
	op->done(op, r, &e);
}

/* The operation on a container that is under way ends. */
static void container_ends(int r)
{
	struct container_op *op = w.running;
	struct err e = { 0 };

	CHECK(op);
	w.running = NULL;
	if (r < 0) {
		err_set(&e, -r, "no luck");
	} else if (w.then == CONTAINER_N_STATES) {
		w.of->gone = true;
	} else {
		w.of->state = w.then;
		w.of->ran = true;
		if (w.then == CONTAINER_RUNNING)
			w.of->started_ns = ++w.now;
	}
	op->done(op, r, &e);
}

static void was_asked(const char *want)
{
	CHECK_STR(w.asked, want);
	w.asked[0] = '\0';
}

static struct service_run *run_at(size_t i)
{
	return &w.project.runs[i];
}

/* A timer that is armed fires. */
static void fires(struct timer_event *t)
{
	CHECK(timer_armed(t));
	timer_clear(t);
	t->fn(t);
}

static void step(struct timer_event *t)
{
	service_step(container_of(t, struct service_run, retry));
}

static void pull_step(struct timer_event *t)
{
	service_step(container_of(t, struct service_run, pull_retry));
}

static void runs_down(void)
{
	for (size_t i = 0; i < w.project.n_runs; i++) {
		service_cancel(run_at(i));
		free(run_at(i)->name);
		free(run_at(i)->error);
		free(run_at(i)->pull_error);
		strv_free(run_at(i)->restarted_for);
	}
	free(w.project.runs);
	compose_free(w.project.want);
	w.project.want = NULL;
	w.project.runs = NULL;
	w.project.n_runs = 0;
}

static void run_up(const struct compose_service *s, unsigned number)
{
	struct service_run *run = run_at(w.project.n_runs++);

	run->project = &w.project;
	run->want = s;
	run->number = number;
	run->name = compose_container_name(w.project.want, s, number);
	run->retry.fn = step;
	run->pull_retry.fn = pull_step;
	CHECK_INT(compose_service_hash(s, run->hash, NULL), 0);
}

static void declare(const char *yaml)
{
	struct compose_project *want;
	struct err e = { 0 };

	runs_down();
	CHECK_MSG(compose_parse(yaml, strlen(yaml), "/etc/x/p.yaml", NULL, &want, NULL, &e) == 0,
		  "%s", err_text(&e));
	w.project.want = want;
	w.project.file = (char *)"/etc/x/p.yaml";
	w.project.m = w.m;
	w.project.runs = calloc(MOST, sizeof(*w.project.runs));
	for (size_t i = 0; i < want->n_services; i++)
		for (int64_t k = 1; !want->services[i].off && k <= want->services[i].replicas; k++)
			run_up(&want->services[i], (unsigned)k);
}

static void net_is_there(const char *name, char *const *labels)
{
	w.nets[w.n_nets] = (struct network){ .name = str_dup(name) };
	w.nets[w.n_nets++].labels = strv_copy(labels);
}

static void world_up(const char *yaml)
{
	struct err e = { 0 };

	memset(&w, 0, sizeof(w));
	CHECK_INT(loop_new(&w.loop, &e), 0);
	w.events = events_new();
	w.image.loaded_ns = clock_real_ns();
	w.m = calloc(1, sizeof(*w.m));
	w.m->dir = (char *)"/etc/x";
	w.m->cfg.loop = w.loop;
	w.m->cfg.nets = (struct nets *)&w;
	list_init(&w.m->projects);
	list_init(&w.m->orphans);
	list_init(&w.m->trials);
	list_append(&w.m->projects, &w.project.link);
	if (yaml)
		declare(yaml);
}

static void world_down(void)
{
	runs_down();
	for (size_t i = 0; i < w.n_nets; i++) {
		free(w.nets[i].name);
		strv_free(w.nets[i].labels);
	}
	free(w.m);
	events_free(w.events);
	loop_free(w.loop);
}

/* The engine starts anew, perhaps with the whole machine: what the runs knew is gone. */
static void begins_again(const char *yaml, bool machine)
{
	for (size_t i = 0; machine && i < w.n_made; i++) {
		w.made[i].ran = false;
		w.made[i].state = CONTAINER_EXITED;
	}
	declare(yaml);
}

/* Networks have cases of their own. */
#define PLAIN "    network_mode: bridge\n"
#define ONE(more) "services:\n  a:\n    image: img:1\n" PLAIN more
#define NEWER "services:\n  a:\n    image: img:2\n" PLAIN
#define POLICY(word) ONE("    pull_policy: " word "\n")

/* Brings up the service of ONE. */
static void runs_already(const char *yaml)
{
	world_up(yaml);
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	if (w.pulling)
		ends(&w.pulling, 0, NULL);
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	w.asked[0] = '\0';
}

#endif
