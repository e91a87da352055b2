/*
 * The two documents of a container on disk: container.json (what was asked for; written at create,
 * update and rename) and state.json (what happened; written at each change of state from the first
 * start on). Both through engine/state/, durable before anyone is answered.
 */
#include <fcntl.h>

#include "engine/container/object.h"
#include "engine/state/state.h"
#include "init/base/str.h"

enum { RECORD_VERSION = 1 };

struct document {
	int64_t version;
	char *id, *name, *image_id, *boot_id;
	char *remap; /* "FIRST:COUNT", absent or empty: no user namespace */
	int64_t created_ns;
};

#define ROW(key_, type_, struct_, member_, ...)                                          \
	{                                                                                \
		.key = key_, .type = type_, .offset = offsetof(struct struct_, member_), \
		__VA_ARGS__                                                              \
	}

static const struct bind document_rows[] = {
	ROW("Version", BIND_I64, document, version),
	ROW("Id", BIND_TEXT, document, id),
	ROW("Name", BIND_TEXT, document, name),
	ROW("ImageId", BIND_TEXT, document, image_id),
	ROW("Created", BIND_I64, document, created_ns),
	ROW("Remap", BIND_TEXT, document, remap),
	/* what state.json has, for as long as there is none */
	ROW("BootId", BIND_TEXT, document, boot_id),
};
static BIND_TABLE(document_table, struct document, document_rows);

struct mount_list {
	struct bind_list mounts;
};

static const struct bind mount_list_rows[] = {
	ROW("Mounts", BIND_LIST, mount_list, mounts, .of = &mount_point_table),
};
static BIND_TABLE(mount_list_table, struct mount_list, mount_list_rows);

static const struct bind record_rows[] = {
	ROW("State", BIND_TEXT, container_record, state),
	ROW("BootId", BIND_TEXT, container_record, boot_id),
	ROW("Error", BIND_TEXT, container_record, error),
	ROW("Pid", BIND_I64, container_record, pid),
	ROW("ExitCode", BIND_I64, container_record, exit_code),
	ROW("StartedAt", BIND_I64, container_record, started_ns),
	ROW("FinishedAt", BIND_I64, container_record, finished_ns),
	ROW("RestartCount", BIND_I64, container_record, restart_count),
	ROW("BackoffMs", BIND_I64, container_record, backoff_ms),
	ROW("OOMKills", BIND_I64, container_record, oom_kills),
	ROW("OOMKilled", BIND_BOOL, container_record, oom_killed),
	ROW("StoppedByUser", BIND_BOOL, container_record, stopped_by_user),
	ROW("RemoveVolumes", BIND_BOOL, container_record, remove_volumes),
	ROW("Health", BIND_POINTER, container_record, health, .of = &health_record_table),
};
BIND_TABLE(container_record_table, struct container_record, record_rows);

char *container_path(const struct container *c, const char *name)
{
	return str_printf("%s/%s%s%s", c->cs->state_dir, c->id, *name ? "/" : "", name);
}

char *container_log_path(const struct container *c)
{
	const char *const type = c->asked.host.log.type;

	if (str_eq(type, "local"))
		return str_printf("%s/%s/local-logs/container.log", c->cs->state_dir, c->id);
	if (str_eq(type, "syslog"))
		return str_printf("%s/%s/local-logs/container-cached.log", c->cs->state_dir, c->id);
	return str_printf("%s/%s/%s-json.log", c->cs->state_dir, c->id, c->id);
}

static int write_document(struct container *c, const char *name, const struct buf *text,
			  struct err *e)
{
	_cleanup_(mem_free) char *path = container_path(c, name);

	if (!path || buf_failed(text) < 0)
		return err_errno(e, ENOMEM, "%s", name);
	return state_write(AT_FDCWD, path, buf_text(text), text->len, e);
}

