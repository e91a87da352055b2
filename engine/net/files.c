/*
 * The files hosts, hostname and resolv.conf of a container, and following the machine's resolvers.
 *
 * They are bind-mounted into the container, so they are changed in place, never replaced: a rename
 * would leave the container with the old one. The machine's resolv.conf comes and goes with DHCP
 * leases; when it changes, every container gets the new resolvers unless somebody wrote into its
 * file (its checksum is not the one that we noted). Callers: attach.c, nets.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/net/hosts.h"
#include "engine/net/inside.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { FILE_MAX = 64 << 10 };

/* FNV-1a, 64 bits: only tells "still what we wrote" from "changed". */
static uint64_t checksum(const char *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)data[i]) * 0x100000001b3ULL;
	return h;
}

/* Makes or overwrites the file without changing which file it is. */
static int write_in_place(const char *path, const char *data, size_t len, struct err *e)
{
	_cleanup_(fd_close) int fd =
		open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	rc = file_write_all(fd, data, len, e);
	if (rc == 0 && ftruncate(fd, (off_t)len) < 0)
		rc = err_errno(e, errno, "cannot cut");
	if (rc < 0)
		(void)err_wrap(e, "%s", path);
	return rc;
}

/* The machine's file, "" when there is none. */
static char *read_or_empty(const char *path)
{
	char *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0)
		text = str_dup("");
	return text;
}

const char *request_hostname(const struct net_request *r, char buf[65])
{
	if (!str_empty(r->hostname))
		return r->hostname;
	(void)str_format(buf, 65, "%.12s", r->id);
	return buf;
}

/* --- hosts ------------------------------------------------------------------------------------ */

/* The gateway that "host-gateway" means: the container's own network's, else the default
 * bridge's. */
static struct ip_addr host_gateway(const struct nets *n, const struct sandbox *s)
{
	struct ip_addr none = { 0 };

	for (size_t i = 0; i < s->n_endpoints; i++)
		if (s->endpoints[i].network->driver == NET_BRIDGE &&
		    ip_is_set(&s->endpoints[i].gateway))
			return s->endpoints[i].gateway;
	return n->n_nets > 0 ? n->nets[0]->pub.gateway : none;
}

/* The container's own names, as its lines of the hosts file have them. */
static int settle_names(struct sandbox *s, const struct net_request *r, struct err *e)
{
	char buf[65];
	const char *host = request_hostname(r, buf);

	free(s->host_names);
	s->host_names = str_empty(r->domainname)
				? str_dup(host)
				: str_printf("%s.%s %s", host, r->domainname, host);
	return s->host_names ? 0 : err_set(e, ENOMEM, "out of memory");
}

static size_t hosts_of(const struct sandbox *s, const struct endpoint *ep,
		       struct hosts_entry entries[2])
{
	const struct ip_addr *const addrs[] = { &ep->address.addr, &ep->address6.addr };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		if (ip_is_set(addrs[i]))
			entries[n++] = (struct hosts_entry){ *addrs[i], s->host_names };
	return n;
}

static int hosts_own(struct buf *b, struct sandbox *s, const struct net_request *r, struct err *e)
{
	struct hosts_entry entries[2 * NET_ENDPOINTS_MAX];
	size_t n = 0;
	int rc = settle_names(s, r, e);

	for (size_t i = 0; i < s->n_endpoints && rc == 0; i++)
		n += hosts_of(s, &s->endpoints[i], &entries[n]);
	return rc < 0 ? rc : hosts_text(b, entries, n, e);
}

/* One line of the hosts file for each address of the endpoint, at its end. */
int files_host_add(const struct sandbox *s, const struct endpoint *ep, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *old = read_or_empty(s->hosts_path);
	struct hosts_entry entries[2];
	char text[IP_TEXT_MAX];
	size_t n = s->host_names ? hosts_of(s, ep, entries) : 0;

	if (!old)
		return err_set(e, ENOMEM, "out of memory");
	buf_add_text(&b, old);
	if (b.len && b.data[b.len - 1] != '\n')
		buf_add_char(&b, '\n');
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s\t%s\n", ip_text(&entries[i].addr, text), entries[i].names);
	if (buf_failed(&b))
		return err_errno(e, -buf_failed(&b), "cannot build the hosts file");
	return n == 0 ? 0 : write_in_place(s->hosts_path, b.data, b.len, e);
}

int files_host_remove(const struct sandbox *s, const struct endpoint *ep, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *old = read_or_empty(s->hosts_path);
	struct hosts_entry entries[2];
	size_t n = s->host_names ? hosts_of(s, ep, entries) : 0;
	char line[2][IP_TEXT_MAX + 1];

	for (size_t i = 0; i < n; i++) {
		(void)ip_text(&entries[i].addr, line[i]);
		memcpy(line[i] + strlen(line[i]), "\t", 2);
	}
	for (const char *p = old; p && *p;) {
		size_t len = strcspn(p, "\n");
		bool ours = false;

		for (size_t i = 0; i < n; i++)
			ours = ours || (str_starts(p, line[i]) &&
					len == strlen(line[i]) + strlen(s->host_names) &&
					strncmp(p + strlen(line[i]), s->host_names,
						strlen(s->host_names)) == 0);
		len += p[len] == '\n';
		if (!ours)
			buf_add(&b, p, len);
		p += len;
	}
	if (!old || buf_failed(&b))
		return err_set(e, ENOMEM, "out of memory");
	return n == 0 ? 0 : write_in_place(s->hosts_path, b.data ? b.data : "", b.len, e);
}

