/*
 * Published ports: the text forms people write, and taking and holding ports (see ports.h).
 *
 * Parsers are pure. ports_take binds one socket per port. Callers: the
 * parsers by container/, api/ and manifest/; the rest by attach.c and restore.c.
 */
#include "engine/net/ports.h"

#include <ctype.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "init/base/str.h"
#include "init/base/util.h"

enum { SPEC_MAX = 256, BACKLOG = 128, RETAKES = 20, RETAKE_MS = 10 };

static const struct {
	uint8_t proto;
	int type;
	const char *name;
} protos[] = {
	{ IPPROTO_TCP, SOCK_STREAM, "tcp" },
	{ IPPROTO_UDP, SOCK_DGRAM, "udp" },
	{ IPPROTO_SCTP, SOCK_STREAM, "sctp" },
};

const char *port_proto_name(uint8_t proto)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "unknown";
}

/* --- text ------------------------------------------------------------------------------------- */

static int proto_parse(const char *text, uint8_t *ret_proto, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		if (strcasecmp(protos[i].name, text) == 0) {
			*ret_proto = protos[i].proto;
			return 0;
		}
	}
	return err_set(e, EINVAL, "invalid protocol \"%.32s\": should be tcp, udp or sctp", text);
}

static int number_parse(const char *text, uint16_t *ret_port, struct err *e)
{
	uint64_t v;

	if (str_to_u64(text, &v) < 0 || v == 0 || v > UINT16_MAX)
		return err_set(e, EINVAL,
			       "invalid port \"%.32s\": should be a number from 1 to 65535", text);
	*ret_port = (uint16_t)v;
	return 0;
}

/* "80" or "80-90"; the text is cut up. */
static int range_parse(char *text, uint16_t *ret_first, uint16_t *ret_last, struct err *e)
{
	char *dash = strchr(text, '-');
	uint16_t first, last;
	int rc;

	if (dash)
		*dash++ = '\0';
	rc = number_parse(text, &first, e);
	if (rc == 0)
		rc = number_parse(dash ? dash : text, &last, e);
	if (rc < 0)
		return rc;
	if (last < first)
		return err_set(e, EINVAL, "invalid port range %u-%u: it ends before it starts",
			       first, last);
	*ret_first = first;
	*ret_last = last;
	return 0;
}

int port_parse(const char *text, uint16_t *ret_port, uint8_t *ret_proto, struct err *e)
{
	char copy[32];
	char *slash;
	uint8_t proto = IPPROTO_TCP;
	int rc;

	if (str_copy(copy, sizeof(copy), text) < 0)
		return err_set(e, EINVAL, "invalid port \"%.32s...\"", text);
	slash = strchr(copy, '/');
	if (slash) {
		*slash++ = '\0';
		rc = proto_parse(slash, &proto, e);
		if (rc < 0)
			return rc;
	}
	rc = number_parse(copy, ret_port, e);
	if (rc == 0)
		*ret_proto = proto;
	return rc;
}

int port_want_parse(const char *port, const char *host_ip, const char *host_port,
		    struct port_want *ret_want, struct err *e)
{
	struct port_want w = { 0 };
	char copy[32];
	int rc;

	rc = port_parse(port, &w.container_port, &w.proto, e);
	if (rc == 0 && !str_empty(host_ip))
		rc = ip_parse(host_ip, &w.host_ip, e);
	if (rc < 0)
		return rc;
	if (!str_empty(host_port) && !str_eq(host_port, "0")) {
		if (str_copy(copy, sizeof(copy), host_port) < 0)
			return err_set(e, EINVAL, "invalid port \"%.32s...\"", host_port);
		rc = range_parse(copy, &w.host_first, &w.host_last, e);
		if (rc < 0)
			return rc;
	}
	*ret_want = w;
	return 0;
}

/* The parts of "IP:HOST:CONTAINER/PROTO", cut in place; absent ones are "". */
struct spec {
	const char *ip;
	char *host, *container, *proto;
};

static int spec_split(char *text, const char *whole, struct spec *ret_spec, struct err *e)
{
	struct spec s = { "", text + strlen(text), text, text + strlen(text) };
	char *colon, *slash = strchr(text, '/');

	if (slash) {
		*slash++ = '\0';
		s.proto = slash;
	}
	colon = strrchr(text, ':');
	if (!colon || colon < strrchr(text, ']'))
		goto done;
	*colon = '\0';
	s.container = colon + 1;
	s.host = text;
	colon = strrchr(text, ':');
	if (!colon)
		goto done;
	if (colon < strrchr(text, ']')) /* "[::1]:80": one colon short */
		return err_set(e, EINVAL,
			       "invalid port \"%.64s\": an address needs a host port or "
			       "an empty one behind it, like [::1]:8080:80",
			       whole);
	*colon = '\0';
	s.host = colon + 1;
	s.ip = text;
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return err_set(e, EINVAL, "invalid port \"%.64s\": no ] behind [", whole);
		colon[-1] = '\0';
		s.ip = text + 1;
	}
	if (!*s.ip)
		return err_set(e, EINVAL, "invalid port \"%.64s\": empty address", whole);
