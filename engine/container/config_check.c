/*
 * Checks of a create request: the config itself, restart policy, ulimits, health check; the
 * parts in files of their own are check_*.c. Each row or check names the field and says what would
 * be right; where clients match on Docker's text, it is Docker's.
 *
 * Called once by container_create, before anything is made.
 */
#include <limits.h>

#include "engine/container/config.h"
#include "engine/container/log_config.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

static int check_restart(const struct host_config *h, struct err *e)
{
	static const char *const names[] = { "no", "always", "unless-stopped", "on-failure", NULL };
	const char *name = h->restart.name;

	if (!strv_has((char *const *)names, name))
		return err_set(
			e, EINVAL,
			"invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
			"'on-failure', or 'unless-stopped'",
			name);
	if (h->restart.max_retries < 0)
		return err_set(e, EINVAL,
			       "invalid restart policy: maximum retry count cannot be negative");
	if (h->restart.max_retries > 0 && !str_eq(name, "on-failure"))
		return err_set(e, EINVAL,
			       "invalid restart policy: maximum retry count can only be used with "
			       "'on-failure'");
	if (h->auto_remove && !str_eq(name, "no"))
		return err_set(e, EINVAL,
			       "can't create 'AutoRemove' container with restart policy");
	return 0;
}

static int check_numbers(const struct host_config *h, struct err *e)
{
	if (h->shm_size < 0)
		return err_set(e, EINVAL, "SHM size can not be less than 0");
	if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
		return err_set(e, EINVAL,
			       "Invalid value %lld, range for oom score adj is [-1000, 1000]",
			       (long long)h->oom_score_adj);
	return 0;
}

static int check_ulimits(const struct host_config *h, struct err *e)
{
	static const char *const names[] = { "as",    "core",	 "cpu",	     "data",   "fsize",
					     "locks", "memlock", "msgqueue", "nice",   "nofile",
					     "nproc", "rss",	 "rtprio",   "rttime", "sigpending",
					     "stack", NULL };
	const struct ulimit *u = h->ulimits.items;

	for (size_t i = 0; i < h->ulimits.n; i++) {
		if (!strv_has((char *const *)names, u[i].name ? u[i].name : ""))
			return err_set(e, EINVAL, "invalid ulimit type: %s",
				       u[i].name ? u[i].name : "");
		if (u[i].soft < -1 || u[i].hard < -1)
			return err_set(e, EINVAL, "ulimit %s: a limit is -1 (none) or more",
				       u[i].name);
		if (u[i].hard != -1 && (u[i].soft == -1 || u[i].soft > u[i].hard))
			return err_set(e, EINVAL,
				       "ulimit soft limit must be less than or equal to hard "
				       "limit: %lld > %lld",
				       (long long)u[i].soft, (long long)u[i].hard);
	}
	return 0;
}

int console_size_of(yyjson_val *array, unsigned int *ret_rows, unsigned int *ret_cols,
		    struct err *e)
{
	yyjson_val *rows = yyjson_arr_get(array, 0), *cols = yyjson_arr_get(array, 1);

	if (yyjson_arr_size(array) != 2 || !yyjson_is_uint(rows) || !yyjson_is_uint(cols) ||
	    yyjson_get_uint(rows) > UINT16_MAX || yyjson_get_uint(cols) > UINT16_MAX)
		return err_set(e, EINVAL, "ConsoleSize: must be [rows,columns], each 0 to 65535");
	*ret_rows = (unsigned int)yyjson_get_uint(rows);
	*ret_cols = (unsigned int)yyjson_get_uint(cols);
	return 0;
}

int console_size_read(const char *json, unsigned int *ret_rows, unsigned int *ret_cols,
		      struct err *e)
{
	yyjson_doc *doc;
	int r;

	*ret_rows = *ret_cols = 0;
	if (!json)
		return 0;
	doc = yyjson_read(json, strlen(json), 0);
	r = console_size_of(yyjson_doc_get_root(doc), ret_rows, ret_cols, e);
	yyjson_doc_free(doc);
	return r;
}

static int check_console(const struct host_config *h, struct err *e)
{
	unsigned int rows, cols;

	return console_size_read(h->console_size, &rows, &cols, e);
}

static int check_health(const struct health_config *health, struct err *e)
{
	const struct {
		const char *field;
		int64_t value;
	} times[] = {
		{ "Interval", health->interval },
		{ "Timeout", health->timeout },
		{ "StartPeriod", health->start_period },
		{ "StartInterval", health->start_interval },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (times[i].value != 0 && times[i].value < 1000000)
			return err_set(e, EINVAL, "%s in Healthcheck cannot be less than 1ms",
				       times[i].field);
	if (health->test && health->test[0] && !str_eq(health->test[0], "NONE") &&
	    !str_eq(health->test[0], "CMD") && !str_eq(health->test[0], "CMD-SHELL"))
		return err_set(e, EINVAL,
			       "Test in Healthcheck begins with '%.60s'; expected NONE, CMD or "
			       "CMD-SHELL",
			       health->test[0]);
	if (health->retries < 0)
		return err_set(e, EINVAL, "Retries in Healthcheck cannot be negative");
	return 0;
}

static int check_config(const struct container_config *c, struct err *e)
{
	if (str_empty(c->image))
		return err_set(e, EINVAL, "config cannot be empty in order to create a container");
	if (!str_empty(c->working_dir) && c->working_dir[0] != '/')
		return err_set(
			e, EINVAL,
			"the working directory '%s' is invalid, it needs to be an absolute path",
			c->working_dir);
	if (!str_empty(c->stop_signal) && signal_from_text(c->stop_signal) < 0)
		return err_set(e, EINVAL, "invalid signal: %s", c->stop_signal);
	if (!str_empty(c->hostname) && strlen(c->hostname) > 63)
		return err_set(e, EINVAL, "invalid hostname format: %s", c->hostname);
	if (c->stop_timeout != BIND_UNSET_I64 &&
	    (c->stop_timeout < -1 || c->stop_timeout > INT_MAX))
		return err_set(e, EINVAL, "StopTimeout %lld is out of range",
			       (long long)c->stop_timeout);
	for (char **env = c->env; env && *env; env++)
		if ((*env)[0] == '=' || (*env)[0] == '\0')
			return err_set(e, EINVAL, "invalid environment variable: %s", *env);
	return c->health ? check_health(c->health, e) : 0;
}

int update_config_check(struct host_config *h, char ***warnings, struct err *e)
{
	struct host_config limits;
	int64_t pids = h->pids_limit; /* 0 and less take the limit away */
	int r = str_empty(h->restart.name) ? 0 : check_restart(h, e);

	resources_discard(h, warnings);
	h->pids_limit = pids;
	limits = *h;
	if (limits.memory == 0) /* the container may have one */
		limits.memory_swap = 0;
	return r < 0 ? r : resources_check(&limits, e);
}

int create_config_check(struct create_config *c, char ***warnings, struct err *e)
{
	int (*const host_checks[])(const struct host_config *h, struct err *e) = {
		check_restart, check_numbers, check_ulimits,  log_check,
		check_console, devices_check, security_check,
	};
	int r = check_config(&c->config, e);

	resources_discard(&c->host, warnings);
	if (warnings && str_eq(c->host.network_mode, "host") && c->host.port_bindings.n > 0)
		(void)strv_add(warnings,
			       "Published ports are discarded when using host network mode");
	if (r == 0)
		r = resources_check(&c->host, e);
	if (r == 0)
		r = modes_check(c, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(host_checks); i++)
		r = host_checks[i](&c->host, e);
	return r;
}
