/*
 * The list of containers with its filters: GET /containers/json.
 *
 * A filter's values are checked before anything is listed: a wrong one is a 400 with Docker's
 * words, not an empty list. Values of one filter are alternatives, filters have to hold all.
 */
#include "engine/api/inside.h"

#include <netinet/in.h>
#include <string.h>

#include "engine/api/filters.h"
#include "init/base/str.h"

/* "80", "80/udp", "8000-8010/tcp" */
struct port_range {
	uint8_t proto;
	uint16_t first, last;
};

enum { PORT_FILTERS_MAX = 256 };

struct port_filter {
	struct port_range ranges[PORT_FILTERS_MAX];
	size_t n;
};

/* What a list request asks for, resolved once. */
struct list_query {
	struct engine *en;
	struct filters *filters;
	bool all, size;
	int64_t limit;
	struct container *before, *since;
	char **ancestors; /* image ids */
	struct port_filter publish, expose;
	bool no_tasks; /* is-task=true: there are none */
};

static void list_query_free(struct list_query *q)
{
	filters_free(q->filters);
	strv_free(q->ancestors);
}
DEFINE_CLEANUP_VALUE(struct list_query, list_query_free)

/* ---- reading the request ---- */

static int wrong_value(const char *key, const char *value, struct err *e)
{
	return err_set(e, EINVAL, "invalid filter '%s=%.60s'", key, value);
}

/* Every value of the filter is one of those words. */
static int check_words(const struct filters *f, const char *key, const char *const *words,
		       struct err *e)
{
	const char *value;

	for (size_t i = 0; (value = filters_value(f, key, i)); i++)
		if (!strv_has((char *const *)words, value))
			return wrong_value(key, value, e);
	return 0;
}

static int check_values(const struct filters *f, struct err *e)
{
	static const char *const states[] = { "created", "restarting", "running", "removing",
					      "paused",	 "exited",     "dead",	  NULL };
	static const char *const healths[] = { "none", "starting", "healthy", "unhealthy", NULL };
	const char *value;
	int64_t code;
	int r = check_words(f, "status", states, e);

	for (size_t i = 0; r == 0 && (value = filters_value(f, "health", i)); i++)
		if (!strv_has((char *const *)healths, value))
			r = err_set(e, EINVAL, "unrecognised filter value for health: %.60s",
				    value);
	for (size_t i = 0; r == 0 && (value = filters_value(f, "exited", i)); i++)
		if (str_to_i64(value, &code) < 0)
			r = wrong_value("exited", value, e);
	return r;
}

static int read_range(const char *key, const char *text, struct port_range *ret, struct err *e)
{
	_cleanup_(strv_free) char **parts = strv_split(text, "/", true);
	_cleanup_(strv_free) char **ends =
		parts && parts[0] ? strv_split(parts[0], "-", true) : NULL;
	const char *proto = strv_len(parts) > 1 ? parts[1] : "tcp";
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	uint64_t first, last;

	if (strv_len(parts) > 2 || strv_len(ends) < 1 || strv_len(ends) > 2 ||
	    str_to_u64(ends[0], &first) < 0 || str_to_u64(ends[1] ? ends[1] : ends[0], &last) < 0 ||
	    first > last || last > UINT16_MAX)
		return wrong_value(key, text, e);
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		if (!str_eq(port_proto_name(protos[i]), proto))
			continue;
		*ret = (struct port_range){ protos[i], (uint16_t)first, (uint16_t)last };
		return 0;
	}
	return wrong_value(key, text, e);
}

static int read_ports(const struct filters *f, const char *key, struct port_filter *ret,
		      struct err *e)
{
	const char *value;
	int r = 0;

	if (filters_count(f, key) > PORT_FILTERS_MAX)
		return err_set(e, EINVAL, "invalid filter '%s': more than %d values", key,
			       PORT_FILTERS_MAX);
	for (size_t i = 0; r == 0 && (value = filters_value(f, key, i)); i++)
		r = read_range(key, value, &ret->ranges[ret->n++], e);
	return r;
}

/* By a filter, or as older clients (docker-py) ask, by a key of the query. */
static int find_reference(const struct http_req *r, struct list_query *q, const char *key,
			  struct container **ret, struct err *e)
{
	const char *value = filters_value(q->filters, key, 0);

	if (!value)
		value = http_query(r, key);
	if (str_empty(value))
		return 0;
	*ret = containers_find(q->en->containers, value, e);
	return *ret ? 0 : -(e->code ? e->code : ENOENT);
}

