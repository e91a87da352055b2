/*
 * Health checks: a command that the engine runs in a container again and again (exec.h,
 * container_probe), and what its results amount to. Numbers, texts and rules are Docker's (moby
 * daemon/health.go).
 *
 * Data: struct health_record in state.json (status, streak, the last results), written when the
 * status changes; struct health, made at the first start of a container with a check, holds timer
 * and probe. A container that is found again after an engine restart keeps its status, and its next
 * probe comes at a place in its interval that its id gives, so that many do not come at once. At
 * most HEALTH_PROBES_MAX run at a time, the others wait in a queue.
 *
 * Self-healing: with the label skerry.autoheal=true a container that becomes unhealthy is
 * restarted; when that does not help, again after 10 s, 20 s, ... 10 min.
 */
#include "engine/container/exec.h"
#include "engine/container/object.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)

#define STARTING "starting"
#define HEALTHY "healthy"
#define UNHEALTHY "unhealthy"

enum {
	HEALTH_INTERVAL_S = 30,
	HEALTH_TIMEOUT_S = 30,
	HEALTH_START_INTERVAL_S = 5,
	HEALTH_RETRIES = 3,
	HEALTH_LOG_MAX = 5, /* results kept */
	HEALTH_PROBES_MAX = 8, /* at a time, of all containers */
	HEAL_WAIT_MS = 10000, /* before the second restart in a row */
	HEAL_WAIT_MAX_MS = 600000,
	HEAL_RESET_MS = 600000, /* a health of this length starts it anew */
};

struct health {
	struct container *c;
	struct list link; /* containers.probes_waiting */
	struct timer_event next; /* probe */
	struct timer_event heal;
	struct container_probe probe;
	bool probing;
	int64_t begun_ns; /* of the probe */
	int64_t heal_wait_ms; /* before the next restart */
	int64_t healthy_since_ms; /* clock_mono_ms; 0: is not */
};

#define ROW(key_, type_, struct_, member_, ...)                                          \
	{                                                                                \
		.key = key_, .type = type_, .offset = offsetof(struct struct_, member_), \
		__VA_ARGS__                                                              \
	}

static const struct bind result_rows[] = {
	ROW("Start", BIND_I64, health_result, start_ns),
	ROW("End", BIND_I64, health_result, end_ns),
	ROW("ExitCode", BIND_I64, health_result, exit_code),
	ROW("Output", BIND_TEXT, health_result, output),
};
static BIND_TABLE(result_table, struct health_result, result_rows);

static const struct bind health_rows[] = {
	ROW("Status", BIND_TEXT, health_record, status),
	ROW("FailingStreak", BIND_I64, health_record, failing_streak),
	ROW("Log", BIND_LIST, health_record, log, .of = &result_table),
};
BIND_TABLE(health_record_table, struct health_record, health_rows);

/* ---- what is asked for ---- */

static bool is_wanted(const struct container *c)
{
	const struct health_config *h = c->asked.config.health;

	return h && strv_len(h->test) > 1 &&
	       (str_eq(h->test[0], "CMD") || str_eq(h->test[0], "CMD-SHELL"));
}

static int64_t or_seconds(int64_t ns, int64_t seconds)
{
	return ns > 0 ? ns : seconds * SECOND;
}

static const char *status_of(const struct container *c)
{
	return c->rec.health->status;
}

/* Until the next probe. While the container has time to start: at its own pace. */
static int64_t interval_ms(const struct container *c)
{
	const struct health_config *h = c->asked.config.health;
	int64_t ns = or_seconds(h->interval, HEALTH_INTERVAL_S);

	if (clock_real_ns() - c->rec.started_ns < h->start_period && str_eq(status_of(c), STARTING))
		ns = or_seconds(h->start_interval, HEALTH_START_INTERVAL_S);
	return MAX(ns / MS, INT64_C(1));
}

