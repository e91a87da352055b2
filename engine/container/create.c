/*
 * From the body of POST /containers/create to a container on disk: read and check the request,
 * merge what the image presets, plan the mounts, take a name, write container.json.
 *
 * Nothing runs afterwards; all of it is synchronous and durable when container_create returns.
 */
#include <fcntl.h>

#include "engine/container/shared.h"
#include "engine/container/userns.h"
#include "engine/data/ids.h"
#include "engine/data/names.h"
#include "engine/runtime/profile.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct container *container_alloc(struct containers *cs)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cs = cs;
	c->freed_fd = -1;
	create_config_init(&c->asked);
	bind_init(&container_record_table, &c->rec);
	list_init(&c->start_ops);
	list_init(&c->stop_ops);
	list_init(&c->restart_ops);
	list_init(&c->remove_ops);
	list_init(&c->kill_ops);
	list_init(&c->pause_ops);
	list_init(&c->updates);
	list_init(&c->unpause_ops);
	list_init(&c->waits);
	list_init(&c->attaches);
	list_init(&c->attach_jobs);
	list_init(&c->execs);
	list_init(&c->resize_ops);
	list_init(&c->files);
	c->size_rw = -1;
	container_timers_init(c);
	return c;
}

void container_free(struct container *c)
{
	struct bind mounts = { .type = BIND_LIST, .of = &mount_point_table };
	struct bind_table owner = { .rows = &mounts, .n_rows = 1, .size = sizeof(c->mounts) };

	struct err gone = { 0 };

	if (!c)
		return;
	err_set(&gone, ENOENT, "No such container: %s", c->id ? c->id : "");
	container_files_drop(c, &gone);
	timer_clear(&c->files_timer);
	timer_clear(&c->stop_timer);
	timer_clear(&c->backoff_timer);
	defer_remove(&c->removed);
	execs_drop(c);
	child_remove(&c->remover, true, NULL); /* the trash is emptied at the next start */
	fd_close(c->freed_fd);
	shim_client_free(c->shim);
	updates_free(c);
	health_free(c);
	create_config_free(&c->asked);
	bind_free(&container_record_table, &c->rec);
	bind_free(&owner, &c->mounts);
	free(c->id);
	free(c->name);
	free(c->image_id);
	free(c);
}

/* ---- the image's part ---- */

static int merge_text(char **at, const char *preset)
{
	return str_empty(*at) && preset ? str_set(at, preset) : 0;
}

static int merge_set(char ***at, char *const *preset)
{
	for (; preset && *preset; preset++)
		if (!strv_has(*at, *preset) && strv_add(at, *preset) < 0)
			return -ENOMEM;
	return 0;
}

/* The image's variables first, those of the request over them; PATH always there. A request's
 * "NAME" without = takes it away. */
static int merge_env(char ***at, char *const *preset)
{
	_cleanup_(strv_free) char **env = NULL;
	int r = 0;

	if (!strv_env_get(preset, "PATH") && !strv_env_get(*at, "PATH"))
		r = strv_add(&env, PROFILE_PATH);
	for (; r == 0 && preset && *preset; preset++)
		r = strv_add(&env, *preset);
	for (char **v = *at; r == 0 && v && *v; v++) {
		_cleanup_(mem_free) char *name = strndup(*v, strcspn(*v, "="));

		if (!name)
			return -ENOMEM;
		if (strchr(*v, '='))
			r = strv_env_set(&env, name, *v + strlen(name) + 1);
		else
			strv_env_remove(env, name);
	}
	if (r < 0)
		return r;
	strv_free(*at);
	*at = take_ptr(env);
	return 0;
}

static int merge_health(struct container_config *c, const struct image_health *preset)
{
	struct health_config *h = c->health;

	if (!preset)
		return 0;
	if (!h) {
		h = c->health = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
	}
	if (!h->test || !h->test[0]) {
		strv_free(h->test);
		h->test = strv_copy(preset->test);
	}
	h->interval = h->interval ? h->interval : preset->interval;
	h->timeout = h->timeout ? h->timeout : preset->timeout;
	h->start_period = h->start_period ? h->start_period : preset->start_period;
	h->start_interval = h->start_interval ? h->start_interval : preset->start_interval;
	h->retries = h->retries ? h->retries : preset->retries;
	return 0;
}

/* As Docker merges (moby daemon/commit.go, merge): an entrypoint of the request also drops the
 * image's command. */
