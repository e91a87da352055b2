/*
 * The embedded resolver as net/ sees it: its process (engine/dns), the sockets it answers on, and
 * what it is told.
 *
 * The sockets are made inside a container's namespace, on ports of the kernel's choice; a rule of
 * that namespace leads 127.0.0.11:53 there, so that the container may listen on port 53 itself. The
 * process is started when the first container needs it and ends with the engine. Whatever goes
 * wrong with it, it is started again and gets all sockets and names anew; so does the one of the
 * next engine. Callers: attach.c, connect.c, files.c, nets.c.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "engine/dns/dns.h"
#include "engine/net/hosts.h"
#include "engine/net/inside.h"
#include "engine/net/netns.h"
#include "engine/net/rules.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

enum {
	AGAIN_MS = 500,
	BACKLOG = 64,
	QUERIES_ROOM = 2 << 20,
	TABLE_MAX = JSON_SIZE_MAX,
	RESOLV_MAX = 64 << 10
};

/* --- what it is told -------------------------------------------------------------------------- */

static void write_names(struct json_writer *w, const struct sandbox *s, const struct endpoint *ep)
{
	_cleanup_(strv_free) char **own =
		strv_split(s->host_names ? s->host_names : "", " ", false);

	json_key(w, "names");
	json_begin_array(w);
	if (!str_empty(s->name))
		json_str(w, s->name);
	for (char **a = ep->aliases; a && *a; a++)
		json_str(w, *a);
	json_strf(w, "%.12s", s->id);
	for (char **o = own; o && *o; o++)
		json_str(w, *o);
	json_end_array(w);
}

static void write_endpoint(struct json_writer *w, const struct sandbox *s,
			   const struct endpoint *ep)
{
	const struct ip_addr *const addrs[] = { &ep->address.addr, &ep->address6.addr };
	char text[IP_TEXT_MAX];

	json_begin_object(w);
	write_names(w, s, ep);
	json_key(w, "addresses");
	json_begin_array(w);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		if (ip_is_set(addrs[i]))
			json_str(w, ip_text(addrs[i], text));
	json_end_array(w);
	json_end_object(w);
}

static void write_network(struct json_writer *w, const struct nets *n, const struct network *net)
{
	struct map_entry *m;

	json_begin_object(w);
	json_member_str(w, "id", net->id);
	json_member_str(w, "name", net->name);
	json_key(w, "endpoints");
	json_begin_array(w);
	for (size_t i = 0; (m = map_next(&n->sandboxes, &i));) {
		const struct sandbox *s = m->value;

		for (size_t k = 0; k < s->n_endpoints; k++)
			if (s->endpoints[k].network == net)
				write_endpoint(w, s, &s->endpoints[k]);
	}
	json_end_array(w);
	json_end_object(w);
}

/* Those that the process, in the machine's namespace, can ask: not a container's own loopback. */
static void write_servers(struct json_writer *w, char *const *servers, bool machine)
{
	json_key(w, "servers");
	json_begin_array(w);
	for (; servers && *servers; servers++) {
		struct ip_addr a;

		if (ip_parse(*servers, &a, NULL) == 0 && (machine || !ip_is_loopback(&a)) &&
		    !str_eq(*servers, DNS_ADDRESS))
			json_str(w, *servers);
	}
	json_end_array(w);
}

static bool has_resolver(const struct sandbox *s)
{
	return s->embedded_dns && s->mode == NET_MODE_OWN;
}

static void write_space(struct json_writer *w, const struct sandbox *s, char *const *machine)
{
	json_begin_object(w);
	json_member_str(w, "id", s->id);
	json_key(w, "networks");
	json_begin_array(w);
	for (size_t k = 0; k < s->n_endpoints; k++)
		if (!s->endpoints[k].network->predefined)
			json_str(w, s->endpoints[k].network->id);
	json_end_array(w);
	if (strv_len(s->dns) > 0)
		write_servers(w, s->dns, false);
	else
		write_servers(w, machine, true);
	json_member_bool(w, "forward", sandbox_way_out(s, AF_INET) || sandbox_way_out(s, AF_INET6));
	json_end_object(w);
}

static int table_text(const struct nets *n, struct buf *b, struct err *e)
{
	_cleanup_(mem_free) char *resolv = NULL;
	_cleanup_(strv_free) char **machine = NULL;
	struct json_writer w;
	struct map_entry *m;
	size_t len;

	if (file_read(AT_FDCWD, n->resolv_conf, RESOLV_MAX, &resolv, &len, NULL) == 0)
		machine = resolv_servers(resolv);
	json_writer_init(&w, b);
	json_begin_object(&w);
	json_key(&w, "networks");
	json_begin_array(&w);
	for (size_t i = 0; i < n->n_nets; i++)
		if (!n->nets[i]->pub.predefined)
			write_network(&w, n, &n->nets[i]->pub);
	json_end_array(&w);
	json_key(&w, "spaces");
	json_begin_array(&w);
	for (size_t i = 0; (m = map_next(&n->sandboxes, &i));)
		if (has_resolver(m->value))
			write_space(&w, m->value, machine);
	json_end_array(&w);
	json_end_object(&w);
	return buf_failed(b) ? err_errno(e, -buf_failed(b), "the resolver's table") : 0;
}

