/*
 * User namespaces of containers (userns.h): engine.userns-remap of system.yaml, --userns=host.
 *
 * A user namespace is nowhere kept by itself. The container's network namespace is made inside of
 * it, and that is kept as a file (net/netns.c) as long as the container runs; whoever needs the
 * user namespace (the shim, a container that joins another one) asks the kernel to whom the network
 * namespace belongs. So nothing more has to be pinned, found again or removed, and a container that
 * shares another one's network shares its users too, as Docker has it. That is why a mapped
 * container cannot have the machine's network.
 *
 * On disk nothing is shifted: layers, volumes and the three files of the network are id-mapped
 * mounts (shim/overlay.c, spec.c), so files keep the ids that the container sees. Binds are not
 * mapped, as Docker's are not: what belongs to the machine's root belongs to nobody in there.
 */
#include "engine/container/userns.h"

#include <sys/stat.h>

#include "engine/container/shared.h"
#include "engine/runtime/idmap.h"
#include "init/base/str.h"

int userns_settle(struct container *c, struct err *e)
{
	const struct host_config *h = &c->asked.host;
	const struct {
		bool found;
		const char *text;
	} refused[] = {
		{ h->privileged,
		  "privileged mode is incompatible with user namespaces.  You must run the "
		  "container in the host namespace when running privileged mode" },
		{ str_eq(h->network_mode, "host"),
		  "cannot share the host's network namespace when user namespaces are enabled" },
		{ str_eq(h->pid_mode, "host"),
		  "cannot share the host PID namespace when user namespaces are enabled" },
	};

	if (!c->cs->cfg.remap.count || str_eq(h->userns_mode, "host"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i].found)
			return err_set(e, EINVAL, "%s", refused[i].text);
	c->remap = c->cs->cfg.remap;
	return 0;
}

bool container_remap_current(const struct container *c)
{
	const struct remap none = { 0 }, *now = &c->cs->cfg.remap;

	if (str_eq(c->asked.host.userns_mode, "host"))
		now = &none;
	return c->remap.first == now->first && c->remap.count == now->count;
}

static bool same_namespace(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The user namespace of another container that `c` joins; it must be of the same map. */
static int open_other(const struct container *c, const struct container *other, struct err *e)
{
	const char *key = other->sandbox ? other->sandbox->key : NULL;

	if (!key || other->remap.first != c->remap.first || other->remap.count != c->remap.count)
		return err_set(
			e, EINVAL,
			"cannot join a namespace of container %s: it does not have the same "
			"users (both must be created with --userns=host, or neither, and with "
			"the same userns-remap)",
			other->id);
	return idmap_owner(key, e);
}

int userns_open(struct container *c, int *ret, struct err *e)
{
	const struct plan_id_map map = { 0, c->remap.first, c->remap.count };
	const char *const modes[] = { c->asked.host.network_mode, c->asked.host.pid_mode,
				      c->asked.host.ipc_mode };
	_cleanup_(fd_close) int ns = -1;

	*ret = -1;
	for (size_t i = 0; c->remap.count && i < ARRAY_SIZE(modes); i++) {
		const struct container *other;
		_cleanup_(fd_close) int theirs = -1;

		/* one that is not there is told by whoever joins it */
		if (!mode_is_container(modes[i]) || mode_find(c, modes[i], &other, NULL) < 0)
			continue;
		theirs = open_other(c, other, e);
		if (theirs < 0)
			return theirs;
		if (ns >= 0 && !same_namespace(ns, theirs))
			return err_set(e, EINVAL,
				       "cannot join namespaces of containers that have different "
				       "user namespaces");
		fd_close(ns);
		ns = take_fd(theirs);
	}
	if (c->remap.count && ns < 0)
		ns = idmap_namespace(&map, 1, &map, 1, e);
	if (c->remap.count && ns < 0)
		return ns;
	*ret = take_fd(ns);
	return 0;
}