done:
	*ret_spec = s;
	return 0;
}

/* The fields of a want and the number of container ports from `container_port` on. */
static int spec_fields(const struct spec *s, struct port_want *ret_want, size_t *ret_n,
		       struct err *e)
{
	struct port_want w = { .proto = IPPROTO_TCP };
	uint16_t last = 0;
	int rc = 0;

	if (*s->proto)
		rc = proto_parse(s->proto, &w.proto, e);
	if (rc == 0)
		rc = range_parse(s->container, &w.container_port, &last, e);
	if (rc == 0 && *s->ip)
		rc = ip_parse(s->ip, &w.host_ip, e);
	if (rc == 0 && *s->host && !str_eq(s->host, "0"))
		rc = range_parse(s->host, &w.host_first, &w.host_last, e);
	if (rc < 0)
		return rc;
	*ret_n = (size_t)(last - w.container_port) + 1;
	*ret_want = w;
	return 0;
}

int port_spec_parse(const char *spec, struct port_want **ret_wants, size_t *ret_n, struct err *e)
{
	char copy[SPEC_MAX];
	struct spec s = { 0 };
	struct port_want w = { 0 }, *wants;
	size_t n = 0;
	int rc;

	if (str_copy(copy, sizeof(copy), spec) < 0)
		return err_set(e, EINVAL, "invalid port \"%.64s...\": too long", spec);
	rc = spec_split(copy, spec, &s, e);
	if (rc == 0)
		rc = spec_fields(&s, &w, &n, e);
	if (rc < 0)
		return rc;
	if (w.host_first && n > 1 && (size_t)(w.host_last - w.host_first) + 1 != n)
		return err_set(e, EINVAL, "invalid port \"%.64s\": the two ranges differ in length",
			       spec);
	if (n > PORT_WANTS_MAX)
		return err_set(e, E2BIG, "port range \"%.64s\" has over %d ports", spec,
			       PORT_WANTS_MAX);
	wants = calloc(n, sizeof(*wants));
	if (!wants)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		wants[i] = w;
		wants[i].container_port = (uint16_t)(w.container_port + i);
		if (w.host_first && n > 1)
			wants[i].host_first = wants[i].host_last = (uint16_t)(w.host_first + i);
	}
	*ret_wants = wants;
	*ret_n = n;
	return 0;
}

/* --- taking and holding ----------------------------------------------------------------------- */

static int bind_to(int fd, const struct ip_addr *a, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int rc;

	if (a->family == AF_INET6) {
		memcpy(&v6.sin6_addr, a->b, 16);
		rc = bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	} else {
		memcpy(&v4.sin_addr, a->b, 4);
		rc = bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	}
	return rc < 0 ? -errno : 0;
}

/* -EPROTONOSUPPORT when the kernel has none of that kind. */
static int hold_socket(uint8_t proto, uint8_t family)
{
	int type = SOCK_STREAM, one = 1, fd;

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			type = protos[i].type;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);
	if (fd < 0)
		return -errno;
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) {
		int code = errno;

		close(fd);
		return -code;
	}
	return fd;
}

/* What a process may have to take (proxy.c) listens from the start; connections that it once had do
 * not keep the port from being had again. */
