/*
 * One service of a compose file: the table of its keys and what reads them. Larger families stand
 * in service_*.c; what the values mean is the compose-spec's ("services top-level elements").
 */
#include "engine/manifest/service.h"

#include <limits.h>

#include "engine/container/container.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

#define CONFIG(member_) offsetof(struct service_target, s.create.config.member_)
#define HOST(member_) offsetof(struct service_target, s.create.host.member_)

/* ---- keys with a reader of their own ---- */

static int read_image(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct service_target *t = target;

	t->s.image_at = reading_spot(n, n->line);
	return value_text(p, n, &t->s.create.config.image, e);
}

static int read_restart(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	struct service_target *t = target;
	_cleanup_(mem_free) char *text = NULL;
	char *colon;
	int r = value_text(p, n, &text, e);

	if (r < 0)
		return r;
	colon = strchr(text, ':');
	if (colon) {
		int64_t max;

		*colon = '\0';
		if (!str_eq(text, "on-failure") || str_to_i64(colon + 1, &max) < 0 || max < 0)
			return value_wrong(
				p, n, "no, always, unless-stopped, on-failure or on-failure:N", e);
		t->s.create.host.restart.max_retries = max;
	}
	if (!str_eq(text, "no") && !str_eq(text, "always") && !str_eq(text, "unless-stopped") &&
	    !str_eq(text, "on-failure"))
		return yaml_err(
			n->doc, n->line, p->path, e,
			"expected no, always, unless-stopped, on-failure or on-failure:N, not '%s'",
			text);
	return str_set(&t->s.create.host.restart.name, text) < 0 ? err_errno(e, ENOMEM, "restart")
								 : 0;
}

int service_add_dep(struct service_target *t, const struct place *p, const char *name,
		    struct compose_spot at, struct compose_dep **ret, struct err *e)
{
	struct compose_dep *grown;

	for (size_t i = 0; i < t->s.n_deps; i++) {
		struct compose_dep *dep = &t->s.deps[i];

		if (!str_eq(dep->service, name))
			continue;
		if (!dep->implied)
			return spot_err(at, p->path, e, "'%s' stands twice", name);
		dep->implied = false;
		dep->at = at;
		*ret = dep;
		return 0;
	}
	grown = reallocarray(t->s.deps, t->s.n_deps + 1, sizeof(*grown));
	if (!grown)
		return err_errno(e, ENOMEM, "depends_on");
	t->s.deps = grown;
	grown[t->s.n_deps] = (struct compose_dep){ .service = str_dup(name), .at = at };
	if (!grown[t->s.n_deps].service)
		return err_errno(e, ENOMEM, "depends_on");
	*ret = &grown[t->s.n_deps++];
	return 0;
}

static int read_condition(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	static const char *const names[] = { "service_started", "service_healthy",
					     "service_completed_successfully" };
	struct compose_dep *dep = target;

	for (size_t i = 0; n->kind == YAML_SCALAR && i < ARRAY_SIZE(names); i++) {
		if (str_eq(n->text, names[i])) {
			dep->condition = (enum compose_condition)i;
			return 0;
		}
	}
	return value_wrong(p, n,
			   "service_started, service_healthy or service_completed_successfully", e);
}

static int read_required(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct compose_dep *dep = target;
	bool required = true;
	int r = value_bool(p, n, &required, e);

	dep->optional = !required;
	return r;
}

static int read_depends_on(void *target, const struct place *p, const struct yaml_node *n,
			   struct err *e)
{
	static const struct key_row rows[] = {
		{ "condition", VALUE_CALL, 0, read_condition },
		{ "required", VALUE_CALL, 0, read_required },
		{ "restart", VALUE_BOOL, offsetof(struct compose_dep, restart) },
	};
	struct compose_dep *dep;
	int r = 0;

