/*
 * Plugins, the engine's side: what is known of each, and calls in workers (plugin.h).
 *
 * A plugin is known from its first call on, with the kinds that it said it implements. When it
 * cannot be reached that is forgotten: who listens there next is asked anew. The time of a call is
 * kept by the worker, and a second later by the engine, which then kills it.
 */
#include "engine/plugin/plugin.h"

#include <string.h>

#include "engine/plugin/inside.h"
#include "init/base/map.h"
#include "init/base/str.h"

#define ACTIVATE "Plugin.Activate"

enum { GRACE_MS = 1000, KIND_LEN_MAX = 64 };

struct plugin {
	char *name;
	char **kinds; /* NULL: not asked yet */
	unsigned calls;
};

struct plugins {
	struct loop *loop;
	char *sockets, *ca_bundle;
	char **specs;
	int quick_ms, slow_ms;
	bool no_sandbox;
	struct map by_name;
	unsigned calls;
};

int plugins_new(const struct plugins_config *cfg, struct plugins **ret_plugins, struct err *e)
{
	_cleanup_(plugins_free) struct plugins *ps = calloc(1, sizeof(*ps));
	int r = 0;

	if (!ps)
		return err_set(e, ENOMEM, "out of memory");
	ps->loop = cfg->loop;
	ps->quick_ms = cfg->quick_ms ? cfg->quick_ms : PLUGIN_QUICK_MS;
	ps->slow_ms = cfg->slow_ms ? cfg->slow_ms : PLUGIN_SLOW_MS;
	ps->no_sandbox = cfg->no_sandbox;
	ps->sockets = str_dup(cfg->sockets);
	for (const char *const *s = cfg->specs; r == 0 && s && *s; s++)
		r = strv_add(&ps->specs, *s);
	if (r < 0 || !ps->sockets || str_set(&ps->ca_bundle, cfg->ca_bundle) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret_plugins = take_ptr(ps);
	return 0;
}

static void plugin_free(struct plugin *p)
{
	if (!p)
		return;
	free(p->name);
	strv_free(p->kinds);
	free(p);
}
DEFINE_CLEANUP(struct plugin *, plugin_free)

void plugins_free(struct plugins *ps)
{
	struct map_entry *m;
	size_t i = 0;

	if (!ps)
		return;
	while ((m = map_next(&ps->by_name, &i)))
		plugin_free(m->value);
	map_free(&ps->by_name);
	strv_free(ps->specs);
	free(ps->sockets);
	free(ps->ca_bundle);
	free(ps);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int plugins_list(const struct plugins *ps, char ***ret_names, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	int r = plugin_names(ps->sockets, ps->specs, &names, e);

	if (r < 0)
		return r;
	if (names)
		qsort(names, strv_len(names), sizeof(*names), by_name);
	*ret_names = take_ptr(names);
	return 0;
}

int plugin_find(const struct plugins *ps, const char *name, struct err *e)
{
	if (!plugin_there(ps->sockets, ps->specs, name))
		return err_set(e, ENOENT, "plugin \"%.64s\" not found", name);
	return 0;
}

int plugin_implements(const struct plugins *ps, const char *name, const char *kind)
{
	const struct plugin *p = map_get(&ps->by_name, name);

	return p && p->kinds ? strv_has(p->kinds, kind) : -ENOENT;
}

/* ---- what is known ---- */

/* Those that nobody calls make room. */
static void forget_idle(struct plugins *ps)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&ps->by_name, &i))) {
		struct plugin *p = m->value;

		if (p->calls > 0)
			continue;
		map_remove(&ps->by_name, p->name);
		plugin_free(p);
	}
}

static struct plugin *known(struct plugins *ps, const char *name, struct err *e)
{
	_cleanup_(plugin_free) struct plugin *p = map_get(&ps->by_name, name);

	if (p)
		return take_ptr(p);
	if (map_len(&ps->by_name) >= PLUGINS_MAX)
		forget_idle(ps);
	p = calloc(1, sizeof(*p));
	if (p)
		p->name = str_dup(name);
	if (!p || !p->name || map_put(&ps->by_name, name, p, NULL) < 0) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	return take_ptr(p);
}