int record_write_config(struct container *c, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONTAINER_DOC_MAX);
	char remap[REMAP_TEXT_MAX];
	const struct document doc = {
		.version = RECORD_VERSION,
		.id = c->id,
		.name = c->name,
		.image_id = c->image_id,
		.created_ns = c->created_ns,
		.remap = (char *)(uintptr_t)remap_text(&c->remap, remap),
		.boot_id = c->rec.boot_id,
	};
	const struct mount_list mounts = { .mounts = c->mounts };
	struct json_writer w;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	bind_write_members(&document_table, &doc, &w);
	json_key(&w, "Config");
	bind_write(&container_config_table, &c->asked.config, &w);
	json_key(&w, "HostConfig");
	bind_write(&host_config_table, &c->asked.host, &w);
	json_key(&w, "NetworkingConfig");
	bind_write(&networking_config_table, &c->asked.networking, &w);
	bind_write_members(&mount_list_table, &mounts, &w);
	json_end_object(&w);
	return write_document(c, "container.json", &text, e);
}

int record_write_state(struct container *c, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONTAINER_DOC_MAX);
	struct json_writer w;

	json_writer_init(&w, &text);
	bind_write(&container_record_table, &c->rec, &w);
	return write_document(c, "state.json", &text, e);
}

static int read_config(struct container *c, yyjson_val *root, struct err *e)
{
	struct document doc = { 0 };
	struct mount_list mounts = { 0 };
	int r = bind_read(&document_table, root, &doc, "", e);

	if (r == 0 &&
	    (!str_eq(doc.id, c->id) || str_empty(doc.name) || doc.version != RECORD_VERSION))
		r = err_set(e, EINVAL,
			    "container.json: not the document of container %s in version %d", c->id,
			    RECORD_VERSION);
	if (r == 0 && !remap_parse(doc.remap, &c->remap))
		r = err_set(e, EINVAL, "container.json: Remap: \"%.40s\" is no map of users",
			    doc.remap);
	if (r == 0)
		r = bind_read(&container_config_table, yyjson_obj_get(root, "Config"),
			      &c->asked.config, "Config", e);
	if (r == 0)
		r = bind_read(&host_config_table, yyjson_obj_get(root, "HostConfig"),
			      &c->asked.host, "HostConfig", e);
	if (r == 0)
		r = bind_read(&networking_config_table, yyjson_obj_get(root, "NetworkingConfig"),
			      &c->asked.networking, "NetworkingConfig", e);
	if (r == 0)
		r = bind_read(&mount_list_table, root, &mounts, "", e);
	c->mounts = mounts.mounts;
	if (r == 0) {
		c->created_ns = doc.created_ns;
		c->name = take_ptr(doc.name);
		c->image_id = take_ptr(doc.image_id);
		c->rec.boot_id = take_ptr(doc.boot_id);
	}
	bind_free(&document_table, &doc);
	return r;
}

int record_read(struct containers *cs, const char *id, struct container **ret, struct err *e)
{
	struct container *c = container_alloc(cs);
	_cleanup_(mem_free) char *config = NULL, *state = NULL;
	yyjson_doc *doc = NULL;
	int r;

	if (!c || str_set(&c->id, id) < 0 || !(config = container_path(c, "container.json")) ||
	    !(state = container_path(c, "state.json"))) {
		container_free(c);
		return err_errno(e, ENOMEM, "container %s", id);
	}
	r = state_read(AT_FDCWD, config, CONTAINER_DOC_MAX, &doc, e);
	if (r == 0)
		r = read_config(c, yyjson_doc_get_root(doc), e);
	yyjson_doc_free(doc);
	doc = NULL;
	/* without state.json it was never started */
	if (r == 0 && state_read(AT_FDCWD, state, CONTAINER_DOC_MAX, &doc, NULL) == 0)
		r = bind_read(&container_record_table, yyjson_doc_get_root(doc), &c->rec, "", e);
	yyjson_doc_free(doc);
	if (r < 0) {
		container_free(c);
		return r;
	}
	*ret = c;
	return 0;
}