	if (n->kind == YAML_SCALAR)
		return value_wrong(p, n, "a list of services or a mapping", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		if (n->kind == YAML_LIST) {
			struct place at = place_at(p, NULL, i);

			if (n->items[i]->kind != YAML_SCALAR)
				return value_wrong(&at, n->items[i], "the name of a service", e);
			r = service_add_dep(target, p, n->items[i]->text,
					    reading_spot(n->items[i], n->items[i]->line), &dep, e);
		} else {
			struct place at = place_at(p, n->pairs[i].key, 0);

			r = service_add_dep(target, p, n->pairs[i].key,
					    reading_spot(n->pairs[i].value, n->pairs[i].line), &dep,
					    e);
			if (r == 0)
				r = value_map(&at, n->pairs[i].value, rows, ARRAY_SIZE(rows), dep,
					      e);
		}
	}
	return r;
}

static int read_stop_grace(void *target, const struct place *p, const struct yaml_node *n,
			   struct err *e)
{
	struct service_target *t = target;
	int64_t ns;
	int r = value_duration(p, n, &ns, e);

	if (r == 0)
		t->s.create.config.stop_timeout = (ns + 999999999) / 1000000000;
	return r;
}

static int read_stop_signal(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	struct service_target *t = target;
	int r = value_text(p, n, &t->s.create.config.stop_signal, e);

	if (r == 0 && signal_from_text(n->text) < 0)
		return yaml_err(n->doc, n->line, p->path, e,
				"'%s' is no signal; expected one such as SIGTERM", n->text);
	return r;
}

/* ---- healthcheck, logging, pull_policy ---- */

static int read_health_test(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	struct health_config *h = target;
	int r = value_words(p, n, &h->test, e);

	if (r == 0 && n->kind == YAML_SCALAR) { /* a text is run by the shell */
		char **test = NULL;

		if (strv_add(&test, "CMD-SHELL") < 0 || strv_add(&test, n->text) < 0)
			return err_errno(e, ENOMEM, "healthcheck");
		strv_free(h->test);
		h->test = test;
	} else if (r == 0 &&
		   (!h->test || (!str_eq(h->test[0], "CMD") && !str_eq(h->test[0], "CMD-SHELL") &&
				 !str_eq(h->test[0], "NONE")))) {
		return yaml_err(n->doc, n->line, p->path, e,
				"a list must begin with CMD, CMD-SHELL or NONE");
	}
	return r;
}

static int read_health_disable(void *target, const struct place *p, const struct yaml_node *n,
			       struct err *e)
{
	struct health_config *h = target;
	bool off = false;
	int r = value_bool(p, n, &off, e);

	if (r == 0 && off) {
		strv_free(h->test);
		h->test = NULL;
		r = strv_add(&h->test, "NONE") < 0 ? err_errno(e, ENOMEM, "healthcheck") : 0;
	}
	return r;
}

static int read_healthcheck(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	static const struct key_row rows[] = {
		{ "test", VALUE_CALL, 0, read_health_test },
		{ "interval", VALUE_DURATION, offsetof(struct health_config, interval) },
		{ "timeout", VALUE_DURATION, offsetof(struct health_config, timeout) },
		{ "start_period", VALUE_DURATION, offsetof(struct health_config, start_period) },
		{ "start_interval", VALUE_DURATION,
		  offsetof(struct health_config, start_interval) },
		{ "retries", VALUE_I64, offsetof(struct health_config, retries) },
		{ "disable", VALUE_CALL, 0, read_health_disable },
	};
	struct service_target *t = target;

	t->s.create.config.health = calloc(1, sizeof(struct health_config));
	if (!t->s.create.config.health)
		return err_errno(e, ENOMEM, "healthcheck");
	return value_map(p, n, rows, ARRAY_SIZE(rows), t->s.create.config.health, e);
}

static int read_memswap(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	struct service_target *t = target;

	if (n->kind == YAML_SCALAR && str_eq(n->text, "-1")) { /* no limit */
		t->s.create.host.memory_swap = -1;
		return 0;
	}
	return value_bytes(p, n, &t->s.create.host.memory_swap, e);
}

static int refuse_build(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	(void)target;
	return yaml_err(
		n->doc, n->line, p->path, e,
		"images are not built on this machine; build it elsewhere, load or push it, "
		"and name it by the key image");
}

