/*
 * POST /containers/{id}/update: limits and restart policy of a container that exists.
 *
 * What was given (not zero, not empty) replaces what the container has, by Docker's rules (moby
 * container/container_unix.go, UpdateContainer). container.json is durable first, then the shim
 * applies it to the cgroup of what runs; when the kernel refuses, both go back. Updates of one
 * container run one after the other: struct container.updates. An engine that finds a container
 * again applies its limits once more (update_again), so that a crash in between leaves no gap.
 */
#include "engine/container/spec.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct update_job {
	struct list link; /* container.updates, oldest first */
	struct list who; /* the caller's op, or empty */
	struct container *c;
	struct host_config asked;
	struct host_config before; /* while sent */
	bool sent; /* the shim has been asked */
};

static void job_free(struct update_job *job)
{
	if (!job)
		return;
	list_remove(&job->link);
	bind_free(&host_config_table, &job->asked);
	bind_free(&host_config_table, &job->before);
	free(job);
}
DEFINE_CLEANUP(struct update_job *, job_free)

/* ---- what is asked for ---- */

/* Known to UpdateConfig, but nothing that can be changed afterwards: said, not dropped. */
static int check_fixed(const struct host_config *h, struct err *e)
{
	const struct {
		const char *field;
		bool given;
	} fields[] = {
		{ "CgroupParent", !str_empty(h->cgroup_parent) },
		{ "Devices", h->devices.n > 0 },
		{ "DeviceCgroupRules", strv_len(h->device_cgroup_rules) > 0 },
		{ "Ulimits", h->ulimits.n > 0 },
		{ "Init", h->init != BIND_UNSET_BOOL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].given)
			return err_set(
				e, EOPNOTSUPP,
				"%s cannot be changed by an update: create the container anew",
				fields[i].field);
	return 0;
}

static int job_new(struct container *c, yyjson_val *body, char ***warnings, struct update_job **ret,
		   struct err *e)
{
	_cleanup_(job_free) struct update_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return err_errno(e, ENOMEM, "update");
	list_init(&job->link);
	list_init(&job->who);
	job->c = c;
	bind_init(&host_config_table, &job->asked);
	bind_init(&host_config_table, &job->before);
	r = bind_read(&host_config_table, body, &job->asked, "", e);
	if (r == 0)
		r = check_fixed(&job->asked, e);
	if (r == 0)
		r = update_config_check(&job->asked, warnings, e);
	if (r == 0)
		*ret = take_ptr(job);
	return r;
}

/* ---- merging ---- */

/* Docker's rules for what does not go together; its texts. */
static const char *conflict(const struct host_config *have, const struct host_config *want)
{
	const struct {
		bool clash;
		const char *text;
	} rules[] = {
		{ want->nano_cpus > 0 && have->cpu_period > 0,
		  "Nano CPUs cannot be updated as CPU Period has already been set" },
		{ want->nano_cpus > 0 && have->cpu_quota > 0,
		  "Nano CPUs cannot be updated as CPU Quota has already been set" },
		{ want->cpu_period > 0 && have->nano_cpus > 0,
		  "CPU Period cannot be updated as NanoCPUs has already been set" },
		{ want->cpu_quota > 0 && have->nano_cpus > 0,
		  "CPU Quota cannot be updated as NanoCPUs has already been set" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].clash)
			return rules[i].text;
	return NULL;
}

static int check_conflicts(const struct host_config *have, const struct host_config *want,
			   struct err *e)
{
	const char *text = conflict(have, want);

	if (text)
		return err_set(e, EBUSY, "Conflicting options: %s", text);
	if (want->memory > have->memory_swap && want->memory_swap == 0 && want->memory != 0)
		return err_set(e, EBUSY,
			       "Memory limit should be smaller than already set memoryswap limit, "
			       "update the memoryswap at the same time");
	if (have->auto_remove && !str_empty(want->restart.name) &&
	    !str_eq(want->restart.name, "no"))
		return err_set(e, EBUSY,
			       "Restart policy cannot be updated because AutoRemove is enabled for "
			       "the container");
	return 0;
}

/* Entries (rates, weights) replace those of the same device; a rate of 0 takes the limit away. */
static int merge_rates(struct bind_list *have, const struct bind_list *want)
{
	const struct device_rate *from = want->items;

	for (size_t i = 0; i < want->n; i++) {
		struct device_rate *at = have->items;
		size_t n = 0;

		while (n < have->n && !str_eq(at[n].path, from[i].path))
			n++;
		if (n < have->n) {
			at[n].rate = from[i].rate;
			continue;
		}
		at = bind_list_add(&device_rate_table, have);
		if (!at || str_set(&at->path, from[i].path) < 0)
			return -ENOMEM;
		at->rate = from[i].rate;
	}
	return 0;
}