static int merge_command(struct container_config *c, const struct image_config *img)
{
	bool own_entrypoint = c->entrypoint && c->entrypoint[0];

	if (c->entrypoint && !own_entrypoint) { /* [] or [""]: none at all */
		strv_free(c->entrypoint);
		c->entrypoint = NULL;
		own_entrypoint = true;
	} else if (own_entrypoint && !c->entrypoint[1] && str_empty(c->entrypoint[0])) {
		strv_free(c->entrypoint);
		c->entrypoint = NULL;
	} else if (!own_entrypoint && img->entrypoint) {
		c->entrypoint = strv_copy(img->entrypoint);
		if (!c->entrypoint)
			return -ENOMEM;
	}
	if ((!c->cmd || !c->cmd[0]) && !own_entrypoint && img->cmd) {
		strv_free(c->cmd);
		c->cmd = strv_copy(img->cmd);
		if (!c->cmd)
			return -ENOMEM;
	}
	return 0;
}

/* What our own behaviour hangs on comes from who creates a container or declares it, never from
 * the image (threats.md row 56: CVE-2026-53488). */
static bool label_reserved(const char *key)
{
	return str_starts(key, "skerry.") || str_starts(key, "com.docker.compose.");
}

static int merge_image(struct container_config *c, const struct image_config *img, struct err *e)
{
	int r = merge_text(&c->user, img->user);

	r |= merge_text(&c->working_dir, img->working_dir);
	r |= merge_text(&c->stop_signal, img->stop_signal);
	r |= merge_set(&c->exposed_ports, img->exposed_ports);
	r |= merge_set(&c->volumes, img->volumes);
	r |= merge_env(&c->env, img->env);
	r |= merge_health(c, img->health);
	r |= merge_command(c, img);
	for (size_t i = 0; i < img->labels.n; i++)
		if (!label_reserved(img->labels.v[i].key) &&
		    !pairs_get(&c->labels, img->labels.v[i].key))
			r |= pairs_set(&c->labels, img->labels.v[i].key, img->labels.v[i].value);
	if (r)
		return err_errno(e, ENOMEM, "container configuration");
	if (!(c->entrypoint && c->entrypoint[0]) && !(c->cmd && c->cmd[0]))
		return err_set(e, EINVAL, "no command specified");
	return 0;
}

/* ---- names ---- */

static int name_check_free(struct containers *cs, const char *name, struct err *e)
{
	const struct container *other;

	if (!name_valid(name))
		return err_set(
			e, EINVAL,
			"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			name);
	other = map_get(&cs->by_name, name);
	if (other)
		return err_set(e, EEXIST,
			       "Conflict. The container name \"/%s\" is already in use by "
			       "container \"%s\". "
			       "You have to remove (or rename) that container to be able to reuse "
			       "that name.",
			       name, other->id);
	return 0;
}

static int choose_name(struct containers *cs, const char *asked, char **ret, struct err *e)
{
	char random[NAME_RANDOM_MAX];

	if (!str_empty(asked)) {
		int r;

		asked += *asked == '/';
		r = name_check_free(cs, asked, e);
		if (r < 0)
			return r;
	} else {
		for (int attempt = 0;; attempt++) {
			name_random(random, attempt);
			if (!map_has(&cs->by_name, random))
				break;
		}
		asked = random;
	}
	*ret = str_dup(asked);
	return *ret ? 0 : err_errno(e, ENOMEM, "container name");
}

/* ---- create ---- */

static int default_hostname(struct container *c)
{
	char short_id[13], name[65];

	if (!str_empty(c->asked.config.hostname))
		return 0;
	if (str_eq(c->asked.host.network_mode, "host") && gethostname(name, sizeof(name)) == 0) {
		name[sizeof(name) - 1] = '\0';
		return str_set(&c->asked.config.hostname, name);
	}
	memcpy(short_id, c->id, 12);
	short_id[12] = '\0';
	return str_set(&c->asked.config.hostname, short_id);
}

static int check_network(struct container *c, struct err *e)
{
	_cleanup_(mem_free) struct port_want *ports = NULL;
	struct net_join joins[NET_ENDPOINTS_MAX];
	struct net_request req = {
		.id = c->id,
		.name = c->name,
		.hostname = c->asked.config.hostname,
		.domainname = c->asked.config.domainname,
		.mode = c->asked.host.network_mode,
		.joins = joins,
	};
	int r = joins_wanted(&c->asked, joins, &req.n_joins, e);

	if (r == 0)
		r = ports_wanted(&c->asked, &ports, &req.n_ports, e);
	req.ports = ports;
	return r < 0 ? r : net_check(c->cs->cfg.nets, &req, e);
}

static int prepare(struct container *c, yyjson_val *body, const char *name, char ***warnings,
		   struct err *e)
{
	const struct image *img;
	char id[ID_LEN + 1];
	int r = create_config_read(body, &c->asked, e);

	if (r == 0)
		r = create_config_check(&c->asked, warnings, e);
	if (r == 0)
		r = userns_settle(c, e);
	if (r == 0)
		r = addresses_check(&c->asked, e);
	if (r < 0)
		return r;
	r = choose_name(c->cs, name, &c->name, e);
	if (r < 0)
		return r;
	img = images_find(c->cs->cfg.images, c->asked.config.image, e);
	if (!img)
		return e->code ? -e->code : -ENOENT;
	r = id_new(id, e);
	if (r < 0)
		return r;
	if (str_set(&c->id, id) < 0 || str_set(&c->image_id, img->id) < 0 ||
	    str_set(&c->rec.boot_id, c->cs->boot_id) < 0 || default_hostname(c) < 0)
		return err_errno(e, ENOMEM, "container");
	c->created_ns = clock_real_ns();
	r = merge_image(&c->asked.config, &img->config, e);
	if (r == 0)
		r = network_mode_settle(c, e);
	if (r == 0)
		r = networks_settle(c, e);
	if (r == 0)
		r = mac_settle(&c->asked, e);
	if (r == 0)
		r = check_network(c, e);
	if (r == 0)
		r = links_check(c, e);
	if (r == 0)
		r = mounts_plan(c, e);
	if (r == -ENOENT) { /* to a client, 404 here means that the image is to be pulled */
		e->code = EINVAL;
		return -EINVAL;
	}
	return r;
}

static void drop_volumes(struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++)
		if (mount_at_index(c, i)->anonymous)
			volume_unmake(c->cs, mount_at_index(c, i)->name, NULL);
}

