/*
 * One service kept true, step by step: wait for its dependencies, have the image, have the right
 * container, have it running. Every step looks at what is there now, so that a crash or a change in
 * between needs no case of its own.
 *
 * Replacing: the old container is renamed and stops only after the new one exists and its ports are
 * known to be free; if the new one cannot be started the old one gets its name back and runs on.
 */
#include "engine/manifest/inside.h"
#include "engine/net/ports.h"
#include "init/base/log.h"
#include "init/base/str.h"

#define LABEL(name) "com.docker.compose." name

const char *service_state_text(enum service_state s)
{
	static const char *const names[] = {
		[SERVICE_WAITING] = "waiting",	 [SERVICE_IMAGE] = "loading image",
		[SERVICE_STARTING] = "starting", [SERVICE_RUNNING] = "running",
		[SERVICE_DONE] = "ended",	 [SERVICE_FAILED] = "failed",
		[SERVICE_HELD] = "held",
	};

	return names[s];
}

static struct containers *containers_of(const struct service_run *run)
{
	return run->project->m->cfg.containers;
}

static struct container *by_id(const struct service_run *run, const char *id)
{
	return id[0] ? containers_find(containers_of(run), id, NULL) : NULL;
}

/* ---- errors and retries ---- */

static void run_ok(struct service_run *run, enum service_state state)
{
	run->state = state;
	if (state == SERVICE_RUNNING || state == SERVICE_DONE) {
		if (run->error)
			log_notice("manifest: %s: service %s: %s now", run->project->file,
				   run->want->name, service_state_text(state));
		str_set(&run->error, NULL);
		run->retry_ms = 0;
	}
}

/* `at` and `key` say where the cause stands. */
static void run_says(struct service_run *run, struct compose_spot at, const char *key,
		     const char *text)
{
	_cleanup_(mem_free) char *full = str_printf("%s:%d: services.%s%s%s: %s", at.file, at.line,
						    run->want->name, *key ? "." : "", key, text);

	if (full && !str_eq(full, run->error))
		log_error("manifest: %s", full);
	str_set(&run->error, full);
}

void service_failed(struct service_run *run, struct compose_spot at, const char *key,
		    const char *text)
{
	run_says(run, at, key, text);
	run->state = SERVICE_FAILED;
	run->retry_ms =
		run->retry_ms ? MIN(run->retry_ms * 2, (int64_t)RETRY_MAX_MS) : RETRY_FIRST_MS;
	if (!run->project->m->stopped)
		timer_set(run->project->m->cfg.loop, &run->retry, run->retry_ms);
}

static void run_failed_on(struct service_run *run, const struct err *e)
{
	bool ports = e->code == EADDRINUSE || e->code == EADDRNOTAVAIL;

	service_failed(run, ports && run->want->ports_at.file ? run->want->ports_at : run->want->at,
		       ports ? "ports" : "", err_text(e));
}

void service_cancel(struct service_run *run)
{
	timer_clear(&run->retry);
	service_image_cancel(run);
	container_op_cancel(&run->op);
	run->busy = false;
}

/* ---- dependencies ---- */

/* The next run of that service behind `run` (NULL: the first), or NULL. */
static struct service_run *next_run(const struct project *p, const char *service,
				    const struct service_run *run)
{
	for (size_t i = run ? (size_t)(run - p->runs) + 1 : 0; i < p->n_runs; i++)
		if (str_eq(p->runs[i].want->name, service))
			return &p->runs[i];
	return NULL;
}

/* A service whose new image cannot be had is up with its container of before. */
static bool dep_up(const struct service_run *on)
{
	const struct container *c = by_id(on, on->id);

	return on->state == SERVICE_RUNNING || on->state == SERVICE_DONE ||
	       on->state == SERVICE_HELD ||
	       (on->state == SERVICE_FAILED && c && state_is_up(container_state(c)));
}

