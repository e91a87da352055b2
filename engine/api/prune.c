/*
 * POST /containers/prune: removes all containers that do not run and that the filters let through,
 * one after the other, and says what that freed.
 *
 * Which ones is settled when the request comes; one that is started or removed meanwhile is left
 * out. One prune at a time. A client that goes away does not stop it.
 */
#include "engine/api/inside.h"

#include "engine/api/filters.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct prune {
	struct container_op op;
	struct http_req *req;
	struct engine *en;
	char **ids; /* to be removed */
	size_t at; /* the next one */
	char **deleted;
	int64_t freed;
};

/* "2026-01-02", "2026-01-02T15:04": what is missing is zero, and the zone is UTC. */
static int partial_time(const char *text, int64_t *ret_ns)
{
	static const char rest[] = "0000-00-00T00:00:00";
	size_t len = strlen(text);
	char full[32];

	if (len != 10 && len != 13 && len != 16 && len != 19)
		return -EINVAL;
	if (str_format(full, sizeof(full), "%s%sZ", text, rest + len) < 0)
		return -EINVAL;
	return clock_parse(full, ret_ns);
}

int api_until(const struct filters *f, int64_t *ret_ns, struct err *e)
{
	const char *text = filters_value(f, "until", 0);
	int64_t ago;

	*ret_ns = 0;
	if (!text)
		return 0;
	if (filters_count(f, "until") > 1)
		return err_set(e, EINVAL, "more than one until filter specified");
	if (!str_eq(text, "0") && str_to_duration(text, &ago) == 0) {
		*ret_ns = clock_real_ns() - ago;
		return 0;
	}
	if (partial_time(text, ret_ns) == 0)
		return 0;
	return api_time("until", text, ret_ns, e);
}

static const char *label_of(const void *object, const char *label)
{
	return container_label(object, label);
}

static bool is_at_rest(const struct container *c)
{
	enum container_state s = container_state(c);

	return s == CONTAINER_CREATED || s == CONTAINER_EXITED || s == CONTAINER_DEAD;
}

static int choose(struct prune *p, const struct filters *f, int64_t until_ns)
{
	struct container *c;
	size_t pos = 0;

	while ((c = containers_next(p->en->containers, &pos))) {
		if (!is_at_rest(c) || (until_ns && container_created_ns(c) > until_ns) ||
		    !api_labels_pass(f, label_of, c))
			continue;
		if (strv_add(&p->ids, container_id(c)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void prune_free(struct prune *p)
{
	p->en->pruning = false;
	strv_free(p->ids);
	strv_free(p->deleted);
	free(p);
}

void api_publish_prune(struct engine *en, const char *type, int64_t freed)
{
	char text[24];
	const struct event_attr attr = { "reclaimed", text };
	const struct event ev = {
		.type = type, .action = "prune", .id = "", .attrs = &attr, .n_attrs = 1
	};

	snprintf(text, sizeof(text), "%lld", (long long)freed);
	events_publish(en->events, &ev);
}

bool api_labels_pass(const struct filters *f, const char *(*get)(const void *, const char *),
		     const void *object)
{
	if (!filters_labels(f, "label", get, object))
		return false;
	return !filters_has(f, "label!") || !filters_labels(f, "label!", get, object);
}

void api_reply_prune(struct http_req *r, const char *type, const char *key, char *const *deleted,
		     int64_t freed)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	api_publish_prune(engine_of(r), type, freed);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, key);
	json_strv(&w, deleted);
	json_member_i64(&w, "SpaceReclaimed", freed);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

static void prune_next(struct prune *p)
{
	while (p->ids && p->ids[p->at]) {
		struct container *c = containers_find(p->en->containers, p->ids[p->at++], NULL);

		if (!c || !is_at_rest(c))
			continue;
		p->op.freed = 0;
		container_remove(c, false, false, &p->op);
		return;
	}
	api_reply_prune(p->req, "container", "ContainersDeleted", p->deleted, p->freed);
	prune_free(p);
}

static void removed(struct container_op *op, int r, const struct err *e)
{
	struct prune *p = container_of(op, struct prune, op);

	if (r < 0)
		log_warn("prune: %s", err_text(e));
	else if (strv_add(&p->deleted, p->ids[p->at - 1]) == 0)
		p->freed += op->freed;
	prune_next(p);
}

void containers_prune(struct http_req *r)
{
	static const char *const allowed[] = { "label", "label!", "until", NULL };
	_cleanup_(filters_free) struct filters *f = NULL;
	struct engine *en = engine_of(r);
	struct err e = { 0 };
	struct prune *p;
	int64_t until_ns;
	int code = en->pruning ? err_set(&e, EBUSY, "a prune operation is already running") : 0;

	if (code == 0)
		code = filters_parse(http_query(r, "filters"), allowed, &f, &e);
	if (code == 0)
		code = api_until(f, &until_ns, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	p = api_new(r, sizeof(*p));
	if (!p)
		return;
	en->pruning = true;
	p->en = en;
	p->req = r;
	p->op = (struct container_op){ .done = removed, .measure = true };
	list_init(&p->op.link);
	if (choose(p, f, until_ns) < 0) {
		http_reply_error(r, 503, "out of memory");
		prune_free(p);
		return;
	}
	prune_next(p);
}
