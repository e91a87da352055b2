/*
 * Compose files over the API: a version is checked, planned, stored durably, applied; on trial it
 * goes back by itself unless somebody confirms it in time.
 *
 * A trial is a document beside the files of configs and secrets, FILES_DIR/trial-NAME.json,
 * written before the new version and removed after the old one is back (or when it is confirmed).
 * So whatever ends in between, the machine or the engine, the next start finds what to go back to.
 */
#include <fcntl.h>

#include "engine/data/json.h"
#include "engine/manifest/inside.h"
#include "engine/state/state.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

#define LABEL(name) "com.docker.compose." name
#define TRIAL "trial-"

enum { NAME_MAX_LEN = 63, TRIAL_DOC_MAX = 8 << 20 };

/* ---- names ---- */

static int check_name(const char *name, struct err *e)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
		      (name[i] >= '0' && name[i] <= '9') || (i > 0 && strchr("-_.", name[i]))))
			len = 0;
	if (len == 0 || len > NAME_MAX_LEN)
		return err_set(
			e, EINVAL,
			"'%.80s' cannot name a file: letters, digits, - _ . only, at most %d", name,
			NAME_MAX_LEN);
	return 0;
}

/* The project whose file is NAME.yaml or NAME.yml. */
static struct project *project_named(const struct manifests *m, const char *name)
{
	struct project *p;

	list_for_each(p, &m->projects, link) {
		_cleanup_(mem_free) char *stem = compose_name_of_file(p->file);

		if (str_eq(stem, name))
			return p;
	}
	return NULL;
}

static int find(const struct manifests *m, const char *name, struct project **ret, struct err *e)
{
	*ret = project_named(m, name);
	return *ret ? 0 : err_set(e, ENOENT, "no such manifest: %.80s", name);
}

/* ---- the plan ---- */

enum action { CREATE, RECREATE, RESTART, KEEP };

struct plan_row {
	const struct compose_service *service;
	char *container;
	enum action action;
};

struct plan {
	struct plan_row *rows;
	size_t n;
};

static void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		free(plan->rows[i].container);
	free(plan->rows);
}
DEFINE_CLEANUP_VALUE(struct plan, plan_free)

static enum action action_of(struct manifests *m, const struct compose_project *want,
			     const struct compose_service *s, const char *name)
{
	const struct container *c = containers_find(m->cfg.containers, name, NULL);
	const struct image *img = images_find(m->cfg.images, s->create.config.image, NULL);
	char hash[65];

	if (!c || !str_eq(container_name(c), name) ||
	    !str_eq(container_label(c, LABEL("project")), want->name))
		return CREATE;
	if (compose_service_hash(s, hash, NULL) < 0 ||
	    !str_eq(container_label(c, LABEL("config-hash")), hash) ||
	    (img && !str_eq(container_image_id(c), img->id)) || !container_remap_current(c))
		return RECREATE;
	return KEEP;
}

/* What follows another one that is made anew. Services stand in order, dependencies first. */
static void plan_restarts(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct compose_service *s = plan->rows[i].service;

		for (size_t d = 0; plan->rows[i].action == KEEP && d < s->n_deps; d++)
			for (size_t j = 0; s->deps[d].restart && j < i; j++)
				if (str_eq(plan->rows[j].service->name, s->deps[d].service) &&
				    plan->rows[j].action != KEEP)
					plan->rows[i].action = RESTART;
	}
}

static int plan_make(struct manifests *m, const struct compose_project *want, struct plan *plan,
		     struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < want->n_services; i++)
		n += want->services[i].off ? 0 : (size_t)want->services[i].replicas;
	plan->rows = calloc(n + 1, sizeof(*plan->rows));
	if (!plan->rows)
		return err_errno(e, ENOMEM, "plan");
	for (size_t i = 0; i < want->n_services; i++) {
		const struct compose_service *s = &want->services[i];

		for (int64_t k = 1; !s->off && k <= s->replicas; k++) {
			struct plan_row *row = &plan->rows[plan->n];

			row->service = s;
			row->container = compose_container_name(want, s, (unsigned)k);
			if (!row->container)
				return err_errno(e, ENOMEM, "plan");
			row->action = action_of(m, want, s, row->container);
			plan->n++;
		}
	}
	plan_restarts(plan);
	return 0;
}

static bool plan_has(const struct plan *plan, const char *container)
{
	for (size_t i = 0; i < plan->n; i++)
		if (str_eq(plan->rows[i].container, container))
			return true;
	return false;
}