static char **probe_argv(const struct container *c)
{
	const struct health_config *h = c->asked.config.health;
	char *const *shell = c->asked.config.shell;
	char **argv = NULL;
	int r = 0;

	if (str_eq(h->test[0], "CMD-SHELL") && strv_len(shell) > 0) {
		for (; r == 0 && *shell; shell++)
			r = strv_add(&argv, *shell);
	} else if (str_eq(h->test[0], "CMD-SHELL")) {
		r = strv_add(&argv, "/bin/sh");
		r = r ? r : strv_add(&argv, "-c");
	}
	for (char **word = h->test + 1; r == 0 && *word; word++)
		r = strv_add(&argv, *word);
	if (r < 0) {
		strv_free(argv);
		return NULL;
	}
	return argv;
}

/* As Go writes a duration: "30s", "1m30s", "1.5s", "200ms". */
static void duration_text(int64_t ns, char *buf, size_t size)
{
	int64_t unit = ns < SECOND ? MS : SECOND, whole = ns / unit, rest = ns % unit;
	char fraction[16] = "", head[48] = "";

	if (rest > 0) {
		snprintf(fraction, sizeof(fraction), ".%0*lld", unit == MS ? 6 : 9,
			 (long long)rest);
		for (size_t n = strlen(fraction); fraction[n - 1] == '0'; n--)
			fraction[n - 1] = '\0';
	}
	if (unit == SECOND && whole >= 3600)
		snprintf(head, sizeof(head), "%lldh%lldm", (long long)(whole / 3600),
			 (long long)(whole / 60 % 60));
	else if (unit == SECOND && whole >= 60)
		snprintf(head, sizeof(head), "%lldm", (long long)(whole / 60));
	snprintf(buf, size, "%s%lld%s%s", head, (long long)(unit == SECOND ? whole % 60 : whole),
		 fraction, unit == MS ? "ms" : "s");
}

/* ---- results ---- */

/* Text that JSON can carry: no NUL, at most what Docker keeps. */
static char *output_text(int r, const struct buf *output, const struct err *e, int64_t timeout_ns)
{
	bool cut = output->len >= PROBE_OUTPUT_MAX;
	_cleanup_(mem_free) char *said = malloc(output->len + 1);
	char limit[64];

	if (!said)
		return NULL;
	for (size_t i = 0; i < output->len; i++)
		said[i] = output->data[i] ? output->data[i] : ' ';
	said[output->len] = '\0';
	if (r == -ETIMEDOUT) {
		duration_text(timeout_ns, limit, sizeof(limit));
		return str_printf("Health check exceeded timeout (%s)%s%s%s", limit,
				  *said ? ": " : "", said, cut ? "..." : "");
	}
	return r < 0 ? str_dup(err_text(e)) : str_printf("%s%s", said, cut ? "..." : "");
}

static void add_result(struct health_record *rec, const struct health_result *result)
{
	struct health_result *items = rec->log.items, *fresh;

	while (rec->log.n >= HEALTH_LOG_MAX) {
		bind_free(&result_table, &items[0]);
		memmove(items, items + 1, --rec->log.n * sizeof(*items));
	}
	fresh = bind_list_add(&result_table, &rec->log);
	if (!fresh)
		return;
	*fresh = *result;
	fresh->output = str_dup(result->output ? result->output : "");
}

/* The status that follows from one more result. */
static const char *judge(struct container *c, const struct health_result *result)
{
	const struct health_config *h = c->asked.config.health;
	struct health_record *rec = c->rec.health;

	if (result->exit_code == 0) {
		rec->failing_streak = 0;
		return HEALTHY;
	}
	if (str_eq(rec->status, STARTING) && result->start_ns - c->rec.started_ns < h->start_period)
		return STARTING;
	rec->failing_streak++;
	return rec->failing_streak >= (h->retries > 0 ? h->retries : HEALTH_RETRIES) ? UNHEALTHY
										     : rec->status;
}

/* ---- healing ---- */

