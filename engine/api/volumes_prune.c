/*
 * POST /volumes/prune: removes the volumes that no container has and that the filters let through,
 * one after the other, and says what that freed.
 *
 * Without all=true only anonymous ones (since 1.42, as Docker). Their sizes are counted first, by a
 * worker. One that a container takes meanwhile is left out. One prune at a time. A client that goes
 * away does not stop it.
 */
#include "engine/api/inside.h"

#include "engine/api/filters.h"
#include "engine/files/usage.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct volume_prune {
	struct usage_op usage;
	struct volume_op op;
	struct http_req *req;
	struct engine *en;
	char **names; /* to be removed */
	size_t at; /* the next one */
	char **deleted;
	char *driver; /* of the one that is being removed */
	int64_t freed;
};

static const char *label_of(const void *object, const char *label)
{
	return strv_env_get(((const struct volume *)object)->labels, label);
}

static int choose(struct volume_prune *p, const struct filters *f, bool all, struct err *e)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < volumes_count(p->en->volumes); i++) {
		const struct volume *v = volumes_at(p->en->volumes, i);

		if ((!all && !v->anonymous) || !api_labels_pass(f, label_of, v) ||
		    containers_use_volume(p->en->containers, v->name, NULL))
			continue;
		if (strv_add(&p->names, v->name) < 0)
			code = err_set(e, ENOMEM, "out of memory");
		if (code == 0 && api_volume_counts(v))
			code = usage_add(&p->usage, v->name, v->mountpoint, e);
	}
	return code;
}

static void prune_free(struct volume_prune *p)
{
	p->en->pruning_volumes = false;
	usage_clear(&p->usage);
	strv_free(p->names);
	strv_free(p->deleted);
	free(p->driver);
	free(p);
}

static void tell(struct volume_prune *p)
{
	api_reply_prune(p->req, "volume", "VolumesDeleted", p->deleted, p->freed);
	prune_free(p);
}

static void prune_next(struct volume_prune *p);

static void removed(struct volume_op *op, int code, const struct err *e)
{
	struct volume_prune *p = container_of(op, struct volume_prune, op);
	const char *name = p->names[p->at - 1];

	if (code < 0) {
		log_warn("prune: %s", err_text(e));
	} else {
		events_publish_volume(p->en->events, "destroy", name, p->driver);
		(void)strv_add(&p->deleted, name);
		p->freed += MAX(usage_get(&p->usage, name), 0);
	}
	prune_next(p);
}

static void prune_next(struct volume_prune *p)
{
	while (p->names && p->names[p->at]) {
		const char *name = p->names[p->at++];
		const struct volume *v;
		struct err e = { 0 };

		if (volume_get(p->en->volumes, name, &v, NULL) < 0 ||
		    containers_use_volume(p->en->containers, name, NULL))
			continue;
		p->op = (struct volume_op){ .done = removed };
		if (str_set(&p->driver, v->driver) == 0 &&
		    volume_op_drop(p->en->volumes, name, false, &p->op, &e) == 0)
			return;
		log_warn("prune: %s", err_text(&e));
	}
	tell(p);
}

static void counted(struct usage_op *u, int code, const struct err *e)
{
	if (code < 0)
		log_warn("sizes could not be counted: %s", err_text(e));
	prune_next(container_of(u, struct volume_prune, usage));
}

static int read_query(struct http_req *r, struct filters **f, bool *all, struct err *e)
{
	static const char *const allowed[] = { "all", "label", "label!", NULL };
	int code = filters_parse(http_query(r, "filters"), allowed, f, e);

	*all = !api_at_least(r, 42);
	return code < 0 ? code : filters_bool(*f, "all", all, e);
}

void volumes_prune(struct http_req *r)
{
	_cleanup_(filters_free) struct filters *f = NULL;
	struct engine *en = engine_of(r);
	struct volume_prune *p;
	struct err e = { 0 };
	bool all = false;
	int code = en->pruning_volumes ? err_set(&e, EBUSY, "a prune operation is already running")
				       : read_query(r, &f, &all, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	p = api_new(r, sizeof(*p));
	if (!p)
		return;
	en->pruning_volumes = true;
	p->en = en;
	p->req = r;
	p->usage.done = counted;
	code = choose(p, f, all, &e);
	if (code == 0 && p->usage.n > 0)
		code = usage_start(&p->usage, en->loop, &e);
	if (code < 0) {
		prune_free(p);
		api_fail(r, code, &e);
	} else if (p->usage.n == 0) {
		prune_next(p);
	}
}