static bool run_ready(const struct service_run *on, enum compose_condition condition)
{
	struct container *c = by_id(on, on->id);

	switch (condition) {
	case DEP_COMPLETED:
		return c && container_state(c) == CONTAINER_EXITED && container_exit_code(c) == 0 &&
		       container_ran_in_boot(c);
	case DEP_HEALTHY:
		return dep_up(on) && c && container_state(c) == CONTAINER_RUNNING &&
		       str_eq(container_health(c), "healthy");
	case DEP_STARTED:
		return dep_up(on);
	}
	return true;
}

/* Why it will not become what is waited for unless somebody does something; new memory, NULL when
 * it may. */
static char *run_hopeless(const struct service_run *on, enum compose_condition condition)
{
	struct container *c = by_id(on, on->id);

	if (!c)
		return NULL;
	if (condition == DEP_HEALTHY && container_state(c) == CONTAINER_RUNNING &&
	    str_eq(container_health(c), "none"))
		return str_printf("the service %s has no healthcheck, so it never becomes healthy; "
				  "give it one, or wait for service_started",
				  on->want->name);
	if (condition == DEP_COMPLETED && on->state == SERVICE_DONE && container_exit_code(c) != 0)
		return str_printf("the service %s ended with exit code %d", on->want->name,
				  container_exit_code(c));
	return NULL;
}

/* What is not required is not waited for once it failed. */
static bool given_up(const struct service_run *on, const struct compose_dep *dep)
{
	_cleanup_(mem_free) char *why = dep->optional ? run_hopeless(on, dep->condition) : NULL;

	return why || (dep->optional && on->state == SERVICE_FAILED);
}

/* All containers of the service; one that has none (optional and not in the file, off, scaled to
 * none) is nothing to wait for. */
static bool dep_ready(const struct service_run *run, const struct compose_dep *dep)
{
	const struct service_run *on = NULL;

	while ((on = next_run(run->project, dep->service, on)))
		if (!run_ready(on, dep->condition) && !given_up(on, dep))
			return false;
	return true;
}

static char *dep_hopeless(const struct service_run *run, const struct compose_dep *dep)
{
	const struct service_run *on = NULL;
	char *why = NULL;

	while (!why && (on = next_run(run->project, dep->service, on)))
		why = dep->optional ? NULL : run_hopeless(on, dep->condition);
	return why;
}

static bool deps_ready(const struct service_run *run)
{
	for (size_t i = 0; i < run->want->n_deps; i++)
		if (!dep_ready(run, &run->want->deps[i]))
			return false;
	return true;
}

/* ---- restarts with a dependency ---- */

void service_restarted(struct manifests *m, const char *id)
{
	const char *service = NULL;
	struct project *p, *of = NULL;

	list_for_each(p, &m->projects, link) {
		for (size_t i = 0; i < p->n_runs; i++) {
			if (str_eq(p->runs[i].id, id)) {
				service = p->runs[i].want->name;
				of = p;
			}
		}
	}
	for (size_t i = 0; of && i < of->n_runs; i++)
		for (size_t d = 0; d < of->runs[i].want->n_deps; d++)
			if (of->runs[i].want->deps[d].restart &&
			    str_eq(of->runs[i].want->deps[d].service, service))
				of->runs[i].restart_wanted = true;
}

/* Whether a container that it depends on with `restart` was made after it was started. Each counts
 * once, whatever the clock does. */
static bool dep_is_newer(struct service_run *run, const struct container *c)
{
	bool newer = false;

	for (size_t d = 0; d < run->want->n_deps; d++) {
		const struct compose_dep *dep = &run->want->deps[d];
		const struct service_run *on = NULL;

		while (dep->restart && (on = next_run(run->project, dep->service, on))) {
			const struct container *oc = by_id(on, on->id);

			if (!oc || container_created_ns(oc) <= container_started_ns(c) ||
			    strv_has(run->restarted_for, on->id))
				continue;
			newer = strv_add(&run->restarted_for, on->id) == 0 || newer;
		}
	}
	return newer;
}

/* ---- the container ---- */

static bool is_ours(const struct service_run *run, const struct container *c)
{
	return str_eq(container_label(c, LABEL("project")), run->project->want->name) &&
	       str_eq(container_label(c, LABEL("service")), run->want->name);
}