static void plan_write(struct manifests *m, const struct compose_project *want,
		       const struct plan *plan, struct json_writer *w)
{
	static const char *const words[] = { "create", "recreate", "restart", "keep" };
	struct container *c;
	size_t pos = 0;

	json_begin_object(w);
	json_member_str(w, "name", want->name);
	json_member_str(w, "file", want->file);
	manifests_write_strings(w, "warnings", want->warnings);
	json_key(w, "services");
	json_begin_array(w);
	for (size_t i = 0; i < plan->n; i++) {
		json_begin_object(w);
		json_member_str(w, "service", plan->rows[i].service->name);
		json_member_str(w, "container", plan->rows[i].container);
		json_member_str(w, "action", words[plan->rows[i].action]);
		json_end_object(w);
	}
	json_end_array(w);
	json_key(w, "removed");
	json_begin_array(w);
	while ((c = containers_next(m->cfg.containers, &pos)))
		if (str_eq(container_label(c, LABEL("project.config_files")), want->file) &&
		    !plan_has(plan, container_name(c)))
			json_str(w, container_name(c));
	json_end_array(w);
	json_end_object(w);
}

/* ---- trials ---- */

const struct trial *trial_of(const struct manifests *m, const char *file)
{
	struct trial *t;

	list_for_each(t, &m->trials, link)
		if (str_eq(t->file, file))
			return t;
	return NULL;
}

static void trial_free(struct trial *t)
{
	timer_clear(&t->timer);
	list_remove(&t->link);
	free(t->file);
	free(t->before);
	free(t);
}

void trials_free(struct manifests *m)
{
	struct trial *t, *next;

	list_for_each_safe(t, next, &m->trials, link)
		trial_free(t);
}

static char *trial_path(const struct manifests *m, const char *file)
{
	const char *slash = strrchr(file, '/');

	return str_printf("%s/" TRIAL "%s" STATE_SUFFIX, m->files_dir, slash ? slash + 1 : file);
}

/* It is over: its document goes, durably. */
static int trial_end(struct trial *t, struct err *e)
{
	_cleanup_(mem_free) char *path = trial_path(t->m, t->file);
	int r = path ? state_remove(AT_FDCWD, path, e) : err_errno(e, ENOMEM, "%s", t->file);

	if (r == 0)
		trial_free(t);
	return r;
}

static int file_remove(const struct manifests *m, const char *file, struct err *e)
{
	if (unlink(file) < 0 && errno != ENOENT)
		return err_errno(e, errno, "%s", file);
	return dir_sync(AT_FDCWD, m->dir, e);
}

static int trial_back(struct trial *t, struct err *e)
{
	int r = t->before ? file_replace(AT_FDCWD, t->file, t->before, strlen(t->before), 0644,
					 true, e)
			  : file_remove(t->m, t->file, e);

	return r < 0 ? r : trial_end(t, e);
}

static void trial_due(struct timer_event *ev)
{
	struct trial *t = container_of(ev, struct trial, timer);
	struct manifests *m = t->m;
	struct err e = { 0 };

	log_notice("manifest: %s was not confirmed: the version before it is back", t->file);
	if (trial_back(t, &e) < 0) {
		log_error("manifest: %s", err_text(&e));
		timer_set(m->cfg.loop, &t->timer, RETRY_MAX_MS);
	}
	manifests_scan(m);
}

static struct trial *trial_new(struct manifests *m, const char *file, const char *before)
{
	struct trial *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->m = m;
	t->timer.fn = trial_due;
	list_append(&m->trials, &t->link);
	t->file = str_dup(file);
	t->before = str_dup(before);
	if (t->file && (!before || t->before))
		return t;
	trial_free(t);
	return NULL;
}

static int trial_write(const struct trial *t, int64_t seconds, struct err *e)
{
	_cleanup_(mem_free) char *path = trial_path(t->m, t->file);
	_cleanup_(buf_free) struct buf text = BUF_INIT(TRIAL_DOC_MAX);
	struct json_writer w;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	json_member_str(&w, "file", t->file);
	json_key(&w, "before");
	json_str(&w, t->before);
	json_member_i64(&w, "until", t->until_ns);
	json_member_i64(&w, "seconds", seconds);
	json_end_object(&w);
	if (!path || buf_failed(&text) < 0)
		return err_errno(e, ENOMEM, "%s", t->file);
	return state_write(AT_FDCWD, path, buf_text(&text), text.len, e);
}

/* The trial of a file begins, or goes on with a new end: what it goes back to is the last version
 * that was not on trial. */
static int trial_begin(struct manifests *m, const char *file, const char *before, int64_t seconds,
		       struct err *e)
{
	struct trial *t = (struct trial *)trial_of(m, file);
	bool fresh = !t;
	int r;

	if (fresh)
		t = trial_new(m, file, before);
	if (!t)
		return err_errno(e, ENOMEM, "%s", file);
	t->until_ns = clock_real_ns() + seconds * INT64_C(1000000000);
	r = trial_write(t, seconds, e);
	if (r < 0 && fresh)
		trial_free(t);
	else
		timer_set(m->cfg.loop, &t->timer, seconds * 1000);
	return r;
}

