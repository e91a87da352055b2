/*
 * deploy and scale: how many containers, their limits, their restarts. What only means something to
 * a scheduler of many machines is read over, as docker compose does.
 */
#include "engine/manifest/service.h"
#include "init/base/str.h"

#define HOST(member_) offsetof(struct service_target, s.create.host.member_)

static int read_limits(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	static const struct key_row rows[] = {
		{ "cpus", VALUE_CPUS, HOST(nano_cpus) },
		{ "memory", VALUE_BYTES, HOST(memory) },
		{ "pids", VALUE_I64, HOST(pids_limit) },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

static int read_reservations(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e)
{
	static const struct key_row rows[] = {
		{ "cpus", VALUE_SKIP, 0 },
		{ "memory", VALUE_BYTES, HOST(memory_reservation) },
		{ "generic_resources", VALUE_SKIP, 0 },
		{ "devices", VALUE_LATER, 0 },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

static int read_resources(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	static const struct key_row rows[] = {
		{ "limits", VALUE_CALL, 0, read_limits },
		{ "reservations", VALUE_CALL, 0, read_reservations },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

int service_read_replicas(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	struct service_target *t = target;
	int64_t count;
	int r = value_i64(p, n, &count, e);

	if (r < 0)
		return r;
	if (count < 0 || count > COMPOSE_REPLICAS_MAX)
		return yaml_err(n->doc, n->line, p->path, e, "expected a number from 0 to %d",
				COMPOSE_REPLICAS_MAX);
	if (t->replicas_given && t->s.replicas != count)
		return yaml_err(n->doc, n->line, p->path, e,
				"scale and deploy.replicas say different numbers");
	t->replicas_given = true;
	t->s.replicas = count;
	return 0;
}

static int read_mode(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	(void)target;
	if (n->kind != YAML_SCALAR ||
	    (!str_eq(n->text, "replicated") && !str_eq(n->text, "global")))
		return value_wrong(p, n, "replicated or global", e);
	return 0;
}

static int read_condition(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	static const struct {
		const char *word, *policy;
	} rows[] = {
		{ "none", "no" },
		{ "on-failure", "on-failure" },
		{ "any", "always" },
	};
	struct service_target *t = target;

	for (size_t i = 0; n->kind == YAML_SCALAR && i < ARRAY_SIZE(rows); i++)
		if (str_eq(n->text, rows[i].word))
			return str_set(&t->deploy_restart, rows[i].policy) < 0
				       ? err_errno(e, ENOMEM, "%s", p->path)
				       : 0;
	return value_wrong(p, n, "none, on-failure or any", e);
}

/* delay and window: the engine's restarts wait longer and longer by themselves. */
static int read_restart_policy(void *target, const struct place *p, const struct yaml_node *n,
			       struct err *e)
{
	static const struct key_row rows[] = {
		{ "condition", VALUE_CALL, 0, read_condition },
		{ "max_attempts", VALUE_I64, offsetof(struct service_target, deploy_attempts) },
		{ "delay", VALUE_SKIP, 0 },
		{ "window", VALUE_SKIP, 0 },
	};
	struct service_target *t = target;

	if (str_set(&t->deploy_restart, "always") < 0)
		return err_errno(e, ENOMEM, "%s", p->path);
	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

int service_read_deploy(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	static const struct key_row rows[] = {
		{ "resources", VALUE_CALL, 0, read_resources },
		{ "replicas", VALUE_CALL, 0, service_read_replicas },
		{ "mode", VALUE_CALL, 0, read_mode },
		{ "restart_policy", VALUE_CALL, 0, read_restart_policy },
		{ "placement", VALUE_SKIP, 0 },
		{ "update_config", VALUE_SKIP, 0 },
		{ "rollback_config", VALUE_SKIP, 0 },
		{ "endpoint_mode", VALUE_SKIP, 0 },
		{ "labels", VALUE_SKIP, 0 }, /* of the service, not of its containers */
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

int service_settle_deploy(struct service_target *t, const struct place *p,
			  const struct yaml_node *n, struct err *e)
{
	struct host_config *h = &t->s.create.host;

	if (!t->replicas_given)
		t->s.replicas = 1;
	if (t->s.replicas > 1 && t->s.container_name)
		return yaml_err(n->doc, n->line, p->path, e,
				"container_name is one name, and there are to be %d containers",
				(int)t->s.replicas);
	if (!t->deploy_restart || h->restart.name)
		return 0; /* the key restart counts */
	h->restart.name = take_ptr(t->deploy_restart);
	if (str_eq(h->restart.name, "on-failure"))
		h->restart.max_retries = t->deploy_attempts;
	return 0;
}
