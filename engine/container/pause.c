/*
 * Pause: the container's cgroup is frozen and thawed by its shim.
 *
 * PAUSE and UNPAUSE ask the shim; its answer is an event of its own (FROZEN, THAWED), which changes
 * the state and answers the callers. While the shim is being asked the state is still the old one.
 * What ends a paused container (stop, kill, restart, removal) thaws it after the signal, as Docker
 * does, so that the program can hear it.
 */
#include "engine/container/object.h"
#include "init/base/log.h"
#include "init/base/str.h"

static void frozen(struct shim_client *shim, int r, struct shim_reply *reply, const struct err *e,
		   void *data)
{
	struct container *c = data;
	struct err why = { 0 };

	(void)shim;
	(void)reply;
	c->freezing = false;
	if (r == 0) {
		lifecycle(c, EV_FROZEN, &(struct event_args){ 0 });
		return;
	}
	err_set(&why, -r, "cannot pause container %s: %s", c->id, err_text(e));
	ops_answer(c->cs, &c->pause_ops, r, &why);
}

static void thawed(struct shim_client *shim, int r, struct shim_reply *reply, const struct err *e,
		   void *data)
{
	struct container *c = data;
	struct err why = { 0 };

	(void)shim;
	(void)reply;
	if (r == 0) {
		lifecycle(c, EV_THAWED, &(struct event_args){ 0 });
		return;
	}
	err_set(&why, -r, "cannot unpause container %s: %s", c->id, err_text(e));
	log_warn("%s", why.text);
	ops_answer(c->cs, &c->unpause_ops, r, &why);
}

int act_pause(struct container *c, const struct event_args *a, struct err *e)
{
	const struct shim_done done = { frozen, c };
	int r = c->freezing ? 0 : shim_pause(c->shim, true, &done, e);

	if (r < 0)
		return r;
	c->freezing = true;
	if (a->op)
		list_append(&c->pause_ops, &a->op->link);
	return 0;
}

int act_frozen(struct container *c, const struct event_args *a, struct err *e)
{
	(void)a;
	(void)e;
	health_rest(c);
	container_enter(c, CONTAINER_PAUSED);
	container_publish(c, "pause", NULL, NULL);
	ops_answer(c->cs, &c->pause_ops, 0, NULL);
	return 0;
}

int act_unpause(struct container *c, const struct event_args *a, struct err *e)
{
	const struct shim_done done = { thawed, c };
	int r = shim_pause(c->shim, false, &done, e);

	if (r == 0 && a->op)
		list_append(&c->unpause_ops, &a->op->link);
	return r;
}

int act_thawed(struct container *c, const struct event_args *a, struct err *e)
{
	(void)a;
	(void)e;
	container_enter(c, CONTAINER_RUNNING);
	health_resume(c);
	container_publish(c, "unpause", NULL, NULL);
	ops_answer(c->cs, &c->unpause_ops, 0, NULL);
	return 0;
}

void container_thaw(struct container *c)
{
	const struct shim_done done = { thawed, c };
	struct err e = { 0 };

	if (c->state != CONTAINER_PAUSED && !c->freezing)
		return;
	if (shim_pause(c->shim, false, &done, &e) < 0)
		log_warn("container %.12s: %s", c->id, err_text(&e));
}

void container_pause(struct container *c, struct container_op *op)
{
	lifecycle(c, EV_PAUSE, &(struct event_args){ .op = op });
}

void container_unpause(struct container *c, struct container_op *op)
{
	lifecycle(c, EV_UNPAUSE, &(struct event_args){ .op = op });
}