static int take_kinds(struct plugin *p, yyjson_val *answer, struct err *e)
{
	yyjson_val *list = NULL, *kind;
	size_t i, n;
	int r = json_get_array(answer, "Implements", &list, e);

	if (r < 0 || yyjson_arr_size(list) > PLUGIN_KINDS_MAX)
		return err_set(e, EBADMSG, ACTIVATE ": the answer has no usable \"Implements\"");
	strv_free(take_ptr(p->kinds));
	yyjson_arr_foreach(list, i, n, kind)
	{
		const char *text = yyjson_get_str(kind);

		if (text && yyjson_get_len(kind) <= KIND_LEN_MAX && strv_add(&p->kinds, text) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (!p->kinds) /* known to implement nothing */
		p->kinds = calloc(1, sizeof(*p->kinds));
	return p->kinds ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ---- calls ---- */

static void call_end(struct plugin_call *c)
{
	c->plugin->calls--;
	c->ps->calls--;
	free(take_ptr(c->kind));
	free(take_ptr(c->method));
	free(take_ptr(c->body));
	c->plugin = NULL;
	c->ps = NULL;
}

static void conclude(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct err e = { 0 };

	if (r < 0) {
		e = *why;
		if (e.code == 0)
			err_errno(&e, -r, "the plugin could not be asked");
		if (r == -ETIMEDOUT || r == -EBADMSG || r == -ECONNREFUSED || r == -EPROTO)
			(void)err_wrap(&e, "plugin \"%.64s\"", c->plugin->name);
	}
	call_end(c);
	c->done(c, r, answer, &e);
}

static int start(struct plugin_call *c, struct err *e);

static int activated(struct plugin_call *c, yyjson_val *answer, struct err *e)
{
	int r = take_kinds(c->plugin, answer, e);

	if (r < 0)
		return r;
	c->activating = false;
	if (!strv_has(c->plugin->kinds, c->kind))
		return err_set(e, ENOENT, "plugin \"%.64s\" is no %s", c->plugin->name, c->kind);
	return start(c, e);
}

/* Who cannot be reached may be another one when it can be again. */
static bool is_gone(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EPROTO;
}

static void ended(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct plugin_call *c = container_of(w, struct plugin_call, worker);
	struct err e = *why;
	yyjson_val *answer = NULL;
	int r = code;

	if (r == 0)
		r = json_get_object(result, "answer", &answer, &e);
	if (is_gone(r))
		strv_free(take_ptr(c->plugin->kinds));
	if (r == 0 && c->activating) {
		r = activated(c, answer, &e);
		if (r == 0)
			return;
	}
	if (r == -ETIMEDOUT && code < 0)
		err_set(&e, ETIMEDOUT, "%s%s%s: it does not answer within %d s",
			c->activating ? ACTIVATE : c->kind, c->activating ? "" : ".",
			c->activating ? "" : c->method,
			(c->slow && !c->activating ? c->ps->slow_ms : c->ps->quick_ms) / 1000);
	conclude(c, r, answer, &e);
}

static int start(struct plugin_call *c, struct err *e)
{
	struct plugins *ps = c->ps;
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX);
	int64_t ms = c->slow && !c->activating ? ps->slow_ms : ps->quick_ms;
	struct worker_spec spec = { .name = PLUGIN_WORKER,
				    .timeout_ms = ms + GRACE_MS,
				    .oom_score_adj = 500 };
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "plugin", c->plugin->name);
	json_member_str(&w, "sockets", ps->sockets);
	json_key(&w, "specs");
	json_strv(&w, ps->specs);
	json_key(&w, "call");
	if (c->activating)
		json_str(&w, ACTIVATE);
	else
		json_strf(&w, "%s.%s", c->kind, c->method);
	json_member_str(&w, "body", c->activating ? "{}" : c->body);
	json_member_i64(&w, "timeout_ms", ms);
	if (ps->ca_bundle)
		json_member_str(&w, "ca_bundle", ps->ca_bundle);
	json_member_bool(&w, "no_sandbox", ps->no_sandbox);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_errno(e, -buf_failed(&b), "cannot build the request to the plugin");
	spec.request = buf_text(&b);
	c->worker.on_done = ended;
	return worker_start(ps->loop, &c->worker, &spec, e);
}

static int begin(struct plugin_call *c, const struct plugin_request *q, struct err *e)
{
	int r;

	c->kind = str_dup(q->kind);
	c->method = str_dup(q->method);
	c->body = str_dup(q->body ? q->body : "{}");
	c->slow = q->slow;
	if (!c->kind || !c->method || !c->body)
		return err_set(e, ENOMEM, "out of memory");
	c->activating = !c->plugin->kinds;
	if (!c->activating && !strv_has(c->plugin->kinds, c->kind)) {
		/* it may be another program by now */
		strv_free(take_ptr(c->plugin->kinds));
		c->activating = true;
	}
	r = start(c, e);
	return r;
}

int plugin_call(struct plugins *ps, struct plugin_call *c, const struct plugin_request *q,
		struct err *e)
{
	struct plugin *p;
	int r = plugin_find(ps, q->plugin, e);

	if (r < 0)
		return r;
	p = known(ps, q->plugin, e);
	if (!p)
		return -ENOMEM;
	if (ps->calls >= PLUGIN_CALLS_MAX || p->calls >= PLUGIN_CALLS_EACH)
		return err_set(e, EAGAIN,
			       "plugin \"%.64s\" has %u calls to answer, all plugins together %u: "
			       "try again",
			       p->name, p->calls, ps->calls);
	c->ps = ps;
	c->plugin = p;
	ps->calls++;
	p->calls++;
	r = begin(c, q, e);
	if (r < 0)
		call_end(c);
	return r;
}

void plugin_cancel(struct plugin_call *c)
{
	if (!c->ps)
		return;
	worker_cancel(&c->worker);
	call_end(c);
}