/* Images that are not there match nothing, as with Docker. */
static int find_ancestors(struct list_query *q, struct err *e)
{
	const char *value;

	for (size_t i = 0; (value = filters_value(q->filters, "ancestor", i)); i++) {
		const struct image *img = images_find(q->en->images, value, NULL);

		if (img && strv_add(&q->ancestors, img->id) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int read_list_query(struct http_req *r, struct list_query *q, struct err *e)
{
	/* isolation is a matter of Windows: on Linux every value matches, as with Docker */
	static const char *const allowed[] = { "ancestor", "before", "exited",	"expose",
					       "health",   "id",     "is-task", "isolation",
					       "label",	   "name",   "network", "publish",
					       "since",	   "status", "volume",	NULL };
	int code;

	q->en = engine_of(r);
	q->all = http_query_bool(r, "all", false);
	q->size = http_query_bool(r, "size", false);
	code = http_query_i64(r, "limit", &q->limit, e);
	if (code == 0)
		code = filters_parse(http_query(r, "filters"), allowed, &q->filters, e);
	if (code == 0)
		code = check_values(q->filters, e);
	if (code == 0)
		code = filters_bool(q->filters, "is-task", &q->no_tasks, e);
	if (code == 0)
		code = read_ports(q->filters, "publish", &q->publish, e);
	if (code == 0)
		code = read_ports(q->filters, "expose", &q->expose, e);
	if (code == 0)
		code = find_reference(r, q, "before", &q->before, e);
	if (code == 0)
		code = find_reference(r, q, "since", &q->since, e);
	if (code == 0)
		code = find_ancestors(q, e);
	if (code == 0)
		q->all |= q->limit > 0 || filters_has(q->filters, "status");
	return code;
}

/* ---- one container ---- */

static const char *label_of(const void *object, const char *label)
{
	return container_label(object, label);
}

static bool is_up(const struct container *c)
{
	static const char *const up[] = { "running", "paused", "restarting", NULL };

	return strv_has((char *const *)up, container_state_name(c));
}

/* Of what ran and ended: one that never started has no exit code. */
static bool exit_code_matches(const struct list_query *q, const struct container *c)
{
	char text[16];

	if (!filters_has(q->filters, "exited"))
		return true;
	snprintf(text, sizeof(text), "%d", container_exit_code(c));
	return (container_state(c) == CONTAINER_EXITED || container_state(c) == CONTAINER_DEAD) &&
	       filters_exact(q->filters, "exited", text);
}

static bool has_port(const struct port_filter *f, const struct container *c, bool published)
{
	for (size_t i = 0; i < f->n; i++)
		if (container_has_port(c, f->ranges[i].proto, f->ranges[i].first, f->ranges[i].last,
				       published))
			return true;
	return false;
}

/* Docker takes a port that is either published or exposed as asked when both filters are given. */
static bool ports_match(const struct list_query *q, const struct container *c)
{
	if (q->publish.n == 0 && q->expose.n == 0)
		return true;
	return has_port(&q->publish, c, true) || has_port(&q->expose, c, false);
}

/* One value of the filter is what `has` finds. */
static bool any_of(const struct list_query *q, const char *key, const struct container *c,
		   bool (*has)(const struct container *c, const char *value))
{
	const char *value;

	for (size_t i = 0; (value = filters_value(q->filters, key, i)); i++)
		if (has(c, value))
			return true;
	return !filters_has(q->filters, key);
}

static bool age_matches(const struct list_query *q, const struct container *c)
{
	return (!q->before || container_created_ns(c) < container_created_ns(q->before)) &&
	       (!q->since || container_created_ns(c) > container_created_ns(q->since));
}

static bool listed(const struct list_query *q, const struct container *c)
{
	const struct filters *f = q->filters;
	char slashed[300];

	if ((!q->all && !is_up(c)) || q->no_tasks || !age_matches(q, c))
		return false;
	if (filters_has(f, "ancestor") && !strv_has(q->ancestors, container_image_id(c)))
		return false;
	snprintf(slashed, sizeof(slashed), "/%s", container_name(c));
	return (filters_regex(f, "name", container_name(c)) || filters_regex(f, "name", slashed)) &&
	       filters_regex(f, "id", container_id(c)) &&
	       filters_exact(f, "status", container_state_name(c)) &&
	       filters_exact(f, "health", container_health(c)) && exit_code_matches(q, c) &&
	       any_of(q, "network", c, container_has_network) &&
	       any_of(q, "volume", c, container_has_mount) && ports_match(q, c) &&
	       filters_labels(f, "label", label_of, c);
}

static void answer_list(struct http_req *r, const struct usage_op *sizes)
{
	_cleanup_(list_query_free) struct list_query q = { 0 };
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;
	struct container *c;
	struct err e = { 0 };
	size_t pos = 0;
	int64_t n = 0;
	int code = read_list_query(r, &q, &e);

	(void)sizes;
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	json_writer_init(&w, &b);
	json_begin_array(&w);
	while ((c = containers_next(q.en->containers, &pos))) {
		if (!listed(&q, c))
			continue;
		if (q.limit > 0 && n++ == q.limit)
			break;
		container_summary(c, q.size, &w);
	}
	json_end_array(&w);
	api_reply(r, 200, &b);
}

static bool is_listed(const void *data, const struct container *c)
{
	return listed(data, c);
}

/* With sizes: those are counted first, then the list is made anew. */
void containers_list(struct http_req *r)
{
	_cleanup_(list_query_free) struct list_query q = { 0 };
	struct err e = { 0 };

	if (http_query_bool(r, "size", false) && read_list_query(r, &q, &e) == 0)
		api_count(r, is_listed, &q, answer_list);
	else
		answer_list(r, NULL);
}
