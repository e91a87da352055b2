/*
 * Merging and writing of resolv.conf.
 */
#include "init/net/resolv.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "init/base/str.h"

enum { RESOLV_MAX = 4096 };

void resolv_add_server(struct resolv *r, const struct ip *server)
{
	for (size_t i = 0; i < r->n_servers; i++) {
		if (ip_equal(&r->servers[i], server))
			return;
	}
	if (r->n_servers < RESOLV_SERVERS_MAX && server->family)
		r->servers[r->n_servers++] = *server;
}

void resolv_add_search(struct resolv *r, const char *domain)
{
	for (size_t i = 0; i < r->n_search; i++) {
		if (str_eq(r->search[i], domain))
			return;
	}
	if (r->n_search < RESOLV_SEARCH_MAX && !str_empty(domain))
		r->search[r->n_search++] = domain;
}

int resolv_text(const struct resolv *r, struct buf *out)
{
	char text[IP_TEXT_MAX];

	buf_add_text(out, "# written by PID 1 from system.yaml, DHCP and router adverts\n");
	for (size_t i = 0; i < r->n_search; i++)
		buf_printf(out, "%s%s%s", i ? " " : "search ", r->search[i],
			   i + 1 == r->n_search ? "\n" : "");
	for (size_t i = 0; i < r->n_servers; i++)
		buf_printf(out, "nameserver %s\n", ip_text(&r->servers[i], text));
	return buf_failed(out);
}

int resolv_write(const struct resolv *r, const char *path, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(RESOLV_MAX);
	_cleanup_(mem_free) char *old = NULL;

	if (resolv_text(r, &text) < 0)
		return err_set(e, EMSGSIZE, "resolv.conf is too long");
	if (file_read(AT_FDCWD, path, RESOLV_MAX, &old, NULL, NULL) == 0 && str_eq(old, text.data))
		return 0;
	if (file_replace(AT_FDCWD, path, text.data, text.len, 0644, false, e) < 0)
		return -e->code;
	return 1;
}
