/*
 * The folder of compose files: scan, watch, versions of each project, and the report.
 *
 * A scan reads every file; only a changed text is parsed. A good new version replaces the runs of
 * the old one (what is the same stays untouched: reconcile compares hashes), a bad one only sets
 * the error.
 */
#include "engine/manifest/manifest.h"

#include <fcntl.h>
#include <sys/inotify.h>

#include "engine/manifest/inside.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

/* ---- projects ---- */

static void runs_free(struct project *p)
{
	for (size_t i = 0; p->want && i < p->want->n_services; i++) {
		service_cancel(&p->runs[i]);
		free(p->runs[i].error);
		free(p->runs[i].pull_error);
	}
	free(p->runs);
	p->runs = NULL;
	compose_free(p->want);
	p->want = NULL;
}

static void project_free(struct project *p)
{
	list_remove(&p->link);
	runs_free(p);
	free(p->file);
	free(p->text);
	free(p->error);
	free(p);
}

const struct project *project_by_file(const struct manifests *m, const char *file)
{
	struct project *p;

	list_for_each(p, &m->projects, link)
		if (str_eq(p->file, file))
			return p;
	return NULL;
}

static void project_error(struct project *p, const char *text)
{
	if (text && !str_eq(text, p->error))
		log_error("manifest: %s%s", text,
			  p->want ? " (the version before it runs on)" : "");
	str_set(&p->error, text);
}

static void retry_due(struct timer_event *ev)
{
	service_step(container_of(ev, struct service_run, retry));
}

static void pull_retry_due(struct timer_event *ev)
{
	service_step(container_of(ev, struct service_run, pull_retry));
}

/* Takes a good version over. */
static int adopt_version(struct project *p, struct compose_project *want)
{
	struct service_run *runs = calloc(want->n_services + 1, sizeof(*runs));

	if (!runs)
		return -ENOMEM;
	runs_free(p);
	p->want = want;
	p->runs = runs;
	for (size_t i = 0; i < want->n_services; i++) {
		runs[i].project = p;
		runs[i].want = &want->services[i];
		runs[i].retry.fn = retry_due;
		runs[i].pull_retry.fn = pull_retry_due;
		if (compose_service_hash(runs[i].want, runs[i].hash, NULL) < 0)
			log_error("manifest: %s: out of memory", p->file);
	}
	return 0;
}

/* A project name belongs to one file. */
static const char *other_with_name(const struct project *p, const char *name)
{
	struct project *other;

	list_for_each(other, &p->m->projects, link)
		if (other != p && other->want && str_eq(other->want->name, name))
			return other->file;
	return NULL;
}

static void project_read(struct project *p, const char *text, size_t len)
{
	struct compose_project *want = NULL;
	struct err e = { 0 };
	const char *other;

	if (compose_parse(text, len, p->file, &want, &e) < 0) {
		project_error(p, err_text(&e));
		return;
	}
	other = other_with_name(p, want->name);
	if (other) {
		err_set(&e, EEXIST, "%s:1: name: the project '%s' is declared by %s already",
			p->file, want->name, other);
		project_error(p, err_text(&e));
		compose_free(want);
		return;
	}
	project_error(p, NULL);
	log_info("manifest: %s: project %s, %zu service%s", p->file, want->name, want->n_services,
		 want->n_services == 1 ? "" : "s");
	if (adopt_version(p, want) < 0)
		compose_free(want);
}

/* ---- scan ---- */

static struct project *project_get(struct manifests *m, const char *file)
{
	struct project *p = (struct project *)project_by_file(m, file);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p || !(p->file = str_dup(file))) {
		free(p);
		return NULL;
	}
	p->m = m;
	list_append(&m->projects, &p->link);
	return p;
}

static int scan_file(int dirfd, const char *name, void *data, struct err *unused)
{
	struct manifests *m = data;
	_cleanup_(mem_free) char *file = str_printf("%s/%s", m->dir, name), *text = NULL;
	struct project *p;
	struct err e = { 0 };
	size_t len = 0;

	(void)unused;
	if (name[0] == '.' || (!str_ends(name, ".yaml") && !str_ends(name, ".yml")) || !file)
		return 0;
	p = project_get(m, file);
	if (!p)
		return 0;
	p->seen = true;
	if (file_read(dirfd, name, COMPOSE_FILE_MAX, &text, &len, &e) < 0) {
		err_wrap(&e, "%s:1", file);
		project_error(p, err_text(&e));
		return 0;
	}
	if (str_eq(p->text, text))
		return 0;
	project_read(p, text, len);
	free(p->text);
	p->text = take_ptr(text);
	return 0;
}

static void step_all(struct manifests *m)
{
	struct project *p;

	list_for_each(p, &m->projects, link)
		for (size_t i = 0; p->want && i < p->want->n_services; i++)
			if (service_image_came(&p->runs[i]) ||
			    (!p->runs[i].busy && !timer_armed(&p->runs[i].retry)))
				service_step(&p->runs[i]);
	orphans_look(m);
}

