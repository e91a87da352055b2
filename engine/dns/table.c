/*
 * The names that the resolver knows (see table.h).
 *
 * Two maps for all networks together: "NUMBER/name" to the addresses of that name, "NUMBER/hex" to
 * the first name of that address. Names are kept in lower case. Caller: server.c.
 */
#include "engine/dns/table.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "engine/data/json.h"
#include "init/base/map.h"
#include "init/base/str.h"

enum { KEY_MAX = 32 + DNS_TEXT_MAX, NETS_MAX = 4096, SPACES_MAX = 8192, DNS_PORT = 53 };

struct set {
	struct dns_addr *addrs;
	size_t n, turn;
};

struct dns_table {
	char **nets; /* names by number, lower case */
	struct map numbers; /* network id -> its number + 1 */
	struct map names; /* -> struct set */
	struct map addrs; /* -> char * */
	struct map spaces; /* id -> struct dns_space */
};

void dns_table_free(struct dns_table *t)
{
	struct map_entry *m;

	if (!t)
		return;
	for (size_t i = 0; (m = map_next(&t->names, &i));) {
		free(((struct set *)m->value)->addrs);
		free(m->value);
	}
	for (size_t i = 0; (m = map_next(&t->addrs, &i));)
		free(m->value);
	for (size_t i = 0; (m = map_next(&t->spaces, &i));) {
		free(((struct dns_space *)m->value)->id);
		free(m->value);
	}
	map_free(&t->names);
	map_free(&t->addrs);
	map_free(&t->spaces);
	map_free(&t->numbers);
	strv_free(t->nets);
	free(t);
}

/* --- keys ------------------------------------------------------------------------------------- */

