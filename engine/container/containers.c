/*
 * The module: all containers by id and by name, look-up as clients do it, and the restore at engine
 * start.
 *
 * Restore is also recovery (crash-only): documents are read, shims that answer are adopted with
 * everything running, those that ended meanwhile are settled from their exit file, what was lost
 * with a reboot is marked so, and only then restart policies act.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/container/shared.h"
#include "engine/data/ids.h"
#include "engine/shim/maker.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

int containers_new(const struct containers_config *cfg, struct containers **ret, struct err *e)
{
	struct containers *cs = calloc(1, sizeof(*cs));
	int r = -ENOMEM;

	if (cs) {
		cs->cfg = *cfg;
		cs->state_dir = str_dup(cfg->state_dir);
		cs->boot_id = str_dup(cfg->boot_id);
		cs->run_dir = str_dup(cfg->run_dir);
		cs->shims_dir = str_printf("%s/shims", cfg->run_dir);
		cs->shim_maker = shim_maker_new(cfg->loop);
		ops_init(cs);
		list_init(&cs->probes_waiting);
		logs_init(cs);
	}
	if (!cs || !cs->state_dir || !cs->boot_id || !cs->run_dir || !cs->shims_dir ||
	    !cs->shim_maker || execs_init(cs) < 0)
		err_errno(e, ENOMEM, "containers");
	else
		r = dir_make(AT_FDCWD, cs->state_dir, 0700, e);
	if (r == 0)
		r = dir_make(AT_FDCWD, cs->shims_dir, 0700, e);
	if (r < 0) {
		containers_free(cs);
		return r;
	}
	*ret = cs;
	return 0;
}

void containers_free(struct containers *cs)
{
	struct map_entry *m;
	size_t i = 0;

	if (!cs)
		return;
	execs_free(cs);
	while (!list_empty(&cs->probes_waiting)) /* or else the end of one starts another */
		list_remove(cs->probes_waiting.next);
	while ((m = map_next(&cs->by_id, &i))) {
		struct container *c = m->value;

		copy_up_cancel(&c->copy_up);
		attaches_end(c);
		stats_end(c);
		container_free(c);
	}
	shim_maker_free(cs->shim_maker);
	map_free(&cs->by_id);
	map_free(&cs->by_name);
	timer_clear(&cs->restore_timer);
	timer_clear(&cs->stop_all_timer);
	ops_free(cs);
	logs_free(cs);
	free(cs->state_dir);
	free(cs->shims_dir);
	free(cs->boot_id);
	free(cs->run_dir);
	free(cs);
}

struct events *containers_events(struct containers *cs)
{
	return cs->cfg.events;
}

/* ---- look-up ---- */

struct container *containers_find(struct containers *cs, const char *ref, struct err *e)
{
	struct container *found = map_get(&cs->by_id, ref);
	struct map_entry *m;
	size_t i = 0;

	if (!found)
		found = map_get(&cs->by_name, ref[0] == '/' ? ref + 1 : ref);
	if (found)
		return found;
	while (ref[0] && (m = map_next(&cs->by_id, &i))) {
		if (!str_starts(m->key, ref))
			continue;
		if (found) {
			err_set(e, EINVAL, "multiple IDs found with provided prefix: %s", ref);
			return NULL;
		}
		found = m->value;
	}
	if (!found)
		err_set(e, ENOENT, "No such container: %s", ref);
	return found;
}

struct container *containers_next(struct containers *cs, size_t *pos)
{
	/* The map keeps the order of creation; clients want the newest first. pos counts those
	 * given. */
	size_t from_end = *pos, i = cs->by_id.used;

	while (i > 0) {
		struct map_entry *m = &cs->by_id.entries[--i];

		if (m->key && from_end-- == 0) {
			(*pos)++;
			return m->value;
		}
	}
	return NULL;
}

