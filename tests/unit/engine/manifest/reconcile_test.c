/*
 * Services kept true: what is asked of containers, images and registries in which situation.
 *
 * The functions of container/, image/, registry/, volume/ and net/ that manifest/ calls are puppets
 * here: an operation waits until the test says how it ends. Each asking is a word in `w.asked`.
 */
#include <stdlib.h>

#include "engine/manifest/inside.h"
#include "init/base/clock.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct container {
	char id[65], name[80], project[40], service[40], hash[65], image[80], file[80];
	enum container_state state;
	int exit_code;
	bool ran, gone;
};

enum { MOST = 16 };

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
	(void)c;
	return "none";
}

const char *container_image_id(const struct container *c)
{
	return c->image;
}

const char *container_label(const struct container *c, const char *key)
{
	const char *word = strrchr(key, '.') + 1;

	return str_eq(word, "project")	      ? c->project
	       : str_eq(word, "service")      ? c->service
	       : str_eq(word, "config-hash")  ? c->hash
	       : str_eq(word, "config_files") ? c->file
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
	CHECK(w.n_made < MOST && img);
	*c = (struct container){ .state = CONTAINER_CREATED };
	snprintf(c->id, sizeof(c->id), "%064zx", ++w.n_made);
	str_copy(c->name, sizeof(c->name), name);
	str_copy(c->image, sizeof(c->image), img->id);
	label_into(c->project, sizeof(c->project), labels, "com.docker.compose.project");
	label_into(c->service, sizeof(c->service), labels, "com.docker.compose.service");
	label_into(c->hash, sizeof(c->hash), labels, "com.docker.compose.config-hash");
	label_into(c->file, sizeof(c->file), labels, "com.docker.compose.project.config_files");
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
	CHECK(!w.loading && !w.pulling);
	w.loading = op;
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
	CHECK(!w.loading && !w.pulling);
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

int volume_get(struct volumes *v, const char *name, const struct volume **ret, struct err *e)
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

static void declare(const char *yaml)
{
	struct compose_project *want;
	struct err e = { 0 };

	for (size_t i = 0; w.project.want && i < w.project.want->n_services; i++) {
		service_cancel(run_at(i));
		free(run_at(i)->error);
		free(run_at(i)->pull_error);
	}
	free(w.project.runs);
	compose_free(w.project.want);
	w.project.want = NULL;
	CHECK_INT(compose_parse(yaml, strlen(yaml), "/etc/x/p.yaml", &want, &e), 0);
	w.project.want = want;
	w.project.file = (char *)"/etc/x/p.yaml";
	w.project.m = w.m;
	w.project.runs = calloc(want->n_services, sizeof(*w.project.runs));
	for (size_t i = 0; i < want->n_services; i++) {
		run_at(i)->project = &w.project;
		run_at(i)->want = &want->services[i];
		run_at(i)->retry.fn = step;
		run_at(i)->pull_retry.fn = pull_step;
		CHECK_INT(compose_service_hash(run_at(i)->want, run_at(i)->hash, NULL), 0);
	}
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
	list_init(&w.m->projects);
	list_init(&w.m->orphans);
	if (yaml)
		declare(yaml);
}

static void world_down(void)
{
	for (size_t i = 0; w.project.want && i < w.project.want->n_services; i++) {
		service_cancel(run_at(i));
		free(run_at(i)->error);
		free(run_at(i)->pull_error);
	}
	free(w.project.runs);
	compose_free(w.project.want);
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

#define ONE(more) "services:\n  a:\n    image: img:1\n" more
#define NEWER "services:\n  a:\n    image: img:2\n"
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

/* ---- cases ---- */

TEST(an_image_that_is_there_is_not_asked_for)
{
	world_up(ONE(""));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	container_ends(0);
	was_asked("create p-a-1, start p-a-1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	world_down();
}

TEST(an_image_comes_from_an_archive_before_a_registry)
{
	world_up(ONE(""));
	service_step(run_at(0));
	was_asked("load img:1");
	has_image("img:1", "sha256:1");
	ends(&w.loading, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	world_down();
}

TEST(an_image_that_no_archive_holds_is_pulled)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	was_asked("load img:1, pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_IMAGE);
	has_image("img:1", "sha256:1");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK(!run_at(0)->error && !run_at(0)->pull_error);
	world_down();
}

TEST(a_pull_that_fails_is_tried_again_with_growing_pauses)
{
	int64_t pause = RETRY_FIRST_MS;

	world_up(ONE(""));
	service_step(run_at(0));
	for (int i = 0; i < 9; i++) {
		ends(&w.loading, -ENOENT, "No such image: img:1");
		ends(&w.pulling, -EHOSTUNREACH, "no route");
		was_asked("load img:1, pull img:1");
		CHECK_INT(run_at(0)->state, SERVICE_FAILED);
		CHECK_STR(run_at(0)->error, "/etc/x/p.yaml:3: services.a.image: no route; no "
					    "archive of this machine holds it either");
		CHECK_INT(run_at(0)->retry_ms, pause);
		pause = MIN(2 * pause, (int64_t)RETRY_MAX_MS);
		fires(&run_at(0)->retry);
	}
	CHECK_INT(pause, RETRY_MAX_MS);
	has_image("img:1", "sha256:1");
	ends(&w.loading, 0, NULL);
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK(!run_at(0)->error);
	world_down();
}

TEST(never_means_no_registry)
{
	world_up(POLICY("never"));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	was_asked("load img:1");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	world_down();
}

TEST(an_image_that_comes_from_elsewhere_ends_the_wait)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	CHECK(!service_image_came(run_at(0)));
	has_image("img:1", "sha256:1");
	CHECK(service_image_came(run_at(0)));
	CHECK(!w.pulling);
	service_step(run_at(0));
	container_ends(0);
	was_asked("load img:1, pull img:1, create p-a-1, start p-a-1");
	CHECK(!service_image_came(run_at(0)));
	world_down();
}

TEST(a_damaged_archive_is_no_reason_to_pull)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -EIO, "cannot read");
	was_asked("load img:1");
	CHECK_STR(run_at(0)->error, "/etc/x/p.yaml:3: services.a.image: cannot read");
	world_down();
}

TEST(always_pulls_before_the_first_container_is_made)
{
	world_up(POLICY("always"));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	was_asked("pull img:1");
	has_image("img:1", "sha256:2");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_STR(w.made[0].image, "sha256:2");
	service_step(run_at(0));
	was_asked("");
	world_down();
}

TEST(always_uses_what_is_there_when_the_registry_is_not)
{
	world_up(POLICY("always"));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("pull img:1, create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK_STR(run_at(0)->pull_error, "no route");
	/* and asks again, also while it runs */
	fires(&run_at(0)->pull_retry);
	was_asked("pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	has_image("img:1", "sha256:2");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, stop p-a-1.old-00000000");
	CHECK(!run_at(0)->pull_error);
	container_ends(0);
	container_ends(0);
	was_asked("start p-a-1");
	CHECK_STR(w.made[1].image, "sha256:2");
	world_down();
}

TEST(always_at_boot_starts_what_is_there_first)
{
	runs_already(POLICY("always"));
	begins_again(POLICY("always"), true);
	service_step(run_at(0));
	was_asked("start p-a-1");
	container_ends(0);
	was_asked("pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	ends(&w.pulling, 0, NULL); /* it is the same */
	was_asked("");
	world_down();
}

TEST(a_new_image_that_cannot_be_had_leaves_the_old_container_running)
{
	runs_already(ONE(""));
	begins_again(NEWER, false);
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	/* the machine starts, and still has no network */
	begins_again(NEWER, true);
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2, start p-a-1");
	container_ends(0);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	/* one that somebody stopped rests */
	w.made[0].state = CONTAINER_EXITED;
	fires(&run_at(0)->retry);
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2");
	/* then the image comes */
	w.made[0].state = CONTAINER_RUNNING;
	fires(&run_at(0)->retry);
	has_image("img:2", "sha256:2");
	ends(&w.loading, 0, NULL);
	container_ends(0);
	container_ends(0);
	was_asked("load img:2, create p-a-1, stop p-a-1.old-00000000, start p-a-1");
	CHECK_STR(w.made[1].image, "sha256:2");
	world_down();
}

TEST(dependents_start_on_a_service_that_runs_its_image_of_before)
{
	static const char two[] = ONE("  b:\n    image: img:1\n    depends_on: [a]\n"),
			  newer[] = NEWER "  b:\n    image: img:1\n    depends_on: [a]\n";

	world_up(two);
	has_image("img:1", "sha256:1");
	for (size_t i = 0; i < 2; i++) {
		service_step(run_at(i));
		container_ends(0);
	}
	begins_again(newer, true);
	w.asked[0] = '\0';
	service_step(run_at(0));
	service_step(run_at(1));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2, start p-a-1");
	container_ends(0);
	service_step(run_at(1));
	was_asked("start p-b-1");
	container_ends(0);
	CHECK_INT(run_at(1)->state, SERVICE_RUNNING);
	world_down();
}

TEST(daily_asks_again_after_a_day)
{
	runs_already(POLICY("daily"));
	CHECK(timer_armed(&run_at(0)->pull_retry)); /* the rest of the day */
	w.image.loaded_ns -= INT64_C(86400) * 1000000000;
	fires(&run_at(0)->pull_retry);
	was_asked("pull img:1");
	ends(&w.pulling, 0, NULL); /* the same; the next is in a day, though the image is older */
	was_asked("");
	CHECK(timer_armed(&run_at(0)->pull_retry));
	world_down();
}

TEST(an_image_from_the_future_is_asked_for_in_a_day)
{
	runs_already(POLICY("every_1d"));
	timer_clear(&run_at(0)->pull_retry);
	w.image.loaded_ns += INT64_C(864000) * 1000000000;
	service_step(run_at(0));
	was_asked("");
	CHECK(timer_armed(&run_at(0)->pull_retry));
	world_down();
}

TEST(a_version_that_does_not_start_gives_way_to_the_one_before)
{
	runs_already(ONE(""));
	begins_again(ONE("    command: [x]\n"), false);
	service_step(run_at(0));
	container_ends(0); /* the old one stops */
	container_ends(-ENOENT); /* the new one does not start */
	was_asked("create p-a-1, stop p-a-1.old-00000000, start p-a-1, remove p-a-1");
	container_ends(0);
	was_asked("start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_HELD);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	world_down();
}

TEST(another_ones_container_is_left_alone)
{
	runs_already(ONE(""));
	str_copy(w.made[0].project, sizeof(w.made[0].project), "other");
	begins_again(ONE(""), false);
	service_step(run_at(0));
	was_asked("");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	world_down();
}