static struct container *named_container(const struct service_run *run)
{
	struct container *c = by_id(run, run->name);

	/* not an id that begins like the name */
	return c && str_eq(container_name(c), run->name) ? c : NULL;
}

struct container *service_container(const struct service_run *run)
{
	struct container *c = named_container(run);

	return c && is_ours(run, c) ? c : NULL;
}

static bool is_current(const struct service_run *run, const struct container *c,
		       const char *image_id)
{
	return str_eq(container_label(c, LABEL("config-hash")), run->hash) &&
	       str_eq(container_image_id(c), image_id) && container_remap_current(c);
}

static int create(struct service_run *run, struct container **ret, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const struct image *img =
		images_find(run->project->m->cfg.images, run->want->create.config.image, NULL);
	const struct compose_stamp stamp = { .hash = run->hash,
					     .image_id = img ? img->id : NULL,
					     .number = run->number,
					     .name = run->name };
	int r = volumes_make(run, e);

	if (r == 0)
		r = networks_make(run, e);
	if (r == 0)
		r = files_make(run, e);
	if (r == 0 && compose_service_json(run->want, &stamp, &text) < 0)
		r = err_errno(e, ENOMEM, "service %s", run->want->name);
	if (r == 0)
		r = json_parse(buf_text(&text), text.len, &doc, e);
	if (r == 0)
		r = container_create(containers_of(run), run->name, yyjson_doc_get_root(doc), ret,
				     NULL, e);
	if (r == 0)
		str_copy(run->id, sizeof(run->id), container_id(*ret));
	return r;
}

/* Whether the ports of the new version that the old container does not hold could be had. */
static int probe_ports(const struct service_run *run, const struct container *old, struct err *e)
{
	const struct bind_named_list *ports = run->want->create.host.port_bindings.items;
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->want->create.host.port_bindings.n; i++) {
		const struct port_host *host = ports[i].list.items;

		for (size_t j = 0; r == 0 && j < ports[i].list.n; j++) {
			struct port_want want;

			r = port_want_parse(ports[i].key, host[j].ip ? host[j].ip : "",
					    host[j].port ? host[j].port : "", &want, e);
			if (r < 0 || want.host_first == 0 || want.host_first != want.host_last ||
			    container_holds_port(old, want.proto, want.host_first))
				continue;
			r = nets_probe_ports(run->project->m->cfg.nets, &want, 1, e);
		}
	}
	return r;
}

/* ---- start ---- */

static void old_back(struct service_run *run);

static void removed_quietly(struct container_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, op);

	(void)r;
	(void)e;
	run->busy = false;
	if (run->old_id[0])
		old_back(run);
	else
		service_step(run);
}

static void old_started(struct container_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, op);

	run->busy = false;
	if (r < 0 && r != -EALREADY)
		log_error(
			"manifest: %s: service %s: the version before cannot be started again: %s",
			run->project->file, run->want->name, err_text(e));
	run->state = SERVICE_HELD;
}

/* The new version was removed again: the old one takes its name and runs on, until the file
 * changes. */
static void old_back(struct service_run *run)
{
	struct container *old = by_id(run, run->old_id);
	struct err e = { 0 };

	if (!old) {
		run->old_id[0] = '\0';
		return;
	}
	str_copy(run->id, sizeof(run->id), run->old_id);
	run->old_id[0] = '\0';
	if (container_rename(old, run->name, &e) < 0)
		log_error("manifest: %s", err_text(&e));
	run->busy = true;
	run->op = (struct container_op){ .done = old_started };
	container_start(old, &run->op);
}

static void started(struct container_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, op);
	struct container *c = by_id(run, run->id);

	run->busy = false;
	if (r < 0 && r != -EALREADY) {
		run_failed_on(run, e);
		if (run->old_id[0] && c) {
			timer_clear(&run->retry);
			run->busy = true;
			run->op = (struct container_op){ .done = removed_quietly };
			container_remove(c, true, true, &run->op);
		}
		return;
	}
	run->old_id[0] = '\0'; /* an orphan by its name now */
	service_step(run);
}