static int read_oom_kill_disable(void *target, const struct place *p, const struct yaml_node *n,
				 struct err *e)
{
	struct service_target *t = target;
	bool on = false;
	int r = value_bool(p, n, &on, e);

	if (r == 0)
		t->s.create.host.oom_kill_disable = on;
	return r;
}

static int read_logging(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	static const struct key_row rows[] = {
		{ "driver", VALUE_TEXT, HOST(log.type) },
		{ "options", VALUE_PAIRS, HOST(log.options) },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

static int read_ulimits(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	static const struct key_row rows[] = {
		{ "soft", VALUE_I64, offsetof(struct ulimit, soft) },
		{ "hard", VALUE_I64, offsetof(struct ulimit, hard) },
	};
	struct service_target *t = target;
	int r = 0;

	if (n->kind != YAML_MAP)
		return value_wrong(p, n, "a mapping of limits", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, n->pairs[i].key, 0);
		struct ulimit *u = bind_list_add(&ulimit_table, &t->s.create.host.ulimits);

		if (!u || str_set(&u->name, n->pairs[i].key) < 0)
			return err_errno(e, ENOMEM, "ulimits");
		if (n->pairs[i].value->kind == YAML_MAP) {
			r = value_map(&at, n->pairs[i].value, rows, ARRAY_SIZE(rows), u, e);
		} else {
			r = value_i64(&at, n->pairs[i].value, &u->soft, e);
			u->hard = u->soft;
		}
	}
	return r;
}

/* The time of every_<time>: numbers with w, d, h, m or s, each at most once and falling.
 * -EINVAL. */
static int pull_interval(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 'w', 604800000 },
		      { 'd', 86400000 },
		      { 'h', 3600000 },
		      { 'm', 60000 },
		      { 's', 1000 } };
	size_t next = 0;
	int64_t sum = 0;

	while (*text) {
		char *end;
		long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;

		if (n < 0 || n > 100000)
			return -EINVAL;
		while (next < ARRAY_SIZE(units) && units[next].unit != *end)
			next++;
		if (next == ARRAY_SIZE(units))
			return -EINVAL;
		sum += n * units[next++].ms;
		text = end + 1;
	}
	if (sum <= 0)
		return -EINVAL;
	*ret_ms = sum;
	return 0;
}

static int read_pull_policy(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	static const struct {
		const char *word;
		enum compose_pull pull;
		const char *every;
	} rows[] = {
		{ "missing", PULL_MISSING, NULL }, { "if_not_present", PULL_MISSING, NULL },
		{ "always", PULL_ALWAYS, NULL },   { "never", PULL_NEVER, NULL },
		{ "daily", PULL_EVERY, "1d" },	   { "weekly", PULL_EVERY, "1w" },
	};
	struct service_target *t = target;
	const char *text = n->kind == YAML_SCALAR ? n->text : "";
	const char *every = strncmp(text, "every_", 6) == 0 ? text + 6 : NULL;

	t->s.pull = PULL_EVERY;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!str_eq(text, rows[i].word))
			continue;
		t->s.pull = rows[i].pull;
		every = rows[i].every;
		if (!every)
			return 0;
	}
	if (every && pull_interval(every, &t->s.pull_every) == 0)
		return 0;
	return value_wrong(
		p, n,
		"always, missing, if_not_present, never, daily, weekly or a time such as "
		"every_12h or every_1w2d",
		e);
}

/* ---- the table ---- */

