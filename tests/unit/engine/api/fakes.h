/*
 * Stand-ins for the modules below api/: they remember what they were asked and answer what the case
 * set. The event bus is the real one. Included once, by api_test.c.
 */
#ifndef SKERRY_API_FAKES_H
#define SKERRY_API_FAKES_H

#include <fcntl.h>
#include <sys/socket.h>

#include "engine/api/api.h"
#include "engine/container/commit.h"
#include "engine/container/container.h"
#include "engine/container/exec.h"
#include "engine/container/files.h"
#include "engine/container/stats.h"
#include "engine/container/top.h"
#include "engine/registry/lookup.h"
#include "engine/registry/push.h"
#include "init/base/str.h"

struct container {
	char id[65], name[32];
	enum container_state state;
	int64_t created_ns;
	int exit_code;
	bool tty, open_stdin, stdin_once;
};

struct exec {
	char id[65];
	bool tty, open_stdin;
	const char *keys;
};

struct log_reader {
	void (*ready)(struct log_reader *r, void *data);
	void *data;
};

/* What the case wants and what was asked for. */
static struct fakes {
	struct container list[4];
	size_t n;
	int next_error; /* of the next operation */
	const char *next_text;
	struct container_op *op;
	struct container_wait *wait;
	struct container_attach *attach;
	struct exec exec;
	struct exec_start *exec_start;
	int gone_starts;
	char published[256]; /* actions, each with a blank behind it */
	struct log_reader *reader;
	struct log_query log_query;
	const char *log_chunks[4];
	size_t n_chunks, at_chunk;
	bool log_ends;
	char asked[256]; /* the last call in words */
	struct image image;
	bool has_image;
	struct image_op *image_op;
	struct registry_login *login;
	struct registry_download *download;
	int image_fd;
	struct image_save *save;
	struct container_commit *commit;
	int gone_saves;
	struct stats_watch *stats;
	struct container_stats sample;
	struct container_top *top;
	int gone_tops;
	int gone_waits, gone_attaches, gone_logs, cancelled_images;
	struct network network;
	struct files_op *files;
	const char *output; /* what container_files_read has */
	bool output_paused;
	char input[64]; /* what container_files_write took, at most input_room */
	size_t input_len, input_room;
	int gone_files;
} fake;

static int next_result(struct err *e)
{
	int r = fake.next_error;

	fake.next_error = 0;
	return r ? err_set(e, r, "%s", fake.next_text) : 0;
}

static void add_container(char digit, const char *name, enum container_state state,
			  int64_t created_ns)
{
	struct container *c = &fake.list[fake.n++];

	memset(c->id, digit, 64);
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->state = state;
	c->created_ns = created_ns;
}

struct container *containers_find(struct containers *cs, const char *ref, struct err *e)
{
	(void)cs;
	for (size_t i = 0; i < fake.n; i++)
		if (strcmp(fake.list[i].name, ref) == 0 ||
		    strncmp(fake.list[i].id, ref, strlen(ref)) == 0)
			return &fake.list[i];
	err_set(e, ENOENT, "No such container: %s", ref);
	return NULL;
}

struct container *containers_next(struct containers *cs, size_t *pos)
{
	(void)cs;
	return *pos < fake.n ? &fake.list[(*pos)++] : NULL;
}