/* --- its process ------------------------------------------------------------------------------ */

/* Ends it; the timer starts another one. */
static void give_up(struct nets *n, const struct err *why)
{
	log_warn("network: the resolver is started again: %s", err_text(why));
	worker_cancel(&n->dns.worker);
	fd_close(take_fd(n->dns.channel));
	(void)timer_set(n->loop, &n->dns.again, AGAIN_MS);
}

static void ended(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct nets *n = container_of(w, struct nets, dns.worker);

	(void)code;
	(void)result;
	give_up(n, why);
}

static void on_again(struct timer_event *ev)
{
	resolver_start(container_of(ev, struct nets, dns.again));
}

static int worker_up(struct nets *n, struct err *e)
{
	struct fd_map fds[1] = { { .child = DNS_CHANNEL } };
	const struct worker_spec spec = { .name = DNS_WORKER, .fds = fds, .n_fds = 1 };
	int pair[2], rc;

	if (n->dns.channel >= 0)
		return 0;
	rc = msg_pair(pair, e);
	if (rc < 0)
		return rc;
	fds[0].ours = pair[1];
	n->dns.worker.on_done = ended;
	n->dns.again.fn = on_again;
	rc = worker_start(n->loop, &n->dns.worker, &spec, e);
	fd_close(pair[1]);
	if (rc < 0)
		fd_close(pair[0]);
	else
		n->dns.channel = pair[0];
	return rc;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int bound(int type, const struct ip_addr *address, uint16_t *ret_port, struct err *e)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = QUERIES_ROOM;

	memcpy(&sa.sin_addr, address->b, 4);
	if (type == SOCK_DGRAM) /* with the kernel's own bound it does as well, only less at once */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		int code = errno;

		fd_close(fd);
		return err_errno(e, code, "cannot make the resolver's socket");
	}
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

/* In the container's namespace. */
static int child_sockets(void *data, int ret_fds[2], struct err *e)
{
	_cleanup_(nft_free) struct nft nft = { 0 };
	uint16_t udp = 0, tcp = 0;
	struct ip_addr address;
	int fd, rc;

	(void)data;
	rc = ip_parse(DNS_ADDRESS, &address, e);
	if (rc == 0)
		rc = ret_fds[0] = bound(SOCK_DGRAM, &address, &udp, e);
	if (rc >= 0)
		rc = ret_fds[1] = bound(SOCK_STREAM, &address, &tcp, e);
	if (rc >= 0)
		rc = fd = nl_open(NETLINK_NETFILTER, e);
	if (rc < 0)
		return rc;
	rules_build_resolver(&nft, &address, udp, tcp);
	rc = nft_commit(&nft, fd, e);
	fd_close(fd);
	return rc;
}

static int sockets_make(const struct sandbox *s, int ret_fds[2], struct err *e)
{
	_cleanup_(fd_close) int ns = open(s->key, O_RDONLY | O_CLOEXEC);

	if (ns < 0)
		return err_errno(e, errno, "cannot open the network namespace %s", s->key);
	return netns_sockets(ns, child_sockets, NULL, ret_fds, e);
}

int resolver_serve(struct nets *n, const struct sandbox *s, struct err *e)
{
	int fds[2] = { -1, -1 }, rc;
	struct err why = { 0 };

	if (!n->dns.wanted || !has_resolver(s))
		return 0;
	rc = sockets_make(s, fds, e);
	if (rc < 0)
		return rc;
	if (!timer_armed(&n->dns.again)) { /* else it gets all of them when it is back */
		rc = worker_up(n, &why);
		if (rc == 0)
			rc = dns_send_space(n->dns.channel, s->id, fds[0], fds[1], &why);
		if (rc < 0)
			give_up(n, &why);
	}
	fd_close(fds[0]);
	fd_close(fds[1]);
	return 0;
}

void resolver_tell(struct nets *n)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(TABLE_MAX);
	struct err e = { 0 };
	int rc;

	if (n->dns.channel < 0)
		return;
	rc = table_text(n, &b, &e);
	if (rc == 0)
		rc = dns_send_table(n->dns.channel, b.data, b.len, &e);
	if (rc < 0)
		give_up(n, &e);
}

void resolver_start(struct nets *n)
{
	struct map_entry *m;

	if (!n->dns.wanted)
		return;
	for (size_t i = 0; (m = map_next(&n->sandboxes, &i));) {
		struct err e = { 0 };

		if (resolver_serve(n, m->value, &e) < 0)
			log_warn("container %.12s has no resolver: %s", m->key, err_text(&e));
	}
	resolver_tell(n);
}

void resolver_free(struct nets *n)
{
	timer_clear(&n->dns.again);
	worker_cancel(&n->dns.worker);
	fd_close(take_fd(n->dns.channel));
}
