/*
 * Callers that wait: operations, waits for an end, attaches before a start.
 *
 * Answers are never given from inside the call that caused them: they are put into a batch, and the
 * batches are worked off by a deferred event of the loop. The caller's link stands in the batch
 * then, so that taking an operation back (list_remove) works at any time. A batch outlives its
 * container.
 */
#include "engine/container/object.h"
#include "init/base/str.h"

struct batch {
	struct list link; /* containers.batches */
	struct list ops; /* struct container_op */
	struct list waits; /* struct container_wait */
	struct list attaches;
	int r;
	int exit_code;
	bool has_text; /* for waits: whether e.text goes to them */
	struct err e;
};

static void batch_run(struct batch *b)
{
	struct container_op *op;
	struct container_wait *w;

	while ((op = list_first(&b->ops, struct container_op, link))) {
		list_remove(&op->link);
		op->done(op, b->r, &b->e);
	}
	while ((w = list_first(&b->waits, struct container_wait, link))) {
		list_remove(&w->link);
		w->done(w, b->exit_code, b->has_text ? b->e.text : NULL);
	}
	while (!list_empty(&b->attaches))
		attach_answer(list_first(&b->attaches, struct container_attach, link), -1, &b->e);
}

static void answer_all(struct defer_event *ev)
{
	struct containers *cs = container_of(ev, struct containers, answer);
	struct batch *b;

	while ((b = list_first(&cs->batches, struct batch, link))) {
		list_remove(&b->link);
		batch_run(b);
		free(b);
	}
}

void ops_init(struct containers *cs)
{
	list_init(&cs->batches);
	cs->answer = (struct defer_event){ .fn = answer_all };
}

void ops_free(struct containers *cs)
{
	struct batch *b;

	defer_remove(&cs->answer);
	while ((b = list_first(&cs->batches, struct batch, link))) {
		list_remove(&b->link);
		free(b);
	}
}

/* A new batch in the queue. Memory for it must be there: an engine that cannot allocate 1 KiB
 * ends. */
static struct batch *batch_new(struct containers *cs)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	list_init(&b->ops);
	list_init(&b->waits);
	list_init(&b->attaches);
	list_append(&cs->batches, &b->link);
	defer_add(cs->cfg.loop, &cs->answer);
	return b;
}

void list_move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *node = from->next;

		list_remove(node);
		list_append(to, node);
	}
}

void ops_answer(struct containers *cs, struct list *ops, int r, const struct err *e)
{
	struct batch *b;

	if (list_empty(ops))
		return;
	b = batch_new(cs);
	b->r = r;
	if (e)
		b->e = *e;
	list_move_all(ops, &b->ops);
}

void op_answer(struct containers *cs, struct container_op *op, int r, const struct err *e)
{
	struct list one;

	list_init(&one);
	list_append(&one, &op->link);
	ops_answer(cs, &one, r, e);
}

void container_op_cancel(struct container_op *op)
{
	list_remove(&op->link);
}

void waits_answer(struct container *c, unsigned int conditions, int exit_code, const char *error)
{
	struct container_wait *w, *tmp;
	struct batch *b = NULL;

	list_for_each_safe(w, tmp, &c->waits, link) {
		if (!(conditions & (1u << w->condition)))
			continue;
		if (!b) {
			b = batch_new(c->cs);
			b->exit_code = exit_code;
			b->has_text = !str_empty(error);
			if (b->has_text)
				err_set(&b->e, EIO, "%s", error);
		}
		list_remove(&w->link);
		list_append(&b->waits, &w->link);
	}
}

int container_wait_condition(const char *text, enum container_wait_for *ret, struct err *e)
{
	static const char *const names[] = { "not-running", "next-exit", "removed" };

	if (str_empty(text)) {
		*ret = WAIT_NOT_RUNNING;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(text, names[i])) {
			*ret = (enum container_wait_for)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "invalid condition: \"%s\"", text);
}

void container_wait(struct container *c, struct container_wait *w)
{
	list_append(&c->waits, &w->link);
	if (w->condition == WAIT_NOT_RUNNING && !state_is_up(c->state))
		waits_answer(c, 1u << WAIT_NOT_RUNNING, (int)c->rec.exit_code, c->rec.error);
}

void container_wait_cancel(struct container_wait *w)
{
	list_remove(&w->link);
}

void attaches_fail(struct container *c, const struct err *e)
{
	struct batch *b;

	if (list_empty(&c->attaches))
		return;
	b = batch_new(c->cs);
	b->e = *e;
	list_move_all(&c->attaches, &b->attaches);
}