size_t containers_count(const struct containers *cs, size_t *ret_running, size_t *ret_paused)
{
	size_t running = 0, paused = 0, i = 0;
	struct map_entry *m;

	while ((m = map_next(&cs->by_id, &i))) {
		const struct container *c = m->value;

		running += c->state == CONTAINER_RUNNING;
		paused += c->state == CONTAINER_PAUSED;
	}
	if (ret_running)
		*ret_running = running;
	if (ret_paused)
		*ret_paused = paused;
	return map_len(&cs->by_id);
}

const char *containers_use_image(struct containers *cs, const char *image_id, bool *ret_running)
{
	const char *user = NULL;
	struct map_entry *m;
	size_t i = 0;

	if (ret_running)
		*ret_running = false;
	while ((m = map_next(&cs->by_id, &i))) {
		const struct container *c = m->value;

		if (!str_eq(c->image_id, image_id))
			continue;
		if (state_is_up(c->state)) {
			if (ret_running)
				*ret_running = true;
			return c->id;
		}
		user = c->id;
	}
	return user;
}

const char *containers_use_volume(struct containers *cs, const char *volume, size_t *ret_count)
{
	const char *user = NULL;
	size_t i = 0, n = 0;
	struct map_entry *m;

	while ((m = map_next(&cs->by_id, &i))) {
		const struct container *c = m->value;

		for (size_t j = 0; j < c->mounts.n; j++) {
			if (str_eq(mount_at_index(c, j)->name, volume)) {
				user = c->id;
				n++;
				break;
			}
		}
	}
	if (ret_count)
		*ret_count = n;
	return user;
}

/* ---- plain reading ---- */

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
	return (int)c->rec.exit_code;
}

int64_t container_created_ns(const struct container *c)
{
	return c->created_ns;
}

int64_t container_started_ns(const struct container *c)
{
	return c->rec.started_ns;
}

bool container_tty(const struct container *c)
{
	return c->asked.config.tty;
}

bool container_open_stdin(const struct container *c)
{
	return c->asked.config.open_stdin;
}

bool container_stdin_once(const struct container *c)
{
	return c->asked.config.stdin_once;
}

const char *container_image_id(const struct container *c)
{
	return c->image_id;
}

const char *container_image_ref(const struct container *c)
{
	return c->asked.config.image;
}

const char *container_label(const struct container *c, const char *key)
{
	return pairs_get(&c->asked.config.labels, key);
}

bool container_ran_in_boot(const struct container *c)
{
	return c->rec.started_ns != 0 && str_eq(c->rec.boot_id, c->cs->boot_id);
}

bool container_holds_port(const struct container *c, uint8_t proto, uint16_t host_port)
{
	for (size_t i = 0; c->sandbox && i < c->sandbox->n_ports; i++)
		if (c->sandbox->ports[i].proto == proto &&
		    c->sandbox->ports[i].host_port == host_port)
			return true;
	return false;
}

/* ---- events ---- */

void container_publish2(struct container *c, const char *action, const char *key1,
			const char *value1, const char *key2, const char *value2)
{
	const struct bind_pairs *labels = &c->asked.config.labels;
	_cleanup_(mem_free) struct event_attr *attrs = calloc(labels->n + 4, sizeof(*attrs));
	struct event ev = { .type = "container", .action = action, .id = c->id, .attrs = attrs };

	if (!attrs)
		return;
	for (size_t i = 0; i < labels->n; i++)
		attrs[ev.n_attrs++] = (struct event_attr){ labels->v[i].key, labels->v[i].value };
	if (key1)
		attrs[ev.n_attrs++] = (struct event_attr){ key1, value1 };
	if (key2)
		attrs[ev.n_attrs++] = (struct event_attr){ key2, value2 };
	attrs[ev.n_attrs++] = (struct event_attr){ "image", c->asked.config.image };
	attrs[ev.n_attrs++] = (struct event_attr){ "name", c->name };
	events_publish(c->cs->cfg.events, &ev);
}

void container_publish(struct container *c, const char *action, const char *key, const char *value)
{
	container_publish2(c, action, key, value, NULL, NULL);
}

void container_publish_signal(struct container *c, int signal)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", signal);
	container_publish(c, "kill", "signal", text);
}

/* ---- restore ---- */