/* false: too long to be a name that anybody can ask for */
static bool lower(char dst[DNS_TEXT_MAX], const char *text)
{
	if (str_copy(dst, DNS_TEXT_MAX, text) < 0)
		return false;
	for (char *p = dst; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return true;
}

static void name_key(char key[KEY_MAX], size_t net, const char *name)
{
	(void)str_format(key, KEY_MAX, "%zu/%s", net, name);
}

static void addr_key(char key[KEY_MAX], size_t net, const struct dns_addr *a)
{
	char hex[2 * sizeof(a->b) + 1];

	hex_encode(hex, a->b, a->len);
	(void)str_format(key, KEY_MAX, "%zu/%s", net, hex);
}

static int read_addr(const char *text, struct dns_addr *ret)
{
	struct dns_addr a = { .len = 4 };

	if (inet_pton(AF_INET, text, a.b) != 1) {
		a.len = 16;
		if (inet_pton(AF_INET6, text, a.b) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int add_name(struct dns_table *t, size_t net, const char *name, const struct dns_addr *a)
{
	char key[KEY_MAX];
	struct set *set;
	struct dns_addr *grown;

	name_key(key, net, name);
	set = map_get(&t->names, key);
	if (!set) {
		set = calloc(1, sizeof(*set));
		if (!set || map_put(&t->names, key, set, NULL) < 0) {
			free(set);
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < set->n; i++)
		if (set->addrs[i].len == a->len && memcmp(set->addrs[i].b, a->b, a->len) == 0)
			return 0;
	if (set->n == DNS_ADDRS_MAX)
		return 0;
	grown = reallocarray(set->addrs, set->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	set->addrs = grown;
	set->addrs[set->n++] = *a;
	return 0;
}

static int add_owner(struct dns_table *t, size_t net, const char *name, const struct dns_addr *a)
{
	_cleanup_(mem_free) char *full = str_printf("%s.%s", name, t->nets[net]);
	char key[KEY_MAX];
	int rc;

	addr_key(key, net, a);
	if (map_has(&t->addrs, key))
		return 0;
	rc = full ? map_put(&t->addrs, key, full, NULL) : -ENOMEM;
	if (rc == 0)
		(void)take_ptr(full);
	return rc;
}

static int read_endpoint(struct dns_table *t, size_t net, yyjson_val *v, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL, **addrs = NULL;
	struct dns_addr a;
	char name[DNS_TEXT_MAX];
	int rc = json_get_strv(v, "names", &names, e);

	rc = rc < 0 ? rc : json_get_strv(v, "addresses", &addrs, e);
	for (char **x = addrs; rc == 0 && x && *x; x++) {
		rc = read_addr(*x, &a);
		if (rc < 0)
			return err_set(e, EINVAL, "\"%.60s\" is no address", *x);
		for (char **n = names; rc == 0 && n && *n; n++) {
			if (!lower(name, *n))
				continue;
			rc = add_name(t, net, name, &a);
			if (rc == 0)
				rc = add_owner(t, net, name, &a);
		}
	}
	return rc == -ENOMEM ? err_set(e, ENOMEM, "out of memory") : rc;
}

static int read_network(struct dns_table *t, yyjson_val *v, struct err *e)
{
	const char *id = "", *name = "";
	size_t number = strv_len(t->nets), i, max;
	yyjson_val *list = NULL, *x;
	char text[DNS_TEXT_MAX];
	int rc = json_need_text(v, "id", &id, e);

	rc = rc < 0 ? rc : json_need_text(v, "name", &name, e);
	rc = rc < 0 ? rc : json_get_array(v, "endpoints", &list, e);
	if (rc < 0)
		return rc;
	if (!lower(text, name))
		text[0] = '\0'; /* nobody can ask for it */
	if (strv_add(&t->nets, text) < 0 ||
	    map_put(&t->numbers, id, (void *)(number + 1), NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(list, i, max, x)
	{
		rc = read_endpoint(t, number, x, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_server(struct dns_space *s, const char *text, struct err *e)
{
	struct dns_server *to = &s->servers[s->n_servers];
	struct sockaddr_in *v4 = (struct sockaddr_in *)&to->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to->addr;
	struct dns_addr a;

	if (s->n_servers == DNS_SERVERS_MAX)
		return 0; /* more than anybody waits for */
	if (read_addr(text, &a) < 0)
		return err_set(e, EINVAL, "\"%.60s\" is no address", text);
	if (a.len == 4) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(DNS_PORT) };
		memcpy(&v4->sin_addr, a.b, 4);
		to->len = sizeof(*v4);
	} else {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					     .sin6_port = htons(DNS_PORT) };
		memcpy(&v6->sin6_addr, a.b, 16);
		to->len = sizeof(*v6);
	}
	s->n_servers++;
	return 0;
}

static int fill_space(struct dns_table *t, struct dns_space *s, yyjson_val *v, struct err *e)
{
	_cleanup_(strv_free) char **nets = NULL, **servers = NULL;
	int rc = json_get_copy(v, "id", &s->id, e);

	rc = rc < 0 ? rc : json_get_strv(v, "networks", &nets, e);
	rc = rc < 0 ? rc : json_get_strv(v, "servers", &servers, e);
	rc = rc < 0 ? rc : json_get_bool(v, "forward", &s->forward, e);
	for (char **n = nets; rc == 0 && n && *n; n++) {
		size_t number = (size_t)map_get(&t->numbers, *n);

		if (number && s->n_nets < DNS_SPACE_NETS_MAX)
			s->nets[s->n_nets++] = number - 1;
	}
	for (char **x = servers; rc == 0 && x && *x; x++)
		rc = read_server(s, *x, e);
	return rc == 0 && str_empty(s->id) ? err_set(e, EINVAL, "id: missing") : rc;
}

static int read_space(struct dns_table *t, yyjson_val *v, struct err *e)
{
	struct dns_space *s = calloc(1, sizeof(*s)), *old = NULL;
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	rc = fill_space(t, s, v, e);
	if (rc == 0 && map_put(&t->spaces, s->id, s, (void **)&old) < 0)
		rc = err_set(e, ENOMEM, "out of memory");
	if (rc < 0)
		old = s;
	if (old)
		free(old->id);
	free(old);
	return rc;
}

int dns_table_read(yyjson_val *root, struct dns_table **ret_table, struct err *e)
{
	_cleanup_(dns_table_free) struct dns_table *t = calloc(1, sizeof(*t));
	yyjson_val *nets = NULL, *spaces = NULL, *v;
	size_t i, max;
	int rc;

	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	rc = json_get_array(root, "networks", &nets, e);
	rc = rc < 0 ? rc : json_get_array(root, "spaces", &spaces, e);
	if (rc < 0)
		return rc;
	if (yyjson_arr_size(nets) > NETS_MAX || yyjson_arr_size(spaces) > SPACES_MAX)
		return err_set(e, EINVAL, "too many networks or spaces");
	yyjson_arr_foreach(nets, i, max, v)
	{
		rc = read_network(t, v, e);
		if (rc < 0)
			return rc;
	}
	yyjson_arr_foreach(spaces, i, max, v)
	{
		rc = read_space(t, v, e);
		if (rc < 0)
			return rc;
	}
	*ret_table = take_ptr(t);
	return 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

const struct dns_space *dns_table_space(const struct dns_table *t, const char *id)
{
	return t ? map_get(&t->spaces, id) : NULL;
}

/* "web" of "web.shop" when the network is called shop; else NULL. */
static const char *without_network(const char *name, const char *net, char buf[DNS_TEXT_MAX])
{
	size_t len = strlen(name), n = strlen(net);

	if (n == 0 || len <= n + 1 || name[len - n - 1] != '.' || !str_eq(name + len - n, net))
		return NULL;
	(void)str_format(buf, DNS_TEXT_MAX, "%.*s", (int)(len - n - 1), name);
	return buf;
}

void dns_table_name(struct dns_table *t, const struct dns_space *s, const char *name,
		    struct dns_found *ret)
{
	char key[KEY_MAX], buf[DNS_TEXT_MAX];

	*ret = (struct dns_found){ 0 };
	for (size_t i = 0; i < s->n_nets; i++) {
		const char *part = without_network(name, t->nets[s->nets[i]], buf);
		struct set *set;

		name_key(key, s->nets[i], name);
		set = map_get(&t->names, key);
		if (!set && part) {
			name_key(key, s->nets[i], part);
			set = map_get(&t->names, key);
		}
		if (!set)
			continue;
		ret->known = true;
		ret->addrs = set->addrs;
		ret->n = set->n;
		ret->first = set->turn++ % set->n;
		return;
	}
}

void dns_table_addr(const struct dns_table *t, const struct dns_space *s, const struct dns_addr *a,
		    struct dns_found *ret)
{
	char key[KEY_MAX];

	*ret = (struct dns_found){ 0 };
	for (size_t i = 0; i < s->n_nets && !ret->known; i++) {
		const char *name;

		addr_key(key, s->nets[i], a);
		name = map_get(&t->addrs, key);
		if (name)
			ret->known = str_copy(ret->name, sizeof(ret->name), name) == 0;
	}
}