static void start(struct service_run *run, struct container *c)
{
	struct err e = { 0 };

	run->state = SERVICE_STARTING;
	run->restart_wanted = false;
	if (files_make(run, &e) < 0) {
		run_failed_on(run, &e);
		return;
	}
	run->busy = true;
	run->op = (struct container_op){ .done = started };
	container_start(c, &run->op);
}

static void old_stopped(struct container_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, op);
	struct container *c = by_id(run, run->id);

	(void)r;
	(void)e;
	run->busy = false;
	if (c)
		start(run, c);
	else
		service_step(run);
}

/* ---- replace ---- */

static void replace(struct service_run *run, struct container *old)
{
	struct container *fresh;
	char name[128];
	struct err e = { 0 };
	int r = probe_ports(run, old, &e);

	if (r == 0)
		r = str_format(name, sizeof(name), "%.100s.old-%.8s", container_name(old),
			       container_id(old));
	if (r == 0)
		r = container_rename(old, name, &e);
	if (r < 0) {
		run_failed_on(run, &e);
		return;
	}
	r = create(run, &fresh, &e);
	if (r < 0) {
		container_rename(old, run->name, NULL);
		str_copy(run->id, sizeof(run->id), container_id(old));
		run_failed_on(run, &e);
		return;
	}
	log_info("manifest: %s: service %s is replaced by its new version", run->project->file,
		 run->want->name);
	str_copy(run->old_id, sizeof(run->old_id), container_id(old));
	run->state = SERVICE_STARTING;
	run->busy = true;
	run->op = (struct container_op){ .done = old_stopped };
	container_stop(old, -1, 0, &run->op);
}

/* ---- the step ---- */

static void restart(struct service_run *run, struct container *c)
{
	log_info("manifest: %s: service %s is restarted with what it depends on",
		 run->project->file, run->want->name);
	run->restart_wanted = false;
	run->state = SERVICE_STARTING;
	run->busy = true;
	run->op = (struct container_op){ .done = started };
	container_restart(c, -1, 0, &run->op);
}

static void with_container(struct service_run *run, struct container *c)
{
	str_copy(run->id, sizeof(run->id), container_id(c));
	if (container_state(c) == CONTAINER_RUNNING &&
	    (dep_is_newer(run, c) || run->restart_wanted))
		restart(run, c);
	else if (state_is_up(container_state(c)))
		run_ok(run, SERVICE_RUNNING);
	else if (container_state(c) == CONTAINER_REMOVING)
		service_failed(run, run->want->at, "", "its container is being removed");
	else if (container_ran_in_boot(c) && container_state(c) == CONTAINER_EXITED &&
		 run->state != SERVICE_FAILED)
		run_ok(run, SERVICE_DONE); /* or was stopped: rests until the next boot or change */
	else
		start(run, c);
}

static void without_container(struct service_run *run)
{
	struct container *c;
	struct err e = { 0 };

	if (create(run, &c, &e) < 0)
		run_failed_on(run, &e);
	else
		start(run, c);
}

static void wait_for_deps(struct service_run *run)
{
	_cleanup_(mem_free) char *text = NULL;
	struct compose_spot at = run->want->at;

	for (size_t i = 0; !text && i < run->want->n_deps; i++) {
		at = run->want->deps[i].at;
		text = dep_hopeless(run, &run->want->deps[i]);
	}
	run->state = SERVICE_WAITING;
	if (text)
		run_says(run, at, "depends_on", text);
	else
		str_set(&run->error, NULL);
}

