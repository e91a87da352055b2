/*
 * Namespaces of other containers that this one joins (shim.json "joins"), as descriptors.
 *
 * The engine names the first process of the other container by its number, and numbers are used
 * again. So it is only believed of a process in the other container's cgroup. A user namespace is
 * named by the network namespace that belongs to it, which the engine keeps as a file. Called once
 * by shim.c.
 */
#include <sched.h>
#include <string.h>

#include "engine/runtime/idmap.h"
#include "engine/shim/shim.h"
#include "init/base/cgroup.h"
#include "init/base/str.h"

static const struct {
	const char *name;
	unsigned long long flag;
} kinds[] = {
	{ "pid", CLONE_NEWPID }, { "ipc", CLONE_NEWIPC },   { "network", CLONE_NEWNET },
	{ "uts", CLONE_NEWUTS }, { "user", CLONE_NEWUSER },
};

static int read_join(yyjson_val *o, struct shim_join *j, struct err *e)
{
	const char *kind = "";
	int64_t pid = 0;
	int r = json_get_text(o, "kind", &kind, e);

	if (r == 0)
		r = json_get_i64(o, "pid", &pid, e);
	if (r == 0)
		r = json_get_copy(o, "cgroup", &j->cgroup, e);
	if (r == 0)
		r = json_get_copy(o, "owner_of", &j->owner_of, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].name, kind))
			j->flag = kinds[i].flag;
	j->pid = (pid_t)pid;
	if (j->owner_of && j->flag == CLONE_NEWUSER && !j->pid && !j->cgroup)
		return 0;
	if (j->owner_of || !j->flag || j->pid <= 0 || str_empty(j->cgroup))
		return err_set(e, EINVAL,
			       "a namespace to join needs kind, pid and cgroup, a user namespace "
			       "owner_of instead");
	return 0;
}

int shim_joins_read(yyjson_val *root, struct shim_config *c, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = json_get_array(root, "joins", &list, e);

	if (r < 0 || !list)
		return r;
	if (yyjson_arr_size(list) > RUNTIME_JOINS_MAX)
		return err_set(e, EINVAL, "joins: more than %d", RUNTIME_JOINS_MAX);
	yyjson_arr_foreach(list, i, n, item)
	{
		r = read_join(item, &c->joins[c->n_joins++], e);
		if (r < 0)
			return err_wrap(e, "joins[%zu]", i);
	}
	return 0;
}

static int open_join(const struct shim_join *j, struct err *e)
{
	int pidfd;

	if (j->owner_of)
		return idmap_owner(j->owner_of, e);
	pidfd = cgroup_open_process(j->cgroup, j->pid, NULL);
	if (pidfd < 0)
		return err_set(e, ESRCH,
			       "the container %.12s, whose namespace is joined, has ended",
			       strrchr(j->cgroup, '/') ? strrchr(j->cgroup, '/') + 1 : j->cgroup);
	return pidfd;
}

int shim_joins_open(const struct shim_config *c, struct runtime_join *ret, struct err *e)
{
	for (size_t i = 0; i < c->n_joins; i++) {
		ret[i] = (struct runtime_join){ .flag = c->joins[i].flag,
						.fd = open_join(&c->joins[i], e) };
		if (ret[i].fd < 0) {
			int r = ret[i].fd;

			shim_joins_close(ret, i);
			return r;
		}
	}
	return 0;
}

void shim_joins_close(struct runtime_join *joins, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd_close(joins[i].fd);
}

int shim_joins_user(const struct runtime_join *joins, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].flag == CLONE_NEWUSER)
			return joins[i].fd;
	return -1;
}