static void scan_due(struct timer_event *ev)
{
	struct manifests *m = container_of(ev, struct manifests, scan);
	struct project *p, *tmp;
	struct err e = { 0 };

	if (m->stopped)
		return;
	list_for_each(p, &m->projects, link)
		p->seen = false;
	if (dir_each(AT_FDCWD, m->dir, 4 * PROJECTS_MAX, scan_file, m, &e) == -ENOENT)
		log_info("manifest: there is no folder %s", m->dir);
	else if (e.code)
		log_error("manifest: %s", err_text(&e));
	list_for_each_safe(p, tmp, &m->projects, link) {
		if (!p->seen && e.code == 0) {
			log_info("manifest: %s is gone", p->file);
			project_free(p);
		}
	}
	step_all(m);
}

static void folder_changed(struct io_event *ev, uint32_t events)
{
	struct manifests *m = container_of(ev, struct manifests, watch);
	char buf[4096];

	(void)events;
	while (read(ev->fd, buf, sizeof(buf)) > 0)
		;
	timer_set(m->cfg.loop, &m->scan, SETTLE_MS);
}

/* Something happened to a container or an image: services that wait for it look again, soon and
 * once. */
static void container_event(struct event_sub *sub, const struct event *ev)
{
	struct manifests *m = container_of(sub, struct manifests, events);

	if ((str_eq(ev->type, "container") || str_eq(ev->type, "image")) && !m->stopped)
		timer_set(m->cfg.loop, &m->look, 0);
}

static void look_due(struct timer_event *ev)
{
	struct manifests *m = container_of(ev, struct manifests, look);

	if (!m->stopped)
		step_all(m);
}

/* ---- the module ---- */

int manifests_new(const struct manifests_config *cfg, struct manifests **ret, struct err *e)
{
	struct manifests *m = calloc(1, sizeof(*m));

	if (!m || !(m->dir = str_dup(cfg->dir))) {
		free(m);
		return err_errno(e, ENOMEM, "manifests");
	}
	m->cfg = *cfg;
	list_init(&m->projects);
	list_init(&m->orphans);
	m->scan.fn = scan_due;
	m->look.fn = look_due;
	m->watch.fn = folder_changed;
	m->events.fn = container_event;
	*ret = m;
	return 0;
}

void manifests_free(struct manifests *m)
{
	struct project *p, *tmp;
	struct orphan *o, *next;

	if (!m)
		return;
	manifests_stop(m);
	list_for_each_safe(p, tmp, &m->projects, link)
		project_free(p);
	list_for_each_safe(o, next, &m->orphans, link) {
		container_op_cancel(&o->op);
		free(o);
	}
	free(m->dir);
	free(m);
}

void manifests_start(struct manifests *m)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 ||
	    inotify_add_watch(fd, m->dir,
			      IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
				      IN_MOVED_TO) < 0 ||
	    io_add(m->cfg.loop, &m->watch, fd, EPOLLIN) < 0) {
		log_warn("manifest: changes in %s are not seen: %s", m->dir, strerror(errno));
		fd_close(fd);
	}
	events_subscribe(containers_events(m->cfg.containers), &m->events);
	timer_set(m->cfg.loop, &m->scan, 0);
}

void manifests_stop(struct manifests *m)
{
	m->stopped = true;
	timer_clear(&m->scan);
	timer_clear(&m->look);
	events_unsubscribe(&m->events);
	if (m->watch.loop) {
		int fd = m->watch.fd;

		io_remove(&m->watch);
		fd_close(fd);
	}
}

/* ---- report ---- */

static void member_text(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_str(w, str_empty(text) ? NULL : text);
}

static void write_run(const struct service_run *run, struct json_writer *w)
{
	json_begin_object(w);
	json_member_str(w, "name", run->want->name);
	json_member_str(w, "state", service_state_text(run->state));
	member_text(w, "container", run->id);
	member_text(w, "error", run->error ? run->error : run->pull_error);
	json_end_object(w);
}

/* "working" until every service has come to rest. */
static const char *project_state(const struct project *p)
{
	if (p->error)
		return "error";
	for (size_t i = 0; p->want && i < p->want->n_services; i++)
		if (p->runs[i].error || p->runs[i].pull_error)
			return "error";
	for (size_t i = 0; p->want && i < p->want->n_services; i++)
		if (p->runs[i].state != SERVICE_RUNNING && p->runs[i].state != SERVICE_DONE)
			return "working";
	return "ok";
}

/* Errors begin with "FILE:LINE:". */
static int64_t error_line(const struct project *p)
{
	size_t len = strlen(p->file);

	return p->error && strncmp(p->error, p->file, len) == 0 && p->error[len] == ':'
		       ? strtol(p->error + len + 1, NULL, 10)
		       : 0;
}

void manifests_write(const struct manifests *m, struct json_writer *w)
{
	struct project *p;

	json_begin_array(w);
	list_for_each(p, &m->projects, link) {
		_cleanup_(mem_free) char *from_file = compose_name_of_file(p->file);

		json_begin_object(w);
		member_text(w, "name", p->want ? p->want->name : from_file);
		json_member_str(w, "file", p->file);
		json_member_str(w, "state", project_state(p));
		member_text(w, "error", p->error);
		json_key(w, "line");
		if (error_line(p) > 0)
			json_i64(w, error_line(p));
		else
			json_null(w);
		json_key(w, "services");
		json_begin_array(w);
		for (size_t i = 0; p->want && i < p->want->n_services; i++)
			write_run(&p->runs[i], w);
		json_end_array(w);
		json_end_object(w);
	}
	json_end_array(w);
}