static int make_folder(struct container *c, struct err *e)
{
	static const char *const names[] = { "", "upper", "work" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup_(mem_free) char *path = container_path(c, names[i]);

		/* upper's mode becomes that of the container's / */
		r = path ? dir_make(AT_FDCWD, path, i == 1 ? 0755 : 0700, e)
			 : err_errno(e, ENOMEM, "container");
	}
	return r;
}

int container_create(struct containers *cs, const char *name, yyjson_val *body,
		     struct container **ret, char ***warnings, struct err *e)
{
	struct container *c = container_alloc(cs);
	struct err own = { 0 };
	int r;

	e = e ? e : &own;
	if (!c)
		return err_errno(e, ENOMEM, "container");
	if (map_len(&cs->by_id) >= CONTAINERS_MAX) {
		container_free(c);
		return err_set(e, ENOSPC,
			       "there are %d containers already, the most this engine keeps",
			       CONTAINERS_MAX);
	}
	r = prepare(c, body, name, warnings, e);
	if (r == 0)
		r = make_folder(c, e);
	if (r == 0)
		r = record_write_config(c, e);
	if (r == 0 && (map_put(&cs->by_id, c->id, c, NULL) < 0 ||
		       map_put(&cs->by_name, c->name, c, NULL) < 0))
		r = err_errno(e, ENOMEM, "container");
	if (r < 0) {
		_cleanup_(mem_free) char *dir = c->id ? container_path(c, "") : NULL;

		drop_volumes(c);
		if (dir)
			tree_remove(AT_FDCWD, dir, NULL);
		if (c->id)
			map_remove(&cs->by_id, c->id);
		container_free(c);
		return r;
	}
	container_pass(c, CONTAINER_CREATED); /* container.json says as much */
	container_publish(c, "create", NULL, NULL);
	*ret = c;
	return 0;
}

/* Docker's names begin with a slash here. */
static void publish_rename(struct container *c, const char *old)
{
	_cleanup_(mem_free) char *slashed = str_printf("/%s", old);

	container_publish(c, "rename", "oldName", slashed ? slashed : old);
}

int container_rename(struct container *c, const char *name, struct err *e)
{
	struct containers *cs = c->cs;
	_cleanup_(mem_free) char *old = NULL;
	int r;

	if (str_empty(name))
		return err_set(e, EINVAL, "Neither old nor new names may be empty");
	if (c->state == CONTAINER_REMOVING || c->state == CONTAINER_DEAD)
		return err_set(e, EBUSY, "container %s is marked for removal and cannot be renamed",
			       c->id);
	name += *name == '/';
	if (str_eq(name, c->name))
		return err_set(e, EINVAL,
			       "Renaming a container with the same name as its current name");
	if (name_check_free(cs, name, e) < 0)
		return err_wrap(e, "Error when allocating new name");
	old = c->name;
	c->name = str_dup(name);
	r = c->name ? record_write_config(c, e) : err_errno(e, ENOMEM, "rename");
	if (r == 0 && map_put(&cs->by_name, name, c, NULL) < 0)
		r = err_errno(e, ENOMEM, "rename");
	if (r < 0) {
		free(c->name);
		c->name = take_ptr(old);
		return r;
	}
	map_remove(&cs->by_name, old);
	if (net_rename(cs->cfg.nets, c->id, c->name, e) < 0)
		log_warn("container %.12s: its networks know it by its old name: %s", c->id,
			 err_text(e));
	publish_rename(c, old);
	return 0;
}
