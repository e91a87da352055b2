/*
 * After an engine start: what still runs is adopted as it is, everything else of ours is removed.
 *
 * The records say what there should be; three lists say what there is: records, namespace files,
 * and the links in our bridges. Whatever has no running container goes. Nothing of an adopted
 * sandbox is touched: its addresses and ports are taken in the books (and its ports held again),
 * the rules are rebuilt by the caller. Caller: nets_start.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/data/ids.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "engine/state/state.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"

enum { RECORD_MAX = 1 << 20, FOLDER_MAX = 65536, STRAYS_MAX = 4096 };

struct restore {
	struct nets *nets;
	char *const *running;
};

/* --- records ---------------------------------------------------------------------------------- */

static int take_books(struct nets *n, struct sandbox *s, struct err *e)
{
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint *ep = &s->endpoints[i];
		struct net *net = net_of(ep->network);
		int rc;

		if (!endpoint_has_link(ep))
			continue;
		rc = settle_pools(net, e);
		if (rc == 0 && ip_is_set(&ep->address.addr))
			rc = pool_reserve(&net->pool, &ep->address.addr, e);
		if (rc == 0 && ip_is_set(&ep->address6.addr))
			rc = pool_reserve(&net->pool6, &ep->address6.addr, e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < s->n_ports; i++)
		if (port_retake(&n->ports, &s->ports[i], e) <
		    0) /* it stays published all the same */
			log_warn("container %.12s: %s", s->id, err_text(e));
	proxy_serve(n, s);
	return 0;
}

/* Whether it is known that the endpoint's link was finished. */
static bool made(const struct nets *n, const struct sandbox *s, const struct endpoint *ep)
{
	struct link l;

	if (ep->host_ifname[0])
		return link_get(n->route_fd, ep->host_ifname, &l, NULL) != -ENODEV;
	if (ep->index == 0)
		(void)vlan_unlink(s, ep, NULL); /* it may be there all the same */
	return ep->index != 0;
}

/* An endpoint whose link is not there was being made when the engine died, or being removed: nobody
 * was told that it is there. */
static void drop_unmade(struct nets *n, struct sandbox *s)
{
	for (size_t i = s->n_endpoints; i-- > 0;) {
		struct endpoint *ep = &s->endpoints[i];

		if (!endpoint_has_link(ep) || made(n, s, ep))
			continue;
		endpoint_clear(ep);
		s->n_endpoints--;
		memmove(ep, ep + 1, (s->n_endpoints - i) * sizeof(*ep));
	}
}

static int adopt(struct nets *n, struct sandbox *s, struct err *e)
{
	int rc = map_put(&n->sandboxes, s->id, s, NULL);

	if (rc < 0)
		return err_set(e, -rc, "out of memory");
	drop_unmade(n, s);
	rc = take_books(n, s, e);
	if (rc < 0)
		log_warn("network of container %.12s: %s", s->id, err_text(e));
	return 0;
}

static int record_one(const char *name, yyjson_val *root, void *data, struct err *e)
{
	struct restore *x = data;
	struct nets *n = x->nets;
	struct sandbox *s = NULL;
	int rc = sandbox_parse(n, root, &s, e);

	if (rc == 0 && !str_eq(s->id, name))
		rc = err_set(e, EINVAL, "it is of %.12s", s->id);
	if (rc == 0 && strv_has(x->running, s->id))
		rc = adopt(n, s, e);
	else if (rc == 0) {
		rc = sandbox_dismantle(n, s, e);
		sandbox_free(s);
	} else {
		sandbox_free(s);
		(void)sandbox_forget(n, name,
				     NULL); /* its links and namespace go as strays, below */
	}
	if (rc < 0)
		log_warn("network record %.12s: %s", name, err_text(e));
	return 0;
}

/* --- strays ----------------------------------------------------------------------------------- */

static int netns_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct nets *n = data;
	char path[256];

	(void)dirfd;
	if (map_has(&n->sandboxes, name))
		return 0;
	if (str_format(path, sizeof(path), "%s/netns/%s", n->run_dir, name) < 0 ||
	    netns_remove(path, e) < 0)
		log_warn("namespace %.12s stays: %s", name, err_text(e));
	return 0;
}

/* Links in our bridges that no sandbox knows: collected first, removed after the listing. */
struct strays {
	struct nets *nets;
	char (*names)[IFNAMSIZ];
	size_t n;
};

static bool link_known(const struct nets *n, const char *name)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&n->sandboxes, &i))) {
		const struct sandbox *s = m->value;

		for (size_t k = 0; k < s->n_endpoints; k++)
			if (str_eq(s->endpoints[k].host_ifname, name))
				return true;
	}
	return departing_link(n, name);
}

static int stray_link(const struct link *l, void *data, struct err *e)
{
	struct strays *x = data;
	bool in_ours = false;

	(void)e;
	for (size_t i = 0; i < x->nets->n_nets; i++)
		in_ours = in_ours || (l->master && l->master == x->nets->nets[i]->index);
	if (in_ours && str_eq(l->kind, "veth") && x->n < STRAYS_MAX &&
	    !link_known(x->nets, l->name))
		memcpy(x->names[x->n++], l->name, IFNAMSIZ);
	return 0;
}

static int remove_stray_links(struct nets *n, struct err *e)
{
	struct strays x = { .nets = n, .names = calloc(STRAYS_MAX, IFNAMSIZ) };
	int rc, first = 0;

	if (!x.names)
		return err_set(e, ENOMEM, "out of memory");
	nets_recall(n);
	first = link_each(n->route_fd, stray_link, &x, e);
	for (size_t i = 0; i < x.n; i++) {
		rc = link_delete(n->route_fd, x.names[i], e);
		first = first < 0 ? first : rc;
	}
	free(x.names);
	return first;
}

static int make_folder(const struct nets *n, const char *name, char path[256], struct err *e)
{
	int rc = str_format(path, 256, "%s/%s", n->run_dir, name);

	return rc < 0 ? err_set(e, -rc, "path is too long") : dir_make(AT_FDCWD, path, 0700, e);
}

int nets_restore(struct nets *n, char *const *running, struct err *e)
{
	struct restore x = { n, running };
	char records[256], spaces[256];
	int rc;

	if (n->route_fd < 0)
		n->route_fd = nl_open(NETLINK_ROUTE, e);
	if (n->route_fd < 0)
		return n->route_fd;
	rc = make_folder(n, "net", records, e);
	if (rc == 0)
		rc = make_folder(n, "netns", spaces, e);
	if (rc == 0)
		rc = state_each(AT_FDCWD, records, RECORD_MAX, record_one, &x, e);
	if (rc == 0)
		rc = dir_each(AT_FDCWD, spaces, FOLDER_MAX, netns_one, n, e);
	return rc < 0 ? rc : remove_stray_links(n, e);
}
