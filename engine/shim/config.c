/*
 * shim.json (protocol.h): reading it.
 *
 * The engine writes it; what is wrong here is a mistake of ours and is told by key. Called once by
 * shim.c.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/str.h"

static int read_rootfs(yyjson_val *root, struct shim_config *c, struct err *e)
{
	yyjson_val *o = NULL;
	int r = json_get_object(root, "rootfs", &o, e);

	if (r < 0 || !o)
		return r;
	c->has_rootfs = true;
	r = json_get_strv(o, "lower", &c->lower, e);
	if (r == 0)
		r = json_get_copy(o, "upper", &c->upper, e);
	if (r == 0)
		r = json_get_copy(o, "work", &c->work, e);
	if (r == 0)
		r = json_get_strv(o, "options", &c->overlay_options, e);
	if (r < 0)
		return err_wrap(e, "rootfs");
	if (strv_len(c->lower) == 0 || strv_len(c->lower) > SHIM_LOWER_MAX)
		return err_set(e, EINVAL, "rootfs.lower: must have 1 to %d layers", SHIM_LOWER_MAX);
	if (!c->upper != !c->work)
		return err_set(e, EINVAL, "rootfs: upper and work go together");
	return 0;
}

/* The text of a member object; NULL when it is absent or empty. */
static int get_object_text(yyjson_val *o, const char *key, char **ret, struct err *e)
{
	yyjson_val *v = NULL;
	int r = json_get_object(o, key, &v, e);

	if (r < 0 || !v || yyjson_obj_size(v) == 0)
		return r;
	*ret = yyjson_val_write(v, 0, NULL);
	return *ret ? 0 : err_errno(e, ENOMEM, "%s", key);
}

static int read_log(yyjson_val *root, struct shim_config *c, struct err *e)
{
	yyjson_val *o = NULL;
	uint64_t files = 1;
	int r = json_get_object(root, "log", &o, e);

	c->log_blocking = true;
	if (r < 0 || !o)
		return r;
	r = json_get_copy(o, "driver", &c->log_driver, e);
	if (r == 0)
		r = json_get_copy(o, "path", &c->log_path, e);
	if (r == 0)
		r = json_get_u64(o, "max_size", &c->log_max_size, e);
	if (r == 0)
		r = json_get_u64(o, "max_file", &files, e);
	if (r == 0)
		r = json_get_bool(o, "compress", &c->log_compress, e);
	if (r == 0)
		r = json_get_bool(o, "blocking", &c->log_blocking, e);
	if (r == 0)
		r = get_object_text(o, "attrs", &c->log_attrs, e);
	if (r == 0)
		r = get_object_text(o, "syslog", &c->log_syslog, e);
	if (r < 0)
		return err_wrap(e, "log");
	if (files > 1000)
		return err_set(e, EINVAL, "log.max_file: at most 1000");
	c->log_max_file = (unsigned int)files;
	return 0;
}

static int read_fields(yyjson_val *root, struct shim_config *c, struct err *e)
{
	int64_t version = SHIM_PROTOCOL, score = -999;
	uint64_t first = 0;
	yyjson_val *tty = yyjson_obj_get(root, "terminal");
	int r = json_get_i64(root, "v", &version, e);

	if (r == 0 && version != SHIM_PROTOCOL)
		return err_set(e, EINVAL, "v: this shim speaks version %d, not %lld", SHIM_PROTOCOL,
			       (long long)version);
	if (r == 0)
		r = json_get_copy(root, "id", &c->id, e);
	if (r == 0)
		r = json_get_copy(root, "cgroup", &c->cgroup, e);
	if (r == 0)
		r = json_get_copy(root, "user", &c->user, e);
	if (r == 0)
		r = json_get_strv(root, "groups", &c->groups, e);
	if (r == 0)
		r = json_get_bool(root, "terminal", &c->tty, e);
	if (r == 0)
		r = json_get_bool(root, "stdin", &c->has_stdin, e);
	if (r == 0)
		r = json_get_bool(root, "stdin_once", &c->stdin_once, e);
	if (r == 0)
		r = json_get_i64(root, "oom_score_adj", &score, e);
	if (r == 0)
		r = json_get_copy(root, "seccomp_cache", &c->seccomp_cache, e);
	if (r == 0)
		r = json_get_u64(root, "first_id", &first, e);
	if (r == 0 && first >= UINT32_MAX)
		r = err_set(e, EINVAL, "first_id: is no user's id");
	c->has_tty = tty != NULL;
	c->oom_score_adj = (int)score;
	c->first_id = (uid_t)first;
	return r;
}

int shim_config_read(const char *dir, struct shim_config *ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL, *path = str_printf("%s/" SHIM_CONFIG, dir);
	struct shim_config c = { 0 };
	yyjson_val *root;
	size_t len;
	int r;

	if (!path)
		return err_errno(e, ENOMEM, SHIM_CONFIG);
	r = file_read(AT_FDCWD, path, SHIM_CONFIG_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, e);
	if (r == 0)
		r = read_fields(root, &c, e);
	if (r == 0 && str_empty(c.id))
		r = err_set(e, EINVAL, "id: is missing");
	if (r == 0)
		r = read_rootfs(root, &c, e);
	if (r == 0)
		r = read_log(root, &c, e);
	if (r == 0)
		r = shim_joins_read(root, &c, e);
	if (r == 0)
		r = json_get_strv(root, "detach", &c.detach, e);
	if (r < 0) {
		shim_config_clear(&c);
		return err_wrap(e, SHIM_CONFIG);
	}
	*ret = c;
	return 0;
}

void shim_config_clear(struct shim_config *c)
{
	char *texts[] = { c->id,   c->cgroup,	  c->user,     c->seccomp_cache, c->upper,
			  c->work, c->log_driver, c->log_path, c->log_attrs,	 c->log_syslog };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < c->n_joins; i++) {
		free(c->joins[i].cgroup);
		free(c->joins[i].owner_of);
	}
	strv_free(c->detach);
	strv_free(c->groups);
	strv_free(c->lower);
	strv_free(c->overlay_options);
	*c = (struct shim_config){ 0 };
}
