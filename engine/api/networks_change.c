/*
 * Networks: create, remove, prune, connect, disconnect.
 */
#include "engine/api/inside.h"

#include "engine/api/filters.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { IPAM_MAX = 64 };

static void publish(struct engine *en, const char *action, const struct network *n)
{
	events_publish_network(en->events, action, n->id, n->name, net_driver_name(n->driver));
}

/* ---- create ---- */

struct create {
	struct network_want want;
	struct ipam_want ipam[IPAM_MAX];
	char **labels, **options;
	char **aux[IPAM_MAX];
};

static void create_clear(struct create *c)
{
	strv_free(c->labels);
	strv_free(c->options);
	for (size_t i = 0; i < c->want.n_ipam; i++)
		strv_free(c->aux[i]);
}
DEFINE_CLEANUP_VALUE(struct create, create_clear)

static int read_ipam_entry(yyjson_val *v, struct create *c, struct err *e)
{
	struct ipam_want *w = &c->ipam[c->want.n_ipam];
	char ***aux = &c->aux[c->want.n_ipam];
	int code;

	if (!yyjson_is_obj(v))
		return err_set(e, EINVAL, "IPAM.Config: should be objects, not %s",
			       json_type_name(v));
	c->want.n_ipam++;
	code = json_get_text(v, "Subnet", &w->subnet, e);
	if (code == 0)
		code = json_get_text(v, "IPRange", &w->range, e);
	if (code == 0)
		code = json_get_text(v, "Gateway", &w->gateway, e);
	if (code == 0) /* the first name is the API's, the second is what old clients send */
		code = api_read_pairs(v, "AuxiliaryAddresses", aux, e);
	if (code == 0 && !*aux)
		code = api_read_pairs(v, "AuxAddress", aux, e);
	w->aux = *aux;
	return code;
}

static int read_ipam(yyjson_val *body, struct create *c, struct err *e)
{
	yyjson_val *ipam = NULL, *list = NULL, *v;
	const char *driver = "";
	size_t i, max;
	int code = json_get_object(body, "IPAM", &ipam, e);

	if (code == 0)
		code = json_get_text(ipam, "Driver", &driver, e);
	if (code == 0)
		code = json_get_array(ipam, "Config", &list, e);
	if (code < 0)
		return code;
	if (!str_empty(driver) && !str_eq(driver, "default"))
		return err_set(e, ENOENT, "plugin \"%.80s\" not found", driver);
	if (yyjson_arr_size(list) > IPAM_MAX)
		return err_set(e, EINVAL, "IPAM.Config: more than %d entries", IPAM_MAX);
	yyjson_arr_foreach(list, i, max, v)
	{
		code = read_ipam_entry(v, c, e);
		if (code < 0)
			return code;
	}
	return 0;
}

/* What there is no machine for here. */
static int refuse_swarm(yyjson_val *body, struct err *e)
{
	static const char *const flags[] = { "Ingress", "ConfigOnly" };
	yyjson_val *from = NULL;
	const char *network = "", *scope = "";
	int code = json_get_object(body, "ConfigFrom", &from, e);

	if (code == 0)
		code = json_get_text(from, "Network", &network, e);
	if (code == 0)
		code = json_get_text(body, "Scope", &scope, e);
	for (size_t i = 0; code == 0 && i < ARRAY_SIZE(flags); i++) {
		bool set = false;

		code = json_get_bool(body, flags[i], &set, e);
		if (code == 0 && set)
			code = err_set(e, ENOSYS, "%s: such networks are not supported", flags[i]);
	}
	if (code < 0)
		return code;
	if (!str_empty(network))
		return err_set(e, ENOSYS, "ConfigFrom: such networks are not supported");
	if (!str_empty(scope) && !str_eq(scope, "local"))
		return err_set(e, EINVAL, "Scope: \"%.40s\" is not local, and there is no swarm",
			       scope);
	return 0;
}

static int read_create(yyjson_val *body, struct create *c, struct err *e)
{
	struct network_want *w = &c->want;
	bool ipv4 = true;
	int code = json_get_text(body, "Name", &w->name, e);

	if (code == 0)
		code = json_get_text(body, "Driver", &w->driver, e);
	if (code == 0)
		code = json_get_bool(body, "Internal", &w->internal, e);
	if (code == 0)
		code = json_get_bool(body, "Attachable", &w->attachable, e);
	if (code == 0)
		code = json_get_bool(body, "EnableIPv4", &ipv4, e);
	w->no_ipv4 = !ipv4;
	if (code == 0)
		code = json_get_bool(body, "EnableIPv6", &w->ipv6, e);
	if (code == 0)
		code = refuse_swarm(body, e);
	if (code == 0)
		code = api_read_pairs(body, "Labels", &c->labels, e);
	if (code == 0)
		code = api_read_pairs(body, "Options", &c->options, e);
	if (code == 0)
		code = read_ipam(body, c, e);
	w->labels = c->labels;
	w->options = c->options;
	w->ipam = c->ipam;
	return code;
}