static int write_hosts(const struct nets *n, struct sandbox *s, const struct net_request *r,
		       struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	struct ip_addr gateway = host_gateway(n, s);
	int rc;

	if (s->mode == NET_MODE_HOST) {
		_cleanup_(mem_free) char *machine = read_or_empty(n->hosts);

		buf_add_text(&b, machine ? machine : "");
		if (b.len && b.data[b.len - 1] != '\n')
			buf_add_char(&b, '\n');
		rc = b.len ? 0 : hosts_text(&b, NULL, 0, e);
	} else {
		rc = hosts_own(&b, s, r, e);
	}
	if (rc == 0)
		rc = hosts_extra(&b, r->extra_hosts, &gateway, e);
	return rc < 0 ? rc : write_in_place(s->hosts_path, b.data, b.len, e);
}

static int write_hostname(const struct sandbox *s, const struct net_request *r, struct err *e)
{
	char buf[65], host[65], line[128];
	const char *name = request_hostname(r, buf);

	if (s->mode == NET_MODE_HOST && str_empty(r->hostname) &&
	    gethostname(host, sizeof(host)) == 0) {
		host[sizeof(host) - 1] = '\0';
		name = host;
	}
	if (str_format(line, sizeof(line), "%s\n", name) < 0)
		return err_set(e, EINVAL, "hostname is too long");
	return write_in_place(s->hostname_path, line, strlen(line), e);
}

/* --- resolv.conf ------------------------------------------------------------------------------ */

static int resolv_of(const struct nets *n, const struct sandbox *s, struct buf *b, struct err *e)
{
	_cleanup_(mem_free) char *machine = read_or_empty(n->resolv_conf);
	struct resolv_want w = {
		.dns = s->dns,
		.search = s->dns_search,
		.options = s->dns_options,
		.embedded = s->embedded_dns,
		.own_stack = s->mode != NET_MODE_HOST,
		.ipv6 = s->mode == NET_MODE_HOST,
	};

	if (!machine)
		return err_set(e, ENOMEM, "out of memory");
	return resolv_text(b, machine, &w, e);
}

static int write_resolv(const struct nets *n, struct sandbox *s, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	int rc = resolv_of(n, s, &b, e);

	if (rc == 0)
		rc = write_in_place(s->resolv_path, b.data, b.len, e);
	if (rc == 0)
		s->resolv_mark = checksum(b.data, b.len);
	return rc;
}

int files_write(struct nets *n, struct sandbox *s, const struct net_request *r, struct err *e)
{
	int rc = write_hosts(n, s, r, e);

	if (rc == 0)
		rc = write_hostname(s, r, e);
	return rc < 0 ? rc : write_resolv(n, s, e);
}

static void follow_one(struct nets *n, struct sandbox *s)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *old = NULL;
	struct err e = { 0 };
	size_t len;

	if (s->mode == NET_MODE_SHARED || resolv_of(n, s, &b, &e) < 0 ||
	    checksum(b.data, b.len) == s->resolv_mark)
		return;
	if (file_read(AT_FDCWD, s->resolv_path, FILE_MAX, &old, &len, NULL) < 0 ||
	    checksum(old, len) != s->resolv_mark)
		return; /* somebody else's content now */
	if (write_resolv(n, s, &e) < 0 || sandbox_save(n, s, &e) < 0)
		log_warn("resolv.conf of container %.12s: %s", s->id, err_text(&e));
}

void files_resolv_again(struct nets *n, struct sandbox *s)
{
	follow_one(n, s);
}

void files_follow(struct nets *n)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&n->sandboxes, &i)))
		follow_one(n, m->value);
	resolver_tell(n);
}

/* --- the watch -------------------------------------------------------------------------------- */

static void watch_event(struct io_event *ev, uint32_t events)
{
	struct nets *n = container_of(ev, struct nets, watch);
	const char *slash = strrchr(n->resolv_conf, '/');
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t len;

	(void)events;
	while ((len = read(n->watch_fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + len;) {
			const struct inotify_event *x = (const struct inotify_event *)p;

			ours = ours || (x->mask & IN_Q_OVERFLOW) ||
			       (x->len && str_eq(x->name, slash + 1));
			p += sizeof(*x) + x->len;
		}
	}
	if (ours)
		files_follow(n);
}

void files_watch(struct nets *n)
{
	const char *slash = strrchr(n->resolv_conf, '/');
	_cleanup_(mem_free) char *dir = NULL;
	_cleanup_(fd_close) int fd = -1;

	if (n->watch_fd >= 0 || !slash)
		return;
	dir = slash == n->resolv_conf
		      ? str_dup("/")
		      : str_printf("%.*s", (int)(slash - n->resolv_conf), n->resolv_conf);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	n->watch.fn = watch_event;
	if (!dir || fd < 0 ||
	    inotify_add_watch(fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR) < 0 ||
	    io_add(n->loop, &n->watch, fd, EPOLLIN) < 0) {
		log_warn("containers do not follow changes of %s: %s", n->resolv_conf,
			 strerror(errno));
		return;
	}
	n->watch_fd = take_fd(fd);
}

void files_unwatch(struct nets *n)
{
	if (n->watch_fd < 0)
		return;
	io_remove(&n->watch);
	fd_close(take_fd(n->watch_fd));
}
