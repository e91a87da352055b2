/*
 * The folder of compose files: scan, watch, versions of each project, and the report.
 *
 * A scan reads every file; only a changed text is parsed, or one that names a file beside it that
 * changed (.env, env_file, extends, configs, secrets). A good new version replaces the runs of
 * the old one (what is the same stays untouched: reconcile compares hashes), a bad one only sets
 * the error.
 */
#include "engine/manifest/manifest.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "engine/manifest/inside.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

/* ---- projects ---- */

static void runs_free(struct project *p)
{
	for (size_t i = 0; i < p->n_runs; i++) {
		service_cancel(&p->runs[i]);
		free(p->runs[i].name);
		free(p->runs[i].error);
		free(p->runs[i].pull_error);
		strv_free(p->runs[i].restarted_for);
	}
	free(p->runs);
	p->runs = NULL;
	p->n_runs = 0;
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
	strv_free(p->looked_at);
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

static size_t count_runs(const struct compose_project *want)
{
	size_t n = 0;

	for (size_t i = 0; i < want->n_services; i++)
		n += want->services[i].off ? 0 : (size_t)want->services[i].replicas;
	return n;
}

static int run_init(struct service_run *run, struct project *p, const struct compose_service *s,
		    unsigned number)
{
	run->project = p;
	run->want = s;
	run->number = number;
	run->retry.fn = retry_due;
	run->pull_retry.fn = pull_retry_due;
	run->name = compose_container_name(p->want, s, number);
	return run->name ? compose_service_hash(s, run->hash, NULL) : -ENOMEM;
}

/* Takes a good version over. */
static int adopt_version(struct project *p, struct compose_project *want)
{
	size_t n = count_runs(want);
	struct service_run *runs = calloc(n + 1, sizeof(*runs));

	if (!runs)
		return -ENOMEM;
	runs_free(p);
	p->want = want;
	p->runs = runs;
	for (size_t i = 0; i < want->n_services; i++) {
		const struct compose_service *s = &want->services[i];

		for (int64_t k = 1; !s->off && k <= s->replicas; k++)
			if (run_init(&runs[p->n_runs++], p, s, (unsigned)k) < 0)
				log_error("manifest: %s: out of memory", p->file);
	}
	p->m->clean_due = true;
	return 0;
}

/* A project name belongs to one file. */
int project_check_name(const struct manifests *m, const struct compose_project *want, struct err *e)
{
	struct project *other;

	list_for_each(other, &m->projects, link)
		if (!str_eq(other->file, want->file) && other->want &&
		    str_eq(other->want->name, want->name))
			return err_set(e, EEXIST,
				       "%s:1: name: the project '%s' is declared by %s already",
				       want->file, want->name, other->file);
	return 0;
}

void project_config(const struct manifests *m, struct compose_config *ret)
{
	*ret = (struct compose_config){ .files_dir = m->files_dir,
					.key = m->key,
					.remap = m->cfg.remap };
}

/* A mark of what lies at the paths: another one when any of it changed. */
static uint64_t mark_of(char *const *paths)
{
	uint64_t mark = 14695981039346656037u; /* FNV-1a, by words */

	for (; paths && *paths; paths++) {
		struct stat st = { 0 };
		const uint64_t facts[] = {
			stat(*paths, &st) < 0 ? (uint64_t)errno : 0,
			st.st_ino,
			(uint64_t)st.st_size,
			(uint64_t)st.st_mtim.tv_sec,
			(uint64_t)st.st_mtim.tv_nsec,
			(uint64_t)st.st_ctim.tv_sec,
			(uint64_t)st.st_ctim.tv_nsec,
		};

		for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
			mark = (mark ^ facts[i]) * 1099511628211u;
	}
	return mark;
}

enum { WATCHED = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO };

/* Folders of the files beside it are watched too; a watch that is there already is the same one. */
static void watch_inputs(struct project *p)
{
	for (char **path = p->looked_at; p->m->watch.loop && path && *path; path++) {
		_cleanup_(mem_free) char *dir = str_dup(*path);
		char *slash = dir ? strrchr(dir, '/') : NULL;

		if (!slash || slash == dir)
			continue;
		*slash = '\0';
		(void)inotify_add_watch(p->m->watch.fd, dir, WATCHED);
	}
}

static void project_read(struct project *p, const char *text, size_t len)
{
	struct compose_project *want = NULL;
	struct compose_config cfg;
	struct err e = { 0 };
	int r;

	project_config(p->m, &cfg);
	strv_free(take_ptr(p->looked_at));
	r = compose_parse(text, len, p->file, &cfg, &want, &p->looked_at, &e);
	p->inputs = mark_of(p->looked_at);
	watch_inputs(p);
	if (r == 0)
		r = project_check_name(p->m, want, &e);
	if (r < 0) {
		project_error(p, err_text(&e));
		compose_free(want);
		return;
	}
	project_error(p, NULL);
	log_info("manifest: %s: project %s, %zu service%s", p->file, want->name, want->n_services,
		 want->n_services == 1 ? "" : "s");
	for (char **w = want->warnings; w && *w; w++)
		log_warn("manifest: %s", *w);
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
		free(take_ptr(p->text)); /* read anew once it can be, though it be as before */
		return 0;
	}
	if (str_eq(p->text, text) && p->inputs == mark_of(p->looked_at))
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
		for (size_t i = 0; i < p->n_runs; i++)
			if (service_image_came(&p->runs[i]) ||
			    (!p->runs[i].busy && !timer_armed(&p->runs[i].retry)))
				service_step(&p->runs[i]);
	orphans_look(m);
}