static bool heals(const struct container *c)
{
	return str_eq(container_label(c, HEALTH_LABEL_HEAL), "true");
}

static void heal_due(struct timer_event *ev)
{
	struct health *h = container_of(ev, struct health, heal);
	struct container *c = h->c;

	if (c->state != CONTAINER_RUNNING || c->stop_asked || c->cs->stopping ||
	    !str_eq(status_of(c), UNHEALTHY))
		return;
	log_notice("container %.12s (%s) stays unhealthy: it is restarted", c->id, c->name);
	h->heal_wait_ms = h->heal_wait_ms ? MIN(h->heal_wait_ms * 2, (int64_t)HEAL_WAIT_MAX_MS)
					  : HEAL_WAIT_MS;
	c->healing = true;
	lifecycle(c, EV_STOP, &(struct event_args){ .timeout = -1, .restart = true });
}

static void heal_plan(struct health *h)
{
	const char *status = status_of(h->c);
	int64_t now = clock_mono_ms();

	if (!str_eq(status, UNHEALTHY)) {
		timer_clear(&h->heal);
		if (!str_eq(status, HEALTHY))
			h->healthy_since_ms = 0;
		else if (h->healthy_since_ms == 0)
			h->healthy_since_ms = now;
		return;
	}
	if (h->healthy_since_ms && now - h->healthy_since_ms >= HEAL_RESET_MS)
		h->heal_wait_ms = 0;
	h->healthy_since_ms = 0;
	if (heals(h->c))
		timer_set(h->c->cs->cfg.loop, &h->heal, h->heal_wait_ms);
}

static void set_status(struct container *c, const char *status)
{
	char action[40];

	if (str_eq(status, status_of(c)) || str_set(&c->rec.health->status, status) < 0)
		return;
	container_enter(c, c->state);
	snprintf(action, sizeof(action), "health_status: %s", status);
	container_publish(c, action, NULL, NULL);
	heal_plan(c->health);
}

/* ---- probes ---- */

static void probe_begin(struct health *h);

/* One that ran has ended. */
static void probe_over(struct health *h)
{
	struct containers *cs = h->c->cs;
	struct health *waiting;

	h->probing = false;
	cs->probes_running--;
	waiting = list_first(&cs->probes_waiting, struct health, link);
	if (!waiting)
		return;
	list_remove(&waiting->link);
	probe_begin(waiting);
}

static void probe_done(struct container_probe *p, int r, int exit_code, const struct buf *output,
		       const struct err *e)
{
	struct health *h = container_of(p, struct health, probe);
	struct container *c = h->c;
	struct health_result result = { .start_ns = h->begun_ns,
					.end_ns = clock_real_ns(),
					.exit_code = r < 0 ? -1 : exit_code };

	probe_over(h);
	if (c->state != CONTAINER_RUNNING)
		return;
	timer_set(c->cs->cfg.loop, &h->next, interval_ms(c));
	/* the container's end, or ours: says nothing about its health */
	if (r == -ENOTCONN || r == -EBUSY || r == -EAGAIN)
		return;
	result.output = output_text(r, output, e,
				    or_seconds(c->asked.config.health->timeout, HEALTH_TIMEOUT_S));
	add_result(c->rec.health, &result);
	free(result.output);
	set_status(c, judge(c, &result));
}

static void probe_begin(struct health *h)
{
	struct container *c = h->c;
	_cleanup_(strv_free) char **argv = probe_argv(c);

	if (!argv) { /* no memory now: later */
		timer_set(c->cs->cfg.loop, &h->next, interval_ms(c));
		return;
	}
	h->probe = (struct container_probe){
		.argv = argv,
		.timeout_ms = (int)MIN(
			MAX(or_seconds(c->asked.config.health->timeout, HEALTH_TIMEOUT_S) / MS,
			    INT64_C(1)),
			(int64_t)INT32_MAX),
		.done = probe_done,
	};
	h->probing = true;
	h->begun_ns = clock_real_ns();
	c->cs->probes_running++;
	container_probe(c, &h->probe);
}