size_t containers_count(const struct containers *cs, size_t *ret_running, size_t *ret_paused)
{
	(void)cs;
	*ret_running = 1;
	*ret_paused = 0;
	return fake.n;
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
const char *container_state_name(const struct container *c)
{
	return c->state == CONTAINER_RUNNING  ? "running"
	       : c->state == CONTAINER_PAUSED ? "paused"
					      : "exited";
}
const char *container_health(const struct container *c)
{
	return c->exit_code == 77 ? "unhealthy" : "none";
}
int container_exit_code(const struct container *c)
{
	return c->exit_code;
}
int64_t container_created_ns(const struct container *c)
{
	return c->created_ns;
}
bool container_tty(const struct container *c)
{
	return c->tty;
}
bool container_open_stdin(const struct container *c)
{
	return c->open_stdin;
}
bool container_stdin_once(const struct container *c)
{
	return c->stdin_once;
}
void container_publish(struct container *c, const char *action, const char *key, const char *value)
{
	size_t len = strlen(fake.published);

	(void)c;
	(void)key;
	(void)value;
	snprintf(fake.published + len, sizeof(fake.published) - len, "%s ", action);
}
const char *container_image_id(const struct container *c)
{
	(void)c;
	return "sha256:1111";
}
const char *container_label(const struct container *c, const char *key)
{
	return strcmp(key, "who") == 0 ? c->name : NULL;
}
void container_inspect(struct container *c, bool size, struct json_writer *w)
{
	json_begin_object(w);
	json_member_str(w, "Id", c->id);
	json_member_bool(w, "size", size);
	json_end_object(w);
}
void container_summary(struct container *c, bool size, struct json_writer *w)
{
	(void)size;
	json_str(w, c->name);
}
/* The first one publishes 8080 for its port 80, has the volume "data" at /data, is in "net". */
bool container_has_port(const struct container *c, uint8_t proto, uint16_t first, uint16_t last,
			bool published)
{
	uint16_t port = published ? 8080 : 80;

	return c == &fake.list[0] && proto == 6 && first <= port && port <= last;
}
bool container_has_mount(const struct container *c, const char *text)
{
	return c == &fake.list[0] && (str_eq(text, "data") || str_eq(text, "/data"));
}
bool container_has_network(const struct container *c, const char *name)
{
	return c == &fake.list[0] && str_eq(name, "net");
}

const char *const stats_memory_names[STATS_MEMORY_KEYS] = {
	"active_anon",	 "active_file",	  "anon",	 "anon_thp",
	"file",		 "file_dirty",	  "file_mapped", "file_writeback",
	"inactive_anon", "inactive_file", "k10",	 "k11",
	"k12",		 "k13",		  "k14",	 "k15",
	"k16",		 "k17",		  "k18",	 "k19",
	"k20",		 "k21",		  "k22",	 "k23",
	"k24",		 "k25",		  "k26",	 "k27",
	"k28",		 "k29",		  "k30",
};

void container_stats(struct container *c, struct container_stats *ret)
{
	*ret = c->state == CONTAINER_RUNNING ? fake.sample : (struct container_stats){ 0 };
}
int container_stats_watch(struct container *c, struct stats_watch *sw, struct err *e)
{
	(void)c;
	fake.stats = sw;
	return next_result(e);
}
void container_stats_unwatch(struct stats_watch *sw)
{
	if (fake.stats == sw)
		fake.stats = NULL;
}
int container_top(struct container *c, const char *ps_args, struct container_top *t, struct err *e)
{
	int r = next_result(e);

	snprintf(fake.asked, sizeof(fake.asked), "top %s %s", c->name, ps_args ? ps_args : "-");
	if (r == 0)
		fake.top = t;
	return r;
}
void container_top_cancel(struct container_top *t)
{
	fake.gone_tops += t == fake.top;
}
const char *containers_use_volume(struct containers *cs, const char *volume, size_t *ret_count)
{
	(void)cs;
	if (ret_count)
		*ret_count = strcmp(volume, "used") == 0;
	return strcmp(volume, "used") == 0 ? fake.list[0].id : NULL;
}

int container_create(struct containers *cs, const char *name, yyjson_val *body,
		     struct container **ret, char ***warnings, struct err *e)
{
	const char *image = "";
	int r = next_result(e);

	(void)cs;
	if (r < 0)
		return r;
	json_get_text(body, "Image", &image, NULL);
	snprintf(fake.asked, sizeof(fake.asked), "create %s %s", name ? name : "-", image);
	strv_add(warnings, "careful");
	*ret = &fake.list[0];
	return 0;
}
static void remember(struct container_op *op, const char *fmt, const struct container *c, int a,
		     int b)
{
	fake.op = op;
	snprintf(fake.asked, sizeof(fake.asked), fmt, c->name, a, b);
}
void container_start(struct container *c, struct container_op *op)
{
	remember(op, "start %s", c, 0, 0);
}
void container_stop(struct container *c, int timeout, int signal, struct container_op *op)
{
	remember(op, "stop %s %d %d", c, timeout, signal);
}
void container_restart(struct container *c, int timeout, int signal, struct container_op *op)
{
	remember(op, "restart %s %d %d", c, timeout, signal);
}
void container_kill(struct container *c, int signal, struct container_op *op)
{
	remember(op, "kill %s %d", c, signal, 0);
}
void container_pause(struct container *c, struct container_op *op)
{
	remember(op, "pause %s", c, 0, 0);
}
void container_unpause(struct container *c, struct container_op *op)
{
	remember(op, "unpause %s", c, 0, 0);
}
void container_remove(struct container *c, bool force, bool volumes, struct container_op *op)
{
	remember(op, "remove %s %d %d", c, force, volumes);
}
void container_update(struct container *c, yyjson_val *body, char ***warnings,
		      struct container_op *op)
{
	int64_t memory = 0, pids = -7;

	json_get_i64(body, "Memory", &memory, NULL);
	json_get_i64(body, "PidsLimit", &pids, NULL);
	if (memory == 1)
		strv_add(warnings, "little");
	remember(op, "update %s %d %d", c, (int)memory, (int)pids);
}
int container_rename(struct container *c, const char *name, struct err *e)
{
	snprintf(fake.asked, sizeof(fake.asked), "rename %s %s", c->name, name);
	return next_result(e);
}
int container_wait_condition(const char *text, enum container_wait_for *ret, struct err *e)
{
	*ret = WAIT_NOT_RUNNING;
	return str_eq(text, "bad") ? err_set(e, EINVAL, "invalid condition: \"bad\"") : 0;
}
void container_wait(struct container *c, struct container_wait *w)
{
	(void)c;
	fake.wait = w;
}
void container_wait_cancel(struct container_wait *w)
{
	fake.gone_waits += w == fake.wait;
}
void container_attach(struct container *c, struct container_attach *a)
{
	(void)c;
	fake.attach = a;
	snprintf(fake.asked, sizeof(fake.asked), "attach %d %d %d", a->in, a->out, a->err);
}
void container_attach_cancel(struct container_attach *a)
{
	fake.gone_attaches += a == fake.attach;
}

int exec_create(struct container *c, yyjson_val *body, struct exec **ret, struct err *e)
{
	_cleanup_(mem_free) char *text = yyjson_val_write(body, 0, NULL);

	snprintf(fake.asked, sizeof(fake.asked), "exec %s %s", c->name, text);
	*ret = &fake.exec;
	return next_result(e);
}
struct exec *execs_find(struct containers *cs, const char *id, struct err *e)
{
	(void)cs;
	if (str_eq(id, fake.exec.id))
		return &fake.exec;
	err_set(e, ENOENT, "No such exec instance: %s", id);
	return NULL;
}
const char *exec_id(const struct exec *x)
{
	return x->id;
}
bool exec_tty(const struct exec *x)
{
	return x->tty;
}
bool exec_open_stdin(const struct exec *x)
{
	return x->open_stdin;
}
const char *exec_detach_keys(const struct exec *x)
{
	return x->keys;
}
void exec_inspect(const struct exec *x, struct json_writer *w)
{
	json_str(w, x->id);
}
int exec_check(const struct exec *x, struct err *e)
{
	(void)x;
	return next_result(e);
}
void exec_detached(struct exec *x)
{
	(void)x;
	container_publish(NULL, "exec_detach", NULL, NULL);
}
int exec_start(struct exec *x, struct exec_start *s, struct err *e)
{
	(void)x;
	fake.exec_start = s;
	snprintf(fake.asked, sizeof(fake.asked), "start %d %u %u", s->detach, s->rows, s->cols);
	list_init(&s->link);
	return next_result(e);
}
void exec_start_cancel(struct exec_start *s)
{
	fake.gone_starts += s == fake.exec_start;
}
void exec_set_size(struct exec *x, unsigned int rows, unsigned int cols, struct container_op *op)
{
	snprintf(fake.asked, sizeof(fake.asked), "resize exec %.4s %u %u", x->id, rows, cols);
	fake.op = op;
}
void container_resize(struct container *c, unsigned int rows, unsigned int cols,
		      struct container_op *op)
{
	snprintf(fake.asked, sizeof(fake.asked), "resize %s %u %u", c->name, rows, cols);
	fake.op = op;
}

int log_reader_open(struct container *c, const struct log_query *q,
		    void (*ready)(struct log_reader *r, void *data), void *data,
		    struct log_reader **ret, struct err *e)
{
	(void)c;
	(void)e;
	fake.log_query = *q;
	fake.reader = *ret = calloc(1, sizeof(**ret));
	fake.reader->ready = ready;
	fake.reader->data = data;
	return 0;
}
int log_reader_next(struct log_reader *r, size_t room, struct buf *out, struct err *e)
{
	(void)r;
	(void)room;
	(void)e;
	if (fake.at_chunk == fake.n_chunks)
		return fake.log_ends ? -ENODATA : 0;
	buf_add_text(out, fake.log_chunks[fake.at_chunk++]);
	return 1;
}
void log_reader_free(struct log_reader *r)
{
	fake.gone_logs += r != NULL;
	free(r);
}

int container_files_start(struct container *c, const struct files_request *q, struct files_op *op,
			  struct err *e)
{
	static const char *const kinds[] = { "stat", "get", "put", "export", "changes" };
	int r = next_result(e);

	if (r < 0)
		return r;
	snprintf(fake.asked, sizeof(fake.asked), "%s %s %s %d %d", kinds[q->kind], c->name,
		 q->path ? q->path : "-", q->keep_kind, q->own);
	op->q = *q;
	op->cs = (struct containers *)1;
	fake.files = op;
	return 0;
}
size_t container_files_read(struct files_op *op, void *buf, size_t size)
{
	size_t n = fake.output ? MIN(strlen(fake.output), size) : 0;

	(void)op;
	if (n > 0)
		memcpy(buf, fake.output, n);
	fake.output = NULL;
	return n;
}
void container_files_pause(struct files_op *op, bool paused)
{
	(void)op;
	fake.output_paused = paused;
}
size_t container_files_write(struct files_op *op, const void *data, size_t len)
{
	size_t n = MIN(len, fake.input_room);

	(void)op;
	memcpy(fake.input + fake.input_len, data, n);
	fake.input_len += n;
	fake.input_room -= n;
	return n;
}
void container_files_end_input(struct files_op *op)
{
	(void)op;
	fake.input[fake.input_len++] = '$';
}
void container_files_cancel(struct files_op *op)
{
	fake.gone_files += op->cs != NULL;
}
char *container_upper_path(const struct container *c)
{
	return str_printf("/none/%s", c->name);
}
void container_set_size(struct container *c, int64_t bytes)
{
	(void)c;
	(void)bytes;
}

const struct image *images_find(struct images *s, const char *ref, struct err *e)
{
	(void)s;
	if (fake.has_image && (strcmp(ref, "img:1") == 0 || str_eq(ref, fake.image.id)))
		return &fake.image;
	err_set(e, ENOENT, "No such image: %s", ref);
	return NULL;
}
const struct image *images_next(struct images *s, size_t *pos)
{
	(void)s;
	return fake.has_image && (*pos)++ == 0 ? &fake.image : NULL;
}
size_t images_count(const struct images *s)
{
	(void)s;
	return fake.has_image;
}
void image_inspect(const struct image *img, const struct image_view *v, struct json_writer *w)
{
	json_strf(w, "%s%s%s", img->id, v->virtual_size ? " virtual" : "",
		  v->users ? " manifests" : "");
}
void image_summary(const struct image *img, const struct image_view *v, struct json_writer *w)
{
	json_strf(w, "%s %d%s%s", img->id, (int)v->containers, v->none ? " none" : "",
		  v->tags && v->tags[0] ? v->tags[0] : "");
}
void image_write_history(const struct image *img, struct json_writer *w)
{
	(void)img;
	json_str(w, "history");
}
int images_load(struct images *s, int fd, struct image_op *op, struct err *e)
{
	int r = next_result(e);

	(void)s;
	if (r < 0)
		return r;
	fake.image_op = op;
	fake.image_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}
int container_commit(struct container *c, const struct commit_request *q,
		     struct container_commit *m, struct err *e)
{
	int r = next_result(e);

	snprintf(fake.asked, sizeof(fake.asked), "commit %s %s %s %s pause=%d %s %s", c->name,
		 q->name, q->author ? q->author : "-", q->comment ? q->comment : "-", q->pause,
		 q->changes ? q->changes[0] : "-",
		 q->config ? yyjson_get_str(yyjson_obj_get(q->config, "User")) : "-");
	if (r == 0)
		fake.commit = m;
	return r;
}
int images_make(struct images *s, int fd, const struct image_make *m, struct image_op *op,
		struct err *e)
{
	snprintf(fake.asked, sizeof(fake.asked), "make %s %s %s %s %s", m->parent ? m->parent : "-",
		 m->name, m->comment ? m->comment : "-", m->architecture ? m->architecture : "-",
		 m->config->cmd ? m->config->cmd[0] : "-");
	return images_load(s, fd, op, e);
}
int images_save(struct images *s, char *const *refs, const struct image_platform *platform,
		struct image_save *sv, struct err *e)
{
	int r = next_result(e);

	(void)s;
	snprintf(fake.asked, sizeof(fake.asked), "save");
	for (size_t i = 0; refs[i]; i++) {
		size_t at = strlen(fake.asked);

		snprintf(fake.asked + at, sizeof(fake.asked) - at, " %s", refs[i]);
	}
	if (platform) {
		size_t at = strlen(fake.asked);

		snprintf(fake.asked + at, sizeof(fake.asked) - at, " %s/%s", platform->os,
			 platform->architecture);
	}
	if (r == 0)
		fake.save = sv;
	return r;
}
size_t image_save_read(struct image_save *sv, void *buf, size_t size)
{
	size_t n = fake.output ? MIN(strlen(fake.output), size) : 0;

	(void)sv;
	if (n > 0)
		memcpy(buf, fake.output, n);
	fake.output = NULL;
	return n;
}
void image_save_pause(struct image_save *sv, bool paused)
{
	(void)sv;
	fake.output_paused = paused;
}
void image_save_cancel(struct image_save *sv)
{
	(void)sv;
	fake.gone_saves++;
}
int images_remove(struct images *s, const char *ref, unsigned flags, struct image_op *op,
		  struct err *e)
{
	(void)s;
	snprintf(fake.asked, sizeof(fake.asked), "rmi %s %u", ref, flags);
	fake.image_op = op;
	return next_result(e);
}
int images_tag(struct images *s, const char *ref, const char *name, struct err *e)
{
	(void)s;
	snprintf(fake.asked, sizeof(fake.asked), "tag %s %s", ref, name);
	return next_result(e);
}
void image_op_cancel(struct image_op *op)
{
	fake.cancelled_images += op == fake.image_op && fake.image_fd > 0;
}

/* ---- registry ---- */

int registry_pull(struct registry *reg, const char *ref, const struct image_platform *platform,
		  const struct registry_auth *auth, struct image_op *op, struct err *e)
{
	int r = next_result(e);

	(void)reg;
	snprintf(fake.asked, sizeof(fake.asked), "pull %s %s/%s/%s as %s", ref,
		 platform->os ? platform->os : "-",
		 platform->architecture ? platform->architecture : "-",
		 platform->variant ? platform->variant : "-",
		 auth->username ? auth->username : "nobody");
	if (r < 0)
		return r;
	fake.image_op = op;
	fake.image_fd = 3;
	return 0;
}
int registry_login(struct registry *reg, const struct registry_auth *auth, struct registry_login *l,
		   struct err *e)
{
	int r = next_result(e);

	(void)reg;
	snprintf(fake.asked, sizeof(fake.asked), "login %s as %s",
		 auth->server ? auth->server : "-", auth->username ? auth->username : "nobody");
	fake.login = l;
	return r;
}
void registry_login_cancel(struct registry_login *l)
{
	(void)l;
}
int registry_download(struct registry *reg, const char *url, int fd, struct registry_download *d,
		      struct err *e)
{
	(void)reg;
	(void)fd;
	if (strncmp(url, "http", 4) != 0)
		return err_set(e, EINVAL, "the address does not begin with http:// or https://");
	fake.download = d;
	return 0;
}
void registry_download_cancel(struct registry_download *d)
{
	(void)d;
}
char *const *registry_mirrors(const struct registry *reg)
{
	(void)reg;
	return NULL;
}
char *const *registry_insecure(const struct registry *reg)
{
	(void)reg;
	return NULL;
}
int registry_push(struct registry *reg, const char *name, const char *tag,
		  const struct image_platform *platform, const struct registry_auth *auth,
		  struct registry_push *p, struct err *e)
{
	(void)platform;
	(void)reg;
	(void)name;
	(void)tag;
	(void)auth;
	(void)p;
	return next_result(e);
}
void registry_push_cancel(struct registry_push *p)
{
	(void)p;
}
int registry_describe(struct registry *reg, const char *name, const struct registry_auth *auth,
		      struct registry_lookup *l, struct err *e)
{
	(void)reg;
	(void)name;
	(void)auth;
	(void)l;
	return next_result(e);
}
int registry_search(struct registry *reg, const struct registry_search *q,
		    const struct registry_auth *auth, struct registry_lookup *l, struct err *e)
{
	(void)reg;
	(void)q;
	(void)auth;
	(void)l;
	return next_result(e);
}
void registry_lookup_cancel(struct registry_lookup *l)
{
	(void)l;
}

const char *net_driver_name(enum net_driver d)
{
	return d == NET_BRIDGE ? "bridge" : "null";
}
size_t nets_count(const struct nets *n)
{
	(void)n;
	return 1;
}
const struct network *nets_at(const struct nets *n, size_t i)
{
	(void)n;
	(void)i;
	return &fake.network;
}
int nets_find(const struct nets *n, const char *ref, const struct network **ret, struct err *e)
{
	(void)n;
	if (strcmp(ref, "bridge") != 0)
		return err_set(e, ENOENT, "network %s not found", ref);
	*ret = &fake.network;
	return 0;
}
int nets_create(struct nets *n, const struct network_want *want, const struct network **ret,
		struct err *e)
{
	(void)n;
	snprintf(fake.asked, sizeof(fake.asked), "network %s %s %d%d%d %s %s %s %s %s %s",
		 want->name, want->driver ? want->driver : "-", want->internal, want->attachable,
		 want->ipv6, want->labels ? want->labels[0] : "-",
		 want->options ? want->options[0] : "-", want->n_ipam ? want->ipam[0].subnet : "-",
		 want->n_ipam && want->ipam[0].range ? want->ipam[0].range : "-",
		 want->n_ipam && want->ipam[0].gateway ? want->ipam[0].gateway : "-",
		 want->n_ipam && want->ipam[0].aux ? want->ipam[0].aux[0] : "-");
	*ret = &fake.network;
	return next_result(e);
}
int nets_remove(struct nets *n, const struct network *net, struct err *e)
{
	(void)n;
	snprintf(fake.asked, sizeof(fake.asked), "network rm %s", net->name);
	return next_result(e);
}
bool containers_in_network(struct containers *cs, const char *network)
{
	(void)cs;
	(void)network;
	return false;
}
int container_connect(struct container *c, const char *network, yyjson_val *config, struct err *e)
{
	const char *alias = yyjson_get_str(yyjson_arr_get_first(json_member(config, "Aliases")));

	(void)c;
	snprintf(fake.asked, sizeof(fake.asked), "connect %s %s", network, alias ? alias : "-");
	return next_result(e);
}
int container_disconnect(struct container *c, const char *network, bool force, struct err *e)
{
	(void)c;
	snprintf(fake.asked, sizeof(fake.asked), "disconnect %s %d", network, force);
	return next_result(e);
}
const struct sandbox *net_get(const struct nets *n, const char *id)
{
	(void)n;
	(void)id;
	return NULL;
}
bool network_has_links(const struct network *n)
{
	(void)n;
	return false;
}
const char *port_proto_name(uint8_t proto)
{
	return proto == 6 ? "tcp" : "udp";
}

static struct volume fake_volume = { .name = (char *)"data",
				     .driver = (char *)"local",
				     .anonymous = true,
				     .mountpoint = (char *)"/v/data/_data" };

int volume_create(struct volumes *vs, const struct volume_want *w, const struct volume **ret,
		  struct err *e)
{
	(void)vs;
	snprintf(fake.asked, sizeof(fake.asked), "volume %s %s", w->name,
		 w->labels ? w->labels[0] : "-");
	*ret = &fake_volume;
	return next_result(e);
}
int volume_get(const struct volumes *vs, const char *name, const struct volume **ret, struct err *e)
{
	(void)vs;
	if (strcmp(name, "data") != 0)
		return err_set(e, ENOENT, "get %s: no such volume", name);
	*ret = &fake_volume;
	return 0;
}
bool volume_is_local(const struct volume *v)
{
	return strcmp(v->driver, "local") == 0;
}
/* One plugin, which has the volume "far", and one that hangs. */
int volume_survey(struct volumes *vs, struct volume_survey *s, struct err *e)
{
	(void)vs;
	(void)e;
	s->seen = calloc(1, sizeof(*s->seen));
	s->seen[0] = (struct volume_seen){ strdup("far"), strdup("plug"), strdup("/far") };
	s->n_seen = 1;
	(void)strv_add(&s->warnings, "list hung: it does not answer");
	s->done(s);
	return 0;
}
void volume_survey_clear(struct volume_survey *s)
{
	for (size_t i = 0; i < s->n_seen; i++) {
		free(s->seen[i].name);
		free(s->seen[i].driver);
		free(s->seen[i].mountpoint);
	}
	free(s->seen);
	strv_free(s->warnings);
}
int volume_drivers(const struct volumes *vs, char ***ret_names, struct err *e)
{
	(void)vs;
	(void)e;
	return strv_add(ret_names, "plug");
}
int volume_op_make(struct volumes *vs, const char *name, struct volume_op *op, struct err *e)
{
	(void)vs;
	(void)e;
	snprintf(fake.asked, sizeof(fake.asked), "make %s", name);
	op->done(op, 0, &(struct err){ 0 });
	return 0;
}
int volume_op_look(struct volumes *vs, const char *name, struct volume_op *op, struct err *e)
{
	return volume_op_make(vs, name, op, e);
}
int volume_op_drop(struct volumes *vs, const char *name, bool force, struct volume_op *op,
		   struct err *e)
{
	(void)vs;
	(void)e;
	snprintf(fake.asked, sizeof(fake.asked), "drop %s %d", name, force);
	op->done(op, 0, &(struct err){ 0 });
	return 0;
}
void volume_op_cancel(struct volume_op *op)
{
	(void)op;
}
int volume_adopt(struct volumes *vs, const char *name, const char *driver,
		 const struct volume **ret, struct err *e)
{
	(void)vs;
	(void)e;
	snprintf(fake.asked, sizeof(fake.asked), "adopt %s of %s", name, driver);
	*ret = &fake_volume;
	return 0;
}
size_t volumes_count(const struct volumes *vs)
{
	(void)vs;
	return 1;
}
const struct volume *volumes_at(const struct volumes *vs, size_t i)
{
	(void)vs;
	(void)i;
	return &fake_volume;
}
int volume_remove(struct volumes *vs, const char *name, unsigned int users, const char *users_text,
		  struct err *e)
{
	(void)vs;
	if (users > 0)
		return err_set(e, EBUSY, "remove %s: volume is in use - %s", name, users_text);
	return strcmp(name, "data") == 0 ? 0 : err_set(e, ENOENT, "get %s: no such volume", name);
}

/* ---- declared containers ---- */

void manifests_write(const struct manifests *m, struct json_writer *w)
{
	(void)m;
	json_begin_array(w);
	json_str(w, "shop");
	json_end_array(w);
}

int manifests_put(struct manifests *m, const struct manifest_put *put, struct json_writer *w,
		  struct err *e)
{
	(void)m;
	if (str_eq(put->name, "bad"))
		return err_set(e, EINVAL, "/etc/bad.yaml:3: services.a.imagee: unknown key");
	if (str_eq(put->name, "twice"))
		return err_set(e, EEXIST, "the project is declared already");
	snprintf(fake.asked, sizeof(fake.asked), "put %s %.40s dry=%d try=%lld", put->name,
		 put->text, put->dry_run, (long long)put->trial);
	json_begin_object(w);
	json_end_object(w);
	return !str_eq(put->name, "old");
}

static int manifest_asked(const char *verb, const char *name, struct err *e)
{
	if (str_eq(name, "nope"))
		return err_set(e, ENOENT, "no such manifest: nope");
	snprintf(fake.asked, sizeof(fake.asked), "%s %s", verb, name);
	return 0;
}

int manifests_confirm(struct manifests *m, const char *name, struct err *e)
{
	(void)m;
	return manifest_asked("confirm", name, e);
}

int manifests_remove(struct manifests *m, const char *name, struct err *e)
{
	(void)m;
	return manifest_asked("remove", name, e);
}

int manifests_show(const struct manifests *m, const char *name, struct json_writer *w,
		   struct err *e)
{
	(void)m;
	json_begin_object(w);
	json_member_str(w, "name", name);
	json_end_object(w);
	return manifest_asked("show", name, e);
}

#endif
