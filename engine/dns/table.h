/*
 * What the resolver knows: the names of each network, and each container's networks and servers.
 *
 * Read whole from one JSON object that engine/net sends at each change:
 *
 *   {"networks": [{"id": ..., "name": ..., "endpoints": [{"names": [...], "addresses": [...]}]}],
 *    "spaces": [{"id": ..., "networks": [ids], "servers": [addresses], "forward": true}]}
 *
 * A space is a container's network namespace. Pure: no sockets, no clock. Caller: server.c.
 */
#ifndef SKERRY_DNS_TABLE_H
#define SKERRY_DNS_TABLE_H

#include <netinet/in.h>
#include <yyjson.h>

#include "engine/dns/message.h"
#include "init/base/err.h"
#include "init/base/util.h"

enum {
	DNS_SERVERS_MAX = 8, /* of a space */
	DNS_SPACE_NETS_MAX = 64,
};

struct dns_server {
	struct sockaddr_storage addr; /* with port 53 */
	socklen_t len;
};

struct dns_space {
	char *id;
	size_t nets[DNS_SPACE_NETS_MAX]; /* numbers of networks */
	size_t n_nets;
	struct dns_server servers[DNS_SERVERS_MAX];
	size_t n_servers;
	bool forward; /* false: nothing of it leaves the machine */
};

struct dns_table;

/* A new table, free with dns_table_free. -EINVAL, -ENOMEM. */
int dns_table_read(yyjson_val *root, struct dns_table **ret_table, struct err *e);
void dns_table_free(struct dns_table *t);
DEFINE_CLEANUP(struct dns_table *, dns_table_free)

/* NULL when it is not there. */
const struct dns_space *dns_table_space(const struct dns_table *t, const char *id);

struct dns_found {
	bool known; /* the name is one of ours, whatever it has of what was asked for */
	const struct dns_addr *addrs; /* all of the name's, both families */
	size_t n;
	size_t first; /* where to begin: another one each time */
	char name[DNS_TEXT_MAX]; /* for an address: whose it is */
};

/* What the space's networks say of the name ("web", "web.NETWORK"), or of an address. */
void dns_table_name(struct dns_table *t, const struct dns_space *s, const char *name,
		    struct dns_found *ret);
void dns_table_addr(const struct dns_table *t, const struct dns_space *s, const struct dns_addr *a,
		    struct dns_found *ret);

#endif