static int merge(struct host_config *have, const struct host_config *want)
{
	const struct {
		int64_t *to, from;
	} numbers[] = {
		{ &have->blkio_weight, want->blkio_weight },
		{ &have->cpu_shares, want->cpu_shares },
		{ &have->nano_cpus, want->nano_cpus },
		{ &have->cpu_period, want->cpu_period },
		{ &have->cpu_quota, want->cpu_quota },
		{ &have->memory, want->memory },
		{ &have->memory_swap, want->memory_swap },
		{ &have->memory_reservation, want->memory_reservation },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (numbers[i].from != 0)
			*numbers[i].to = numbers[i].from;
	if (want->pids_limit != BIND_UNSET_I64)
		have->pids_limit = MAX(want->pids_limit, (int64_t)0);
	if (!str_empty(want->cpuset_cpus))
		r |= str_set(&have->cpuset_cpus, want->cpuset_cpus);
	if (!str_empty(want->cpuset_mems))
		r |= str_set(&have->cpuset_mems, want->cpuset_mems);
	if (!str_empty(want->restart.name)) {
		r |= str_set(&have->restart.name, want->restart.name);
		have->restart.max_retries = want->restart.max_retries;
	}
	r |= merge_rates(&have->read_bps, &want->read_bps);
	r |= merge_rates(&have->write_bps, &want->write_bps);
	r |= merge_rates(&have->read_iops, &want->read_iops);
	r |= merge_rates(&have->write_iops, &want->write_iops);
	r |= merge_rates(&have->weight_devices, &want->weight_devices);
	return r ? -ENOMEM : 0;
}

/* ---- applying ---- */

static int send_limits(struct container *c, const struct shim_done *done, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONTAINER_DOC_MAX);
	const struct host_config *h = &c->asked.host;
	struct json_writer w;
	int r;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	r = spec_resources(h, &w, e);
	if (h->pids_limit != BIND_UNSET_I64 && h->pids_limit <= 0) { /* no limit any more */
		json_key(&w, "pids");
		json_raw(&w, "{\"limit\":-1}");
	}
	json_end_object(&w);
	if (r == 0 && buf_failed(&text) < 0)
		r = err_errno(e, ENOMEM, "update");
	return r < 0 ? r : shim_update(c->shim, buf_text(&text), done, e);
}

void update_again(struct container *c)
{
	const struct host_config *h = &c->asked.host;
	struct err e = { 0 };
	bool any = h->memory || h->memory_reservation || h->memory_swap || h->nano_cpus ||
		   h->cpu_shares || h->cpu_period || h->cpu_quota || h->blkio_weight ||
		   h->read_bps.n || h->write_bps.n || h->read_iops.n || h->write_iops.n ||
		   h->weight_devices.n || !str_empty(h->cpuset_cpus) ||
		   !str_empty(h->cpuset_mems) || h->pids_limit != BIND_UNSET_I64;

	if (any && send_limits(c, NULL, &e) < 0)
		log_warn("container %.12s: its limits: %s", c->id, err_text(&e));
}

/* Back to what it was before the job. */
static void undo(struct update_job *job)
{
	struct container *c = job->c;
	struct host_config failed = c->asked.host;
	struct err e = { 0 };

	c->asked.host = job->before;
	job->before = failed;
	if (record_write_config(c, &e) < 0)
		log_error("container %.12s: %s", c->id, err_text(&e));
}

static void updates_go(struct container *c);

static void finish(struct update_job *job, int r, const struct err *e)
{
	struct container *c = job->c;
	struct err why = { 0 };

	if (r == 0)
		container_publish(c, "update", NULL, NULL);
	else
		err_set(&why, -r, "Cannot update container %s: %s", c->id, err_text(e));
	ops_answer(c->cs, &job->who, r, &why);
	job_free(job);
}

static void applied(struct shim_client *shim, int r, struct shim_reply *reply, const struct err *e,
		    void *data)
{
	struct update_job *job = data;
	struct container *c = job->c;
	bool gone = r == -ENOTCONN; /* it ended: the next start has the new limits */

	(void)shim;
	(void)reply;
	if (r < 0 && !gone) {
		undo(job);
		update_again(c);
	}
	finish(job, gone ? 0 : r, e);
	updates_go(c);
}

static int begin(struct update_job *job, struct err *e)
{
	const struct shim_done done = { applied, job };
	struct container *c = job->c;
	bool up = state_is_running(c->state);
	int r;

	if (c->state == CONTAINER_REMOVING || c->state == CONTAINER_DEAD)
		return err_set(e, EBUSY,
			       "container is marked for removal and cannot be \"update\"");
	r = check_conflicts(&c->asked.host, &job->asked, e);
	if (r == 0)
		r = bind_copy(&host_config_table, &c->asked.host, &job->before, e);
	if (r < 0)
		return r;
	if (merge(&c->asked.host, &job->asked) < 0)
		r = err_errno(e, ENOMEM, "update");
	if (r == 0)
		r = record_write_config(c, e);
	if (r == 0 && up)
		r = send_limits(c, &done, e);
	if (r < 0)
		undo(job);
	else
		job->sent = up;
	if (c->state == CONTAINER_STARTING)
		c->limits_stale = true; /* its config.json has the old ones */
	return r;
}

static void updates_go(struct container *c)
{
	struct update_job *job;

	while ((job = list_first(&c->updates, struct update_job, link)) && !job->sent) {
		struct err e = { 0 };
		int r = begin(job, &e);

		if (r < 0 || !job->sent)
			finish(job, r, &e);
	}
}

void updates_end(struct container *c)
{
	struct update_job *job;

	while ((job = list_first(&c->updates, struct update_job, link)) && job->sent)
		finish(job, 0, NULL);
	updates_go(c);
}

void updates_free(struct container *c)
{
	while (!list_empty(&c->updates))
		job_free(list_first(&c->updates, struct update_job, link));
}

void container_update(struct container *c, yyjson_val *body, char ***warnings,
		      struct container_op *op)
{
	struct update_job *job = NULL;
	struct err e = { 0 };
	int r = job_new(c, body, warnings, &job, &e);

	if (r < 0) {
		op_answer(c->cs, op, r, &e);
		return;
	}
	list_append(&job->who, &op->link);
	list_append(&c->updates, &job->link);
	updates_go(c);
}