void service_step(struct service_run *run)
{
	const struct image *img;
	struct container *c;
	bool current;

	if (run->busy || run->project->m->stopped || run->state == SERVICE_HELD)
		return;
	if (!deps_ready(run)) {
		wait_for_deps(run);
		return;
	}
	img = images_find(run->project->m->cfg.images, run->want->create.config.image, NULL);
	if (!img) {
		service_get_image(run);
		return;
	}
	run->no_image = false;
	c = named_container(run);
	current = c && is_ours(run, c) && is_current(run, c, img->id);
	if (current)
		with_container(run, c);
	if (run->busy || (current && run->state == SERVICE_FAILED))
		return; /* what is there runs first */
	if (!current)
		run->state = SERVICE_IMAGE;
	if (service_pull_due(run, img))
		service_pull(run);
	else if (!c)
		without_container(run);
	else if (!is_ours(run, c))
		service_failed(run, run->want->at, "container_name",
			       "another container has this name; remove or rename it, or choose "
			       "another name here");
	else if (!current)
		replace(run, c);
}

/* ---- orphans ---- */

static void orphan_removed(struct container_op *op, int r, const struct err *e)
{
	struct orphan *o = container_of(op, struct orphan, op);

	if (r < 0 && r != -ENOENT)
		log_error("manifest: container %.12s is not declared any more, but: %s", o->id,
			  err_text(e));
	o->m->clean_due = true;
	if (!o->m->stopped)
		timer_set(o->m->cfg.loop, &o->m->look, 0); /* what it leaves can go now */
	list_remove(&o->link);
	free(o);
}

static void orphan_stopped(struct container_op *op, int r, const struct err *e)
{
	struct orphan *o = container_of(op, struct orphan, op);
	struct container *c = containers_find(o->m->cfg.containers, o->id, NULL);

	(void)r;
	(void)e;
	if (!c) {
		orphan_removed(op, 0, NULL);
		return;
	}
	o->op = (struct container_op){ .done = orphan_removed };
	container_remove(c, true, true, &o->op);
}

static void orphan_begin(struct manifests *m, struct container *c)
{
	struct orphan *o;

	list_for_each(o, &m->orphans, link)
		if (str_eq(o->id, container_id(c)))
			return;
	o = calloc(1, sizeof(*o));
	if (!o)
		return;
	o->m = m;
	str_copy(o->id, sizeof(o->id), container_id(c));
	list_append(&m->orphans, &o->link);
	log_info("manifest: container %s is not declared any more and is removed",
		 container_name(c));
	o->op = (struct container_op){ .done = orphan_stopped };
	container_stop(c, -1, 0, &o->op);
}

static bool is_numbered(const struct container *c, unsigned number)
{
	const char *text = container_label(c, LABEL("container-number"));
	int64_t n;

	return text && str_to_i64(text, &n) == 0 && n == number;
}

/* Whether a container that belongs to this folder has no place in it any more. */
static bool is_orphan(struct manifests *m, const struct container *c)
{
	const char *file = container_label(c, LABEL("project.config_files"));
	const char *service = container_label(c, LABEL("service"));
	const struct project *p;
	const struct service_run *run = NULL;

	if (!file || !service || strncmp(file, m->dir, strlen(m->dir)) != 0 ||
	    file[strlen(m->dir)] != '/')
		return false;
	p = project_by_file(m, file);
	if (!p)
		return true;
	if (!p->want) /* no good version yet in this life of the engine: it may be one of it */
		return false;
	if (!str_eq(container_label(c, LABEL("project")), p->want->name))
		return true;
	while ((run = next_run(p, service, run))) {
		if (str_eq(container_name(c), run->name) || str_eq(run->old_id, container_id(c)))
			return false;
		/* an older version under another name: only when its successor runs */
		if (is_numbered(c, run->number) && run->state != SERVICE_RUNNING &&
		    run->state != SERVICE_DONE)
			return false;
	}
	return true;
}

void orphans_look(struct manifests *m)
{
	struct container *c, *gone[32];
	size_t pos = 0, n = 0;

	while (n < ARRAY_SIZE(gone) && (c = containers_next(m->cfg.containers, &pos)))
		if (container_state(c) != CONTAINER_REMOVING && is_orphan(m, c))
			gone[n++] = c;
	for (size_t i = 0; i < n; i++)
		orphan_begin(m, gone[i]);
	if (m->clean_due && list_empty(&m->orphans)) {
		m->clean_due = false;
		things_clean(m);
	}
}