static int listen_to(const struct port_binding *b, uint16_t port)
{
	bool listens = b->proto == IPPROTO_TCP && b->host_ip.family == AF_INET6;
	int one = 1, rc;

	if (listens && setsockopt(b->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	rc = bind_to(b->fd, &b->host_ip, port);
	return rc == 0 && listens && listen(b->fd, BACKLOG) < 0 ? -errno : rc;
}

static bool unheld_clash(const struct port_space *s, const struct port_binding *b)
{
	for (size_t i = 0; i < s->n_unheld; i++) {
		const struct port_binding *o = &s->unheld[i];

		if (o->proto == b->proto && o->host_port == b->host_port &&
		    (ip_is_any(&o->host_ip) || ip_is_any(&b->host_ip) ||
		     ip_eq(&o->host_ip, &b->host_ip)))
			return true;
	}
	return false;
}

static int unheld_add(struct port_space *s, const struct port_binding *b)
{
	struct port_binding *grown = reallocarray(s->unheld, s->n_unheld + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->unheld = grown;
	grown[s->n_unheld++] = *b;
	return 0;
}

void port_space_free(struct port_space *s)
{
	free(s->unheld);
	*s = (struct port_space){ 0 };
}

/* Tries one port on the socket in b->fd (or, without one, in the books). */
static int try_port(struct port_space *s, struct port_binding *b, uint16_t port)
{
	b->host_port = port;
	if (b->fd >= 0)
		return listen_to(b, port);
	return unheld_clash(s, b) ? -EADDRINUSE : unheld_add(s, b);
}

static int take_failed(const struct port_binding *b, uint16_t first, uint16_t last, int rc,
		       struct err *e)
{
	char ip[IP_TEXT_MAX];
	const char *open = b->host_ip.family == AF_INET6 ? "[" : "";
	const char *close = b->host_ip.family == AF_INET6 ? "]" : "";

	ip_text(&b->host_ip, ip);
	if (rc != -EADDRINUSE)
		return err_errno(e, -rc, "cannot bind %s%s%s:%u/%s", open, ip, close, first,
				 port_proto_name(b->proto));
	if (first == last)
		return err_set(e, EADDRINUSE,
			       "Bind for %s%s%s:%u failed: port is already allocated", open, ip,
			       close, first);
	return err_set(e, EADDRINUSE, "Bind for %s%s%s:%u-%u failed: all ports are allocated", open,
		       ip, close, first, last);
}

/* The bindings of one wish at that port, all or none. */
static int take_at(struct port_space *s, struct port_binding *b, size_t n, uint16_t port)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		b[i].fd = hold_socket(b[i].proto, b[i].host_ip.family);
		rc = b[i].fd < 0 && b[i].fd != -EPROTONOSUPPORT ? b[i].fd : 0;
		b[i].fd = MAX(b[i].fd, -1);
		if (rc == 0)
			rc = try_port(s, &b[i], port);
		if (rc < 0) {
			fd_close(take_fd(b[i].fd));
			ports_release(s, b, i);
			return rc;
		}
	}
	return 0;
}

static size_t bindings_of(const struct port_want *w)
{
	return w->both ? 2 : 1;
}

static int take_one(struct port_space *s, const struct port_want *w, struct port_binding *b,
		    struct err *e)
{
	uint16_t first = w->host_first ? w->host_first : PORT_EPHEMERAL_FIRST;
	uint16_t last = w->host_first ? w->host_last : PORT_EPHEMERAL_LAST;
	unsigned int count = (unsigned int)(last - first) + 1, start = 0;
	int rc = -EADDRINUSE;

	for (size_t i = 0; i < bindings_of(w); i++)
		b[i] = (struct port_binding){ .proto = w->proto,
					      .container_port = w->container_port,
					      .host_ip = w->host_ip,
					      .fd = -1 };
	if (!ip_is_set(&b->host_ip))
		b->host_ip.family = AF_INET;
	if (w->both)
		b[1].host_ip.family = AF_INET6;
	if (!w->host_first && s->cursor >= first && s->cursor < last)
		start = (unsigned int)(s->cursor - first) + 1;
	for (unsigned int i = 0; i < count && rc == -EADDRINUSE; i++)
		rc = take_at(s, b, bindings_of(w), (uint16_t)(first + (start + i) % count));
	if (rc < 0)
		return take_failed(b, first, last, rc, e);
	if (!w->host_first)
		s->cursor = b->host_port;
	return 0;
}

int ports_take(struct port_space *s, const struct port_want *wants, size_t n,
	       struct port_binding *ret_bindings, struct err *e)
{
	size_t taken = 0;

	for (size_t i = 0; i < n; i++) {
		int rc = take_one(s, &wants[i], &ret_bindings[taken], e);

		if (rc < 0) {
			ports_release(s, ret_bindings, taken);
			return rc;
		}
		taken += bindings_of(&wants[i]);
	}
	return 0;
}

int port_retake(struct port_space *s, struct port_binding *b, struct err *e)
{
	struct port_want w = { .proto = b->proto,
			       .container_port = b->container_port,
			       .host_ip = b->host_ip,
			       .host_first = b->host_port,
			       .host_last = b->host_port };
	struct port_binding again;
	int rc = b->host_port == 0 ? 0 : take_one(s, &w, &again, e);

	/* the old engine's proxy may still be about to end */
	for (int i = 0; i < RETAKES && rc == -EADDRINUSE && w.host_ip.family == AF_INET6; i++) {
		(void)poll(NULL, 0, RETAKE_MS);
		rc = take_one(s, &w, &again, e);
	}

	if (rc == 0 && b->host_port)
		b->fd = again.fd;
	return rc;
}

void ports_release(struct port_space *s, struct port_binding *bindings, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct port_binding *b = &bindings[i];

		fd_close(take_fd(bindings[i].fd));
		for (size_t u = 0; u < s->n_unheld; u++) {
			if (s->unheld[u].proto == b->proto &&
			    s->unheld[u].host_port == b->host_port &&
			    ip_eq(&s->unheld[u].host_ip, &b->host_ip)) {
				s->unheld[u] = s->unheld[--s->n_unheld];
				break;
			}
		}
	}
}
