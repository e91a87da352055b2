/*
 * The image of a service: from the store, from an archive of the machine, from a registry.
 *
 * What is there always comes first. A service whose container exists runs, whatever became of the
 * registry; one whose new image cannot be had keeps the container of the old one running. A pull
 * that fails is tried again for ever, like every other step, but with a timer of its own, so that
 * it holds up nothing else.
 *
 * Called by reconcile.c, from service_step.
 */
#include "engine/data/ref.h"
#include "engine/manifest/inside.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

static const char *image_name(const struct service_run *run)
{
	return run->want->create.config.image;
}

void service_image_cancel(struct service_run *run)
{
	timer_clear(&run->pull_retry);
	image_op_cancel(&run->image_op);
}

/* ---- failures ---- */

static void previous_started(struct container_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, op);

	run->busy = false;
	if (r < 0 && r != -EALREADY)
		log_error("manifest: %s: service %s: its container of before cannot be started: %s",
			  run->project->file, run->want->name, err_text(e));
}

/* The container of the image before goes on, and is started when the machine was. */
static void keep_previous(struct service_run *run)
{
	struct container *c = service_container(run);

	if (!c)
		return;
	str_copy(run->id, sizeof(run->id), container_id(c));
	if (state_is_up(container_state(c)) || container_ran_in_boot(c) ||
	    container_state(c) == CONTAINER_REMOVING)
		return;
	log_info("manifest: %s: service %s runs its image of before", run->project->file,
		 run->want->name);
	run->busy = true;
	run->op = (struct container_op){ .done = previous_started };
	container_start(c, &run->op);
}

static void image_failed(struct service_run *run, const char *text)
{
	service_failed(run, run->want->image_at, "image", text);
	keep_previous(run);
}

/* ---- registry ---- */

static void pull_failed(struct service_run *run, const struct err *e)
{
	struct manifests *m = run->project->m;

	if (!images_find(m->cfg.images, image_name(run), NULL)) {
		_cleanup_(mem_free) char *text =
			str_printf("%s; no archive of this machine holds it either", err_text(e));

		image_failed(run, text ? text : err_text(e));
		return;
	}
	if (!str_eq(run->pull_error, err_text(e)))
		log_error(
			"manifest: %s:%d: services.%s.image: %s (the image that is there is used)",
			run->want->image_at.file, run->want->image_at.line, run->want->name,
			err_text(e));
	str_set(&run->pull_error, err_text(e));
	run->pull_ms = run->pull_ms ? MIN(run->pull_ms * 2, (int64_t)RETRY_MAX_MS) : RETRY_FIRST_MS;
	timer_set(m->cfg.loop, &run->pull_retry, run->pull_ms);
	service_step(run);
}

static void pull_done(struct image_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, image_op);
	struct events *events = containers_events(run->project->m->cfg.containers);
	struct ref ref;

	run->busy = false;
	events_publish_images(events, op->changes, op->n_changes);
	if (r < 0) {
		pull_failed(run, e);
		return;
	}
	if (ref_parse(image_name(run), &ref, NULL) == 0)
		events_publish_pull(events, &ref);
	log_info("manifest: %s: service %s: %s is pulled", run->project->file, run->want->name,
		 image_name(run));
	str_set(&run->pull_error, NULL);
	run->pull_ms = 0;
	run->pulled_ms = clock_mono_ms();
	service_step(run);
}

void service_pull(struct service_run *run)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	struct registry *reg = run->project->m->cfg.registry;
	struct err e = { 0 };

	run->busy = true;
	run->image_op = (struct image_op){ .done = pull_done };
	if (registry_own_auth(reg, image_name(run), &auth, &e) < 0 ||
	    registry_pull(reg, image_name(run), NULL, &auth, &run->image_op, &e) < 0) {
		run->busy = false;
		pull_failed(run, &e);
	}
}

/* ms until the next pull of an image that is pulled again and again; the clock may have jumped. */
static int64_t pull_wait(const struct service_run *run, const struct image *img)
{
	int64_t age = run->pulled_ms ? clock_mono_ms() - run->pulled_ms
				     : (clock_real_ns() - img->loaded_ns) / 1000000;

	return age < 0 ? run->want->pull_every : run->want->pull_every - age;
}

bool service_pull_due(struct service_run *run, const struct image *img)
{
	int64_t wait;

	if (timer_armed(&run->pull_retry))
		return false;
	if (run->want->pull == PULL_ALWAYS)
		return !run->pulled_ms;
	if (run->want->pull != PULL_EVERY)
		return false;
	wait = pull_wait(run, img);
	if (wait > 0)
		timer_set(run->project->m->cfg.loop, &run->pull_retry, wait);
	return wait <= 0;
}

/* ---- archives ---- */

static void loaded(struct image_op *op, int r, const struct err *e)
{
	struct service_run *run = container_of(op, struct service_run, image_op);

	run->busy = false;
	if (r == -ENOENT && run->want->pull != PULL_NEVER)
		service_pull(run);
	else if (r < 0)
		image_failed(run, err_text(e));
	else
		service_step(run);
}

void service_get_image(struct service_run *run)
{
	struct err e = { 0 };

	run->no_image = true;
	run->state = SERVICE_IMAGE;
	run->busy = true;
	run->image_op = (struct image_op){ .done = loaded };
	if (images_ensure(run->project->m->cfg.images, image_name(run), &run->image_op, &e) < 0) {
		run->busy = false;
		image_failed(run, err_text(&e));
	}
}

bool service_image_came(struct service_run *run)
{
	bool waits = run->state == SERVICE_IMAGE || (run->state == SERVICE_FAILED && !run->busy);

	if (!run->no_image || !waits ||
	    !images_find(run->project->m->cfg.images, image_name(run), NULL))
		return false;
	image_op_cancel(&run->image_op);
	timer_clear(&run->retry);
	run->busy = false;
	return true;
}