void manifests_scan(struct manifests *m)
{
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
		if (!p->seen && (e.code == 0 || e.code == ENOENT)) {
			log_info("manifest: %s is gone", p->file);
			m->clean_due = true;
			project_free(p);
		}
	}
	step_all(m);
}

static void scan_due(struct timer_event *ev)
{
	manifests_scan(container_of(ev, struct manifests, scan));
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

	if ((!str_eq(ev->type, "container") && !str_eq(ev->type, "image")) || m->stopped)
		return;
	if (str_eq(ev->type, "container") && str_eq(ev->action, "restart"))
		service_restarted(m, ev->id);
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

	if (!m || !(m->dir = str_dup(cfg->dir)) || !(m->files_dir = str_dup(cfg->files_dir))) {
		if (m)
			free(m->dir);
		free(m);
		return err_errno(e, ENOMEM, "manifests");
	}
	m->cfg = *cfg;
	list_init(&m->trials);
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
	trials_free(m);
	free(m->dir);
	free(m->files_dir);
	free(m);
}

void manifests_start(struct manifests *m)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct err e = { 0 };

	if (files_key(m, &e) < 0)
		log_error("manifest: %s", err_text(&e));
	trials_load(m);
	if (fd < 0 || inotify_add_watch(fd, m->dir, WATCHED) < 0 ||
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
	json_member_i64(w, "number", run->number);
	json_member_str(w, "state", service_state_text(run->state));
	member_text(w, "container", run->id);
	member_text(w, "error", run->error ? run->error : run->pull_error);
	json_end_object(w);
}

/* A service without containers: its profiles are not active, or it is scaled to none. */
static void write_none(const struct compose_service *s, struct json_writer *w)
{
	json_begin_object(w);
	json_member_str(w, "name", s->name);
	json_member_i64(w, "number", 0);
	json_member_str(w, "state", "off");
	member_text(w, "container", NULL);
	member_text(w, "error", NULL);
	json_end_object(w);
}

static void write_services(const struct project *p, struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < p->n_runs; i++)
		write_run(&p->runs[i], w);
	for (size_t i = 0; p->want && i < p->want->n_services; i++)
		if (p->want->services[i].off || p->want->services[i].replicas == 0)
			write_none(&p->want->services[i], w);
	json_end_array(w);
}

/* "working" until every service has come to rest. */
static const char *project_state(const struct project *p)
{
	if (p->error)
		return "error";
	for (size_t i = 0; i < p->n_runs; i++)
		if (p->runs[i].error || p->runs[i].pull_error)
			return "error";
	for (size_t i = 0; i < p->n_runs; i++)
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

void manifests_write_strings(struct json_writer *w, const char *key, char *const *list)
{
	json_key(w, key);
	json_begin_array(w);
	for (; list && *list; list++)
		json_str(w, *list);
	json_end_array(w);
}

void project_write_members(const struct project *p, struct json_writer *w)
{
	_cleanup_(mem_free) char *from_file = compose_name_of_file(p->file);
	const struct trial *t = trial_of(p->m, p->file);
	char until[CLOCK_TEXT_MAX];

	member_text(w, "name", p->want ? p->want->name : from_file);
	json_member_str(w, "file", p->file);
	json_member_str(w, "state", project_state(p));
	member_text(w, "error", p->error);
	json_key(w, "line");
	if (error_line(p) > 0)
		json_i64(w, error_line(p));
	else
		json_null(w);
	if (t)
		clock_format(t->until_ns, until);
	member_text(w, "trial_until", t ? until : NULL);
	manifests_write_strings(w, "warnings", p->want ? p->want->warnings : NULL);
	json_key(w, "services");
	write_services(p, w);
}

void manifests_write(const struct manifests *m, struct json_writer *w)
{
	struct project *p;

	json_begin_array(w);
	list_for_each(p, &m->projects, link) {
		json_begin_object(w);
		project_write_members(p, w);
		json_end_object(w);
	}
	json_end_array(w);
}