static int load_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct containers *cs = data;
	struct container *c;
	struct err why = { 0 };

	(void)dirfd;
	(void)e;
	if (!id_valid(name))
		return 0;
	if (record_read(cs, name, &c, &why) < 0) {
		log_error("container %.12s cannot be read and is left alone: %s", name,
			  err_text(&why));
		return 0;
	}
	if (map_has(&cs->by_name, c->name)) {
		log_error("container %.12s has the name %s of another one and is left alone", name,
			  c->name);
		container_free(c);
		return 0;
	}
	if (map_put(&cs->by_id, c->id, c, NULL) < 0 || map_put(&cs->by_name, c->name, c, NULL) < 0)
		log_error("container %.12s: out of memory", name);
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct container *x = ((const struct map_entry *)a)->value;
	const struct container *y = ((const struct map_entry *)b)->value;

	return x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

/* The folder gives names in byte order; the map is wanted in order of creation. */
static void sort_by_age(struct containers *cs)
{
	struct map sorted = { 0 };
	_cleanup_(mem_free) struct map_entry *all = calloc(map_len(&cs->by_id) + 1, sizeof(*all));
	struct map_entry *m;
	size_t i = 0, n = 0;

	if (!all)
		return;
	while ((m = map_next(&cs->by_id, &i)))
		all[n++] = *m;
	qsort(all, n, sizeof(*all), by_age);
	for (i = 0; i < n; i++)
		map_put(&sorted, all[i].key, all[i].value, NULL);
	map_free(&cs->by_id);
	cs->by_id = sorted;
}

static bool shim_there(const struct container *c)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", c->cs->shims_dir, c->id);
	struct stat st;

	return dir && stat(dir, &st) == 0;
}

/* A run, or (ran false) a start, that was cut off: by a reboot, or by the death of its shim. */
static void cut_off(struct container *c, bool ran)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", c->cs->shims_dir, c->id);
	bool reboot = container_of_earlier_boot(c);
	struct shim_exit x = { 0 };

	if (!dir || shim_exit_read(dir, &x, NULL) < 0) {
		/* 255: as Docker after a power loss */
		x.exit_code = reboot ? 255 : 128 + SIGKILL;
		x.never_ran = !ran;
		x.finished_ns = clock_real_ns();
		x.started_ns = c->rec.started_ns;
		str_copy(x.error, sizeof(x.error),
			 reboot ? "the machine restarted while it ran"
			 : ran	? "its shim was killed"
				: "the engine ended while it was being started");
	}
	c->state = x.never_ran ? CONTAINER_STARTING : CONTAINER_RUNNING;
	container_ended(c, &x);
}

/* A removal that a crash interrupted, or that --rm asked for, is to be carried out. */
static void finish_removal(struct container *c)
{
	bool ended = c->state == CONTAINER_EXITED ||
		     (c->state == CONTAINER_CREATED && container_of_earlier_boot(c));

	if (c->asked.host.auto_remove && ended)
		c->remove_wanted = c->rec.remove_volumes = true;
	else if (str_eq(c->rec.state, "removing"))
		c->remove_wanted = true;
}

/* The shim of a run whose end is in state.json already: the engine before this one had not come to
 * give everything back. */
void container_end_known(struct container *c)
{
	c->state = CONTAINER_EXITED;
	container_release(c);
	finish_removal(c);
}

/* Puts a loaded container into its state; true when its shim has to answer first. */
static bool settle(struct container *c)
{
	const char *state = c->rec.state ? c->rec.state : "created";
	bool was_up = str_eq(state, "running") || str_eq(state, "paused");
	struct err e = { 0 };

	c->state = str_eq(state, "created")    ? CONTAINER_CREATED
		   : str_eq(state, "removing") ? CONTAINER_DEAD
		   : str_eq(state, "dead")     ? CONTAINER_DEAD
					       : CONTAINER_EXITED;
	c->was_restarting = str_eq(state, "restarting");
	if ((was_up && !container_of_earlier_boot(c)) || shim_there(c))
		container_found_volumes(c);
	if (shim_there(c)) {
		c->state = CONTAINER_STARTING;
		str_set(&c->rec.boot_id, c->cs->boot_id);
		if (container_adopt(c, &e) == 0) {
			c->adopting = true;
			return true;
		}
		log_info("container %.12s: %s", c->id, err_text(&e));
		cut_off(c, was_up);
	} else if (was_up) {
		cut_off(c, true);
	} else {
		finish_removal(c);
	}
	return false;
}