void networks_create(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	_cleanup_(create_clear) struct create c = { .want.name = "" };
	struct engine *en = engine_of(r);
	const struct network *n;
	yyjson_val *body = NULL;
	struct json_writer w;
	struct err e = { 0 };
	int code = api_body(r, false, &doc, &body, &e);

	if (code == 0)
		code = read_create(body, &c, &e);
	if (code == 0)
		code = nets_create(en->nets, &c.want, &n, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	publish(en, "create", n);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "Id", n->id);
	json_member_str(&w, "Warning", "");
	json_end_object(&w);
	api_reply(r, 201, &b);
}

/* ---- remove ---- */

/* The event speaks of what is gone. */
static int remove_told(struct engine *en, const struct network *n, struct err *e)
{
	_cleanup_(mem_free) char *name = str_dup(n->name);
	const char *driver = net_driver_name(n->driver);
	char id[NET_ID_LEN + 1];
	int code;

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	memcpy(id, n->id, sizeof(id));
	code = nets_remove(en->nets, n, e);
	if (code == 0)
		events_publish_network(en->events, "destroy", id, name, driver);
	return code;
}

void networks_remove(struct http_req *r)
{
	struct engine *en = engine_of(r);
	const struct network *n;
	struct err e = { 0 };
	int code = nets_find(en->nets, r->params[0], &n, &e);

	if (code == 0)
		code = remove_told(en, n, &e);
	api_verdict(r, code, &e);
}

static const char *label_of(const void *object, const char *label)
{
	return strv_env_get(((const struct network *)object)->labels, label);
}

void networks_prune(struct http_req *r)
{
	static const char *const allowed[] = { "label", "label!", "until", NULL };
	_cleanup_(filters_free) struct filters *f = NULL;
	_cleanup_(strv_free) char **deleted = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct engine *en = engine_of(r);
	struct json_writer w;
	struct err e = { 0 };
	int64_t until_ns;
	int code = filters_parse(http_query(r, "filters"), allowed, &f, &e);

	if (code == 0)
		code = api_until(f, &until_ns, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	for (size_t i = nets_count(en->nets); i-- > 0;) {
		const struct network *n = nets_at(en->nets, i);

		if (n->predefined || containers_in_network(en->containers, n->name) ||
		    (until_ns && n->created > until_ns) || !api_labels_pass(f, label_of, n) ||
		    strv_add(&deleted, n->name) < 0)
			continue;
		if (remove_told(en, n, &e) < 0) {
			log_warn("network prune: %s", err_text(&e));
			free(deleted[strv_len(deleted) - 1]);
			deleted[strv_len(deleted) - 1] = NULL;
		}
	}
	api_publish_prune(en, "network", 0);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "NetworksDeleted");
	json_strv(&w, deleted);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

/* ---- connect, disconnect ---- */

/* The container that the body names; NULL with e filled. */
static struct container *container_named(struct http_req *r, yyjson_val *body, struct err *e)
{
	const char *ref = "";

	if (json_get_text(body, "Container", &ref, e) < 0)
		return NULL;
	return containers_find(engine_of(r)->containers, ref, e);
}

void networks_connect(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *body = NULL, *config = NULL;
	struct container *c = NULL;
	struct err e = { 0 };
	int code = api_body(r, false, &doc, &body, &e);

	if (code == 0)
		code = json_get_object(body, "EndpointConfig", &config, &e);
	if (code == 0) {
		c = container_named(r, body, &e);
		code = c ? container_connect(c, r->params[0], config, &e)
			 : -(e.code ? e.code : ENOENT);
	}
	if (code < 0)
		api_fail(r, code, &e);
	else
		http_reply_status(r, 200);
}

void networks_disconnect(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *body = NULL;
	struct container *c = NULL;
	struct err e = { 0 };
	bool force = false;
	int code = api_body(r, false, &doc, &body, &e);

	if (code == 0)
		code = json_get_bool(body, "Force", &force, &e);
	if (code == 0) {
		c = container_named(r, body, &e);
		code = c ? container_disconnect(c, r->params[0], force, &e)
			 : -(e.code ? e.code : ENOENT);
	}
	if (code < 0)
		api_fail(r, code, &e);
	else
		http_reply_status(r, 200);
}
