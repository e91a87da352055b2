/*
 * What a create request says about networks, in the words of net/: published ports, and legacy
 * links as lines of the hosts file.
 *
 * A link names another container, which must run when this one starts; its address then is what it
 * has at that time. (Docker's variables for links are not made: gone from Docker 29.)
 */
#include "engine/container/shared.h"

#include "init/base/str.h"

/* "NAME:ALIAS" or "NAME"; Docker's own inspect gives "/NAME:/SELF/ALIAS" back. New memory in
 * both. */
static int split(const char *link, char **ret_name, char **ret_alias, struct err *e)
{
	size_t len;

	link += *link == '/';
	len = strcspn(link, ":");
	*ret_name = strndup(link, len);
	*ret_alias = str_dup(link[len] ? link + len + 1 : link);
	if (!*ret_name || !*ret_alias)
		return err_errno(e, ENOMEM, "links");
	if (!**ret_name || !**ret_alias || strchr(*ret_alias, ':'))
		return err_set(e, EINVAL, "bad format for links: %.80s", link);
	if (strrchr(*ret_alias, '/'))
		memmove(*ret_alias, strrchr(*ret_alias, '/') + 1,
			strlen(strrchr(*ret_alias, '/') + 1) + 1);
	return 0;
}

static int find(struct container *c, const char *name, struct container **ret, struct err *e)
{
	struct err why = { 0 };

	*ret = containers_find(c->cs, name, &why);
	if (*ret)
		return 0;
	return err_set(e, EINVAL, "could not get container for %.80s: %s", name, err_text(&why));
}

int links_check(struct container *c, struct err *e)
{
	for (char **l = c->asked.host.links; l && *l; l++) {
		_cleanup_(mem_free) char *name = NULL, *alias = NULL;
		struct container *other;
		int r = split(*l, &name, &alias, e);

		if (r == 0)
			r = find(c, name, &other, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_names(const struct container *other, const char *alias, const char *address,
		     char ***hosts, struct err *e)
{
	const char *const names[] = { alias, other->asked.config.hostname, other->name };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bool again = str_empty(names[i]);

		for (size_t k = 0; k < i; k++)
			again |= str_eq(names[i], names[k]);
		if (!again && strv_addf(hosts, "%s:%s", names[i], address) < 0)
			return err_errno(e, ENOMEM, "links");
	}
	return 0;
}

static int link_hosts(struct container *c, const char *link, char ***hosts, struct err *e)
{
	_cleanup_(mem_free) char *name = NULL, *alias = NULL;
	char address[IP_TEXT_MAX];
	const struct sandbox *net;
	struct container *other;
	int r = split(link, &name, &alias, e);

	if (r == 0)
		r = find(c, name, &other, e);
	if (r < 0)
		return r;
	net = other->sandbox;
	if (!state_is_running(other->state))
		return err_set(e, EBUSY, "Cannot link to a non running container: /%s AS /%s/%s",
			       other->name, c->name, alias);
	for (size_t i = 0; net && i < net->n_endpoints; i++)
		if (net->endpoints[i].address.addr.family)
			return add_names(other, alias,
					 ip_text(&net->endpoints[i].address.addr, address), hosts,
					 e);
	return err_set(e, EBUSY, "Cannot link to /%s: it has no address", other->name);
}

int links_hosts(struct container *c, char ***ret_hosts, struct err *e)
{
	_cleanup_(strv_free) char **hosts = NULL;
	int r = 0;

	for (char **l = c->asked.host.links; r == 0 && l && *l; l++)
		r = link_hosts(c, *l, &hosts, e);
	for (char **x = c->asked.host.extra_hosts; r == 0 && x && *x; x++)
		if (strv_add(&hosts, *x) < 0)
			r = err_errno(e, ENOMEM, "extra hosts");
	if (r == 0)
		*ret_hosts = take_ptr(hosts);
	return r;
}

int ports_wanted(const struct create_config *a, struct port_want **ret, size_t *ret_n,
		 struct err *e)
{
	const struct bind_named_list *ports = a->host.port_bindings.items;
	_cleanup_(mem_free) struct port_want *wants = calloc(PORT_WANTS_MAX, sizeof(*wants));
	size_t n = 0;

	if (!wants)
		return err_errno(e, ENOMEM, "published ports");
	for (size_t i = 0; i < a->host.port_bindings.n; i++) {
		const struct port_host *host = ports[i].list.items;

		for (size_t j = 0; j < ports[i].list.n; j++) {
			int r;

			if (n == PORT_WANTS_MAX)
				return err_set(e, EINVAL, "more than %d published ports",
					       PORT_WANTS_MAX);
			r = port_want_parse(ports[i].key, host[j].ip ? host[j].ip : "",
					    host[j].port ? host[j].port : "", &wants[n++], e);
			if (r < 0)
				return r;
		}
	}
	if (a->host.publish_all) {
		for (char **p = a->config.exposed_ports; p && *p && n < PORT_WANTS_MAX; p++) {
			int r = port_want_parse(*p, "", "", &wants[n++], e);

			if (r < 0)
				return r;
		}
	}
	*ret = take_ptr(wants);
	*ret_n = n;
	return 0;
}