static int load_one(const char *name, yyjson_val *root, void *data, struct err *e)
{
	struct manifests *m = data;
	const char *file = yyjson_get_str(yyjson_obj_get(root, "file")),
		   *before = yyjson_get_str(yyjson_obj_get(root, "before"));
	int64_t seconds = yyjson_get_sint(yyjson_obj_get(root, "seconds")), left;
	struct trial *t;

	(void)e;
	if (!str_starts(name, TRIAL) || !file)
		return 0;
	t = trial_new(m, file, before);
	if (!t)
		return 0;
	t->until_ns = yyjson_get_sint(yyjson_obj_get(root, "until"));
	/* the clock may be another one since; longer than it was given it does not take */
	left = (t->until_ns - clock_real_ns()) / 1000000;
	left = MAX(MIN(left, seconds * 1000), (int64_t)0);
	timer_set(m->cfg.loop, &t->timer, left);
	return 0;
}

void trials_load(struct manifests *m)
{
	struct err e = { 0 };
	int r = state_each(AT_FDCWD, m->files_dir, TRIAL_DOC_MAX, load_one, m, &e);

	if (r < 0)
		log_error("manifest: %s", err_text(&e));
}

/* ---- the API ---- */

static int store(struct manifests *m, const struct manifest_put *put, const char *file,
		 const char *before, struct err *e)
{
	struct trial *t = (struct trial *)trial_of(m, file);
	int r = dir_make(AT_FDCWD, m->dir, 0755, e);

	if (r == 0 && put->trial)
		r = trial_begin(m, file, before, put->trial, e);
	if (r == 0)
		r = file_replace(AT_FDCWD, file, put->text, put->len, 0644, true, e);
	if (r == 0 && !put->trial && t)
		r = trial_end(t, e);
	return r;
}

int manifests_put(struct manifests *m, const struct manifest_put *put, struct json_writer *w,
		  struct err *e)
{
	_cleanup_(compose_free) struct compose_project *want = NULL;
	_cleanup_(plan_free) struct plan plan = { 0 };
	_cleanup_(mem_free) char *file = NULL, *before = NULL;
	const struct project *p = project_named(m, put->name);
	struct compose_config cfg;
	struct err why = { 0 };
	int r = check_name(put->name, e), was = 0;

	if (r == 0 && (put->trial < 0 || put->trial > MANIFEST_TRIAL_MAX))
		r = err_set(e, EINVAL, "try: expected seconds from 1 to %d", MANIFEST_TRIAL_MAX);
	if (r < 0)
		return r;
	file = p ? str_dup(p->file) : str_printf("%s/%s.yaml", m->dir, put->name);
	if (!file)
		return err_errno(e, ENOMEM, "%s", put->name);
	if (strlen(put->text) != put->len)
		return err_set(e, EINVAL, "%s:1: a NUL character", file);
	project_config(m, &cfg);
	r = compose_parse(put->text, put->len, file, &cfg, &want, NULL, e);
	if (r == 0)
		r = project_check_name(m, want, e);
	if (r == 0)
		r = plan_make(m, want, &plan, e);
	if (r == 0 && !put->dry_run) {
		was = file_read(AT_FDCWD, file, COMPOSE_FILE_MAX, &before, NULL, &why);
		if (was < 0 && was != -ENOENT && put->trial)
			r = err_set(e, -was, "there is no version to go back to: %s",
				    err_text(&why));
		else
			r = store(m, put, file, before, e);
	}
	if (r < 0)
		return r;
	plan_write(m, want, &plan, w);
	if (put->dry_run)
		return 0;
	manifests_scan(m);
	return was == -ENOENT;
}

int manifests_confirm(struct manifests *m, const char *name, struct err *e)
{
	struct project *p;
	struct trial *t;
	int r = find(m, name, &p, e);

	if (r < 0)
		return r;
	t = (struct trial *)trial_of(m, p->file);
	return t ? trial_end(t, e) : err_set(e, ENOENT, "no version of %.80s is on trial", name);
}

int manifests_remove(struct manifests *m, const char *name, struct err *e)
{
	struct project *p;
	struct trial *t;
	int r = find(m, name, &p, e);

	if (r < 0)
		return r;
	t = (struct trial *)trial_of(m, p->file);
	r = file_remove(m, p->file, e);
	if (r == 0 && t)
		r = trial_end(t, e);
	if (r == 0)
		manifests_scan(m);
	return r;
}

int manifests_show(const struct manifests *m, const char *name, struct json_writer *w,
		   struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	struct project *p;
	int r = find(m, name, &p, e);

	if (r == 0)
		r = file_read(AT_FDCWD, p->file, COMPOSE_FILE_MAX, &text, NULL, e);
	if (r < 0)
		return r;
	json_begin_object(w);
	project_write_members(p, w);
	json_member_str(w, "content", text);
	json_end_object(w);
	return 0;
}