static const struct key_row service_rows[] = {
	{ "image", VALUE_CALL, 0, read_image },
	{ "command", VALUE_COMMAND, CONFIG(cmd) },
	{ "entrypoint", VALUE_COMMAND, CONFIG(entrypoint) },
	{ "environment", VALUE_CALL, 0, service_read_environment },
	{ "env_file", VALUE_CALL, 0, service_read_env_file },
	{ "ports", VALUE_CALL, 0, service_read_ports },
	{ "expose", VALUE_CALL, 0, service_read_expose },
	{ "volumes", VALUE_CALL, 0, service_read_volumes },
	{ "tmpfs", VALUE_CALL, 0, service_read_tmpfs },
	{ "restart", VALUE_CALL, 0, read_restart },
	{ "depends_on", VALUE_CALL, 0, read_depends_on },
	{ "working_dir", VALUE_TEXT, CONFIG(working_dir) },
	{ "user", VALUE_TEXT, CONFIG(user) },
	{ "hostname", VALUE_TEXT, CONFIG(hostname) },
	{ "domainname", VALUE_TEXT, CONFIG(domainname) },
	{ "container_name", VALUE_TEXT, offsetof(struct service_target, s.container_name) },
	{ "labels", VALUE_PAIRS, CONFIG(labels) },
	{ "annotations", VALUE_PAIRS, HOST(annotations) },
	{ "read_only", VALUE_BOOL, HOST(readonly_rootfs) },
	{ "privileged", VALUE_BOOL, HOST(privileged) },
	{ "cap_add", VALUE_WORDS, HOST(cap_add) },
	{ "cap_drop", VALUE_WORDS, HOST(cap_drop) },
	{ "security_opt", VALUE_WORDS, HOST(security_opt) },
	{ "group_add", VALUE_WORDS, HOST(group_add) },
	{ "mem_limit", VALUE_BYTES, HOST(memory) },
	{ "mem_reservation", VALUE_BYTES, HOST(memory_reservation) },
	{ "memswap_limit", VALUE_CALL, 0, read_memswap },
	{ "shm_size", VALUE_BYTES, HOST(shm_size) },
	{ "cpus", VALUE_CPUS, HOST(nano_cpus) },
	{ "cpu_shares", VALUE_I64, HOST(cpu_shares) },
	{ "cpu_quota", VALUE_I64, HOST(cpu_quota) },
	{ "cpu_period", VALUE_I64, HOST(cpu_period) },
	{ "cpuset", VALUE_TEXT, HOST(cpuset_cpus) },
	{ "pids_limit", VALUE_I64, HOST(pids_limit) },
	{ "oom_score_adj", VALUE_I64, HOST(oom_score_adj) },
	{ "ulimits", VALUE_CALL, 0, read_ulimits },
	{ "sysctls", VALUE_PAIRS, HOST(sysctls) },
	{ "dns", VALUE_WORDS, HOST(dns) },
	{ "dns_search", VALUE_WORDS, HOST(dns_search) },
	{ "dns_opt", VALUE_WORDS, HOST(dns_options) },
	{ "extra_hosts", VALUE_CALL, 0, service_read_extra_hosts },
	{ "network_mode", VALUE_CALL, 0, service_read_network_mode },
	{ "ipc", VALUE_CALL, 0, service_read_ipc },
	{ "pid", VALUE_CALL, 0, service_read_pid },
	{ "uts", VALUE_TEXT, HOST(uts_mode) },
	{ "cgroup", VALUE_TEXT, HOST(cgroupns_mode) },
	{ "cgroup_parent", VALUE_TEXT, HOST(cgroup_parent) },
	{ "isolation", VALUE_TEXT, HOST(isolation) },
	{ "stdin_open", VALUE_BOOL, CONFIG(open_stdin) },
	{ "tty", VALUE_BOOL, CONFIG(tty) },
	{ "stop_grace_period", VALUE_CALL, 0, read_stop_grace },
	{ "stop_signal", VALUE_CALL, 0, read_stop_signal },
	{ "healthcheck", VALUE_CALL, 0, read_healthcheck },
	{ "x-skerry-autoheal", VALUE_BOOL, offsetof(struct service_target, autoheal) },
	{ "deploy", VALUE_CALL, 0, service_read_deploy },
	{ "logging", VALUE_CALL, 0, read_logging },
	{ "pull_policy", VALUE_CALL, 0, read_pull_policy },
	{ "scale", VALUE_CALL, 0, service_read_replicas },
	{ "profiles", VALUE_WORDS, offsetof(struct service_target, s.profiles) },
	{ "attach", VALUE_SKIP, 0 },
	{ "build", VALUE_CALL, 0, refuse_build },
	{ "blkio_config", VALUE_CALL, 0, service_read_blkio },
	{ "configs", VALUE_SKIP, 0 }, /* read when the rest is: service_read */
	{ "cpu_count", VALUE_SKIP, 0 }, /* of another system */
	{ "cpu_percent", VALUE_SKIP, 0 },
	{ "cpu_rt_period", VALUE_LATER, 0 },
	{ "cpu_rt_runtime", VALUE_LATER, 0 },
	{ "mem_swappiness", VALUE_I64, HOST(memory_swappiness) },
	{ "oom_kill_disable", VALUE_CALL, 0, read_oom_kill_disable },
	{ "secrets", VALUE_SKIP, 0 },
	{ "networks", VALUE_SKIP, 0 },
	{ "devices", VALUE_CALL, 0, service_read_devices },
	{ "device_cgroup_rules", VALUE_WORDS, HOST(device_cgroup_rules) },
	{ "extends", VALUE_SKIP, 0 }, /* done: extends.c */
	{ "label_file", VALUE_CALL, 0, service_read_label_file },
	{ "credential_spec", VALUE_LATER, 0 },
	{ "provider", VALUE_LATER, 0 },
	{ "models", VALUE_LATER, 0 },
	{ "pull_refresh_after", VALUE_LATER, 0 },
	{ "use_api_socket", VALUE_LATER, 0 },
	{ "gpus", VALUE_LATER, 0 },
	{ "init", VALUE_CALL, 0, service_read_init },
	{ "links", VALUE_CALL, 0, service_read_links },
	{ "external_links", VALUE_CALL, 0, service_read_external_links },
	{ "mac_address", VALUE_TEXT, CONFIG(mac_address) },
	{ "platform", VALUE_CALL, 0, service_read_platform },
	{ "post_start", VALUE_LATER, 0 },
	{ "pre_stop", VALUE_LATER, 0 },
	{ "runtime", VALUE_TEXT, HOST(runtime) },
	{ "storage_opt", VALUE_LATER, 0 },
	{ "userns_mode", VALUE_TEXT, HOST(userns_mode) },
	{ "volumes_from", VALUE_CALL, 0, service_read_volumes_from },
	{ "develop", VALUE_SKIP, 0 },
};