static void removals_act(struct containers *cs)
{
	struct container *c;
	size_t pos = 0;

	while ((c = containers_next(cs, &pos)))
		if (c->remove_wanted &&
		    (c->state == CONTAINER_CREATED || c->state == CONTAINER_EXITED ||
		     c->state == CONTAINER_DEAD))
			lifecycle(c, EV_REMOVE,
				  &(struct event_args){ .force = true,
							.volumes = c->rec.remove_volumes });
}

static void restore_ended(struct timer_event *ev)
{
	struct containers *cs = container_of(ev, struct containers, restore_timer);

	commits_restored(cs);
	policies_act(cs);
	removals_act(cs);
	if (cs->restored)
		cs->restored(cs->restored_data);
}

void containers_adopted(struct containers *cs)
{
	if (cs->restoring > 0 && --cs->restoring == 0)
		timer_set(cs->cfg.loop, &cs->restore_timer, 0);
}

/* Its cgroup is in the shim's document; without one it is where most are. */
static void stray_cgroup_clear(const char *dir, const char *id)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *path = str_printf("%s/shim.json", dir ? dir : ""), *text = NULL;
	char usual[16 + CONTAINER_ID_LEN];
	const char *cgroup = usual;
	yyjson_val *root;
	size_t len;

	(void)str_format(usual, sizeof(usual), "containers/%s", id);
	if (path && file_read(AT_FDCWD, path, CONTAINER_DOC_MAX, &text, &len, NULL) == 0 &&
	    json_parse_object(text, len, &doc, &root, NULL) == 0)
		(void)json_get_text(root, "cgroup", &cgroup, NULL);
	cgroup_clear(cgroup);
}

static int kill_stray(int dirfd, const char *name, void *data, struct err *e)
{
	struct containers *cs = data;
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", cs->shims_dir, name);

	(void)dirfd;
	(void)e;
	if (!id_valid(name) || map_has(&cs->by_id, name))
		return 0;
	log_warn("container %.12s is not known but ran: it is killed", name);
	stray_cgroup_clear(dir, name);
	if (dir)
		tree_remove(AT_FDCWD, dir, NULL);
	return 0;
}

static void empty_trash(struct containers *cs)
{
	_cleanup_(mem_free) char *path = str_printf("%s/" CONTAINER_TRASH, cs->state_dir);
	struct err e = { 0 };

	if (path && tree_remove(AT_FDCWD, path, &e) < 0)
		log_warn("%s", err_text(&e));
}

void containers_restore(struct containers *cs, void (*ready)(void *data), void *data)
{
	_cleanup_(strv_free) char **running = NULL;
	struct map_entry *m;
	struct err e = { 0 };
	size_t i = 0;

	cs->restored = ready;
	cs->restored_data = data;
	cs->restore_timer.fn = restore_ended;
	cs->restoring = 1;
	empty_trash(cs);
	if (dir_each(AT_FDCWD, cs->state_dir, 2 * CONTAINERS_MAX, load_one, cs, &e) < 0)
		log_error("%s", err_text(&e));
	sort_by_age(cs);
	if (dir_each(AT_FDCWD, cs->shims_dir, 2 * CONTAINERS_MAX, kill_stray, cs, &e) < 0)
		log_error("%s", err_text(&e));
	shm_sweep(cs);
	while ((m = map_next(&cs->by_id, &i)))
		if (shim_there(m->value))
			strv_add(&running, m->key);
	if (nets_start(cs->cfg.nets, running, &e) < 0)
		log_error("network: %s", err_text(&e));
	i = 0;
	while ((m = map_next(&cs->by_id, &i)))
		cs->restoring += settle(m->value);
	containers_adopted(cs);
}