static void probe_due(struct timer_event *ev)
{
	struct health *h = container_of(ev, struct health, next);
	struct containers *cs = h->c->cs;

	if (cs->probes_running >= HEALTH_PROBES_MAX)
		list_append(&cs->probes_waiting, &h->link);
	else
		probe_begin(h);
}

/* ---- the container's life ---- */

static struct health *health_get(struct container *c)
{
	struct health *h = c->health;

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->c = c;
	list_init(&h->link);
	h->next.fn = probe_due;
	h->heal.fn = heal_due;
	return c->health = h;
}

static void record_free(struct container *c)
{
	if (c->rec.health)
		bind_free(&health_record_table, c->rec.health);
	free(take_ptr(c->rec.health));
}

static int record_make(struct container *c)
{
	if (!c->rec.health) {
		c->rec.health = calloc(1, sizeof(*c->rec.health));
		if (c->rec.health)
			bind_init(&health_record_table, c->rec.health);
	}
	if (!c->rec.health)
		return -ENOMEM;
	return c->rec.health->status ? 0 : str_set(&c->rec.health->status, STARTING);
}

void health_begin(struct container *c)
{
	struct health *h;

	if (!is_wanted(c)) {
		record_free(c);
		return;
	}
	h = health_get(c);
	if (!h || record_make(c) < 0 || str_set(&c->rec.health->status, STARTING) < 0) {
		log_error("container %.12s: its health is not checked: out of memory", c->id);
		record_free(c);
		return;
	}
	c->rec.health->failing_streak = 0;
	h->healthy_since_ms = 0;
	timer_set(c->cs->cfg.loop, &h->next, interval_ms(c));
}

void health_found(struct container *c)
{
	struct health *h = is_wanted(c) ? health_get(c) : NULL;
	char head[9] = "";
	uint64_t place = 0;

	if (!h || record_make(c) < 0) {
		record_free(c);
		return;
	}
	memcpy(head, c->id, 8);
	(void)str_to_u64_base(head, 16, &place);
	if (c->state == CONTAINER_RUNNING)
		timer_set(c->cs->cfg.loop, &h->next, (int64_t)(place % (uint64_t)interval_ms(c)));
	heal_plan(h);
}

void health_resume(struct container *c)
{
	if (c->health && c->rec.health)
		timer_set(c->cs->cfg.loop, &c->health->next, interval_ms(c));
}

void health_rest(struct container *c)
{
	struct health *h = c->health;

	if (!h)
		return;
	timer_clear(&h->next);
	timer_clear(&h->heal);
	list_remove(&h->link);
	if (h->probing) {
		container_probe_cancel(&h->probe);
		probe_over(h);
	}
}

void health_free(struct container *c)
{
	health_rest(c);
	free(take_ptr(c->health));
}

/* ---- reading ---- */

const char *container_health(const struct container *c)
{
	return c->rec.health ? status_of(c) : "none";
}

void health_write(const struct container *c, struct json_writer *w)
{
	const struct health_record *rec = c->rec.health;
	const struct health_result *results = rec ? rec->log.items : NULL;

	if (!rec)
		return;
	json_key(w, "Health");
	json_begin_object(w);
	json_member_str(w, "Status", rec->status);
	json_member_i64(w, "FailingStreak", rec->failing_streak);
	json_key(w, "Log");
	json_begin_array(w);
	for (size_t i = 0; i < rec->log.n; i++) {
		json_begin_object(w);
		json_key(w, "Start");
		json_time(w, results[i].start_ns);
		json_key(w, "End");
		json_time(w, results[i].end_ns);
		json_member_i64(w, "ExitCode", results[i].exit_code);
		json_member_str(w, "Output", results[i].output ? results[i].output : "");
		json_end_object(w);
	}
	json_end_array(w);
	json_end_object(w);
}