void service_target_free(struct service_target *t)
{
	strv_free(t->env_from_files);
	strv_free(t->labels_from_files);
	free(t->deploy_restart);
}

static bool any_active(const struct service_target *t)
{
	if (strv_has(t->rd->profiles, "*"))
		return true;
	for (char **v = t->s.profiles; *v; v++)
		if (strv_has(t->rd->profiles, *v))
			return true;
	return false;
}

int service_read(struct service_target *t, const struct place *p, const struct yaml_node *n,
		 struct err *e)
{
	int r;

	if (n->kind != YAML_MAP)
		return value_wrong(p, n, "a mapping with at least the key image", e);
	r = value_map(p, n, service_rows, ARRAY_SIZE(service_rows), t, e);
	if (r == 0 && str_empty(t->s.create.config.image))
		return spot_err(t->s.at, p->path, e, "the key image is missing");
	if (r == 0 && t->autoheal &&
	    pairs_set(&t->s.create.config.labels, HEALTH_LABEL_HEAL, "true") < 0)
		r = err_errno(e, ENOMEM, "x-skerry-autoheal");
	if (r == 0)
		r = service_settle_deploy(t, p, n, e);
	t->s.off = r == 0 && t->s.profiles && t->s.profiles[0] && !any_active(t);
	if (r == 0)
		r = service_add_networks(t, p, n, yaml_get(n, "networks"), e);
	for (int kind = 0; r == 0 && kind < 2; kind++)
		r = service_add_contents(t, kind, p, yaml_get(n, kind ? "secrets" : "configs"), e);
	return r < 0 ? r : service_join_files(t, e);
}
