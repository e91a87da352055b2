/*
 * What udhcpc tells: one event as text lines, parsed into checked addresses.
 *
 * The text is "net-event EVENT\nname=value\n..." with the names that udhcpc gives its script
 * (interface, ip, mask, router, dns, ...). Every value comes from whoever answers DHCP on the wire,
 * so each is parsed strictly, bounded and dropped when it is not what it should be.
 */
#ifndef SKERRY_NET_DHCP_H
#define SKERRY_NET_DHCP_H

#include <net/if.h>
#include <stdint.h>

#include "init/base/err.h"
#include "init/net/link.h"

enum {
	DHCP_SERVERS_MAX = 3,
	DHCP_ROUTES_MAX = 16,
	DHCP_NAME_MAX = 255,
	DHCP_LEASE_MIN = 60, /* shorter leases are taken as this, seconds */
};

enum dhcp_kind {
	DHCP_DECONFIG, /* the client starts, or has lost its lease */
	DHCP_BOUND, /* a new lease, or a renewed one */
	DHCP_FAILED, /* nobody answered */
};

struct dhcp_route {
	struct ip to;
	struct ip gateway; /* family 0: on the link */
};

struct dhcp_event {
	enum dhcp_kind kind;
	char interface[IFNAMSIZ];
	struct ip address; /* with its prefix; family 0 unless BOUND */
	struct dhcp_route routes[DHCP_ROUTES_MAX];
	size_t n_routes; /* the default route is among them, as a prefix of 0 bits */
	struct ip dns[DHCP_SERVERS_MAX];
	size_t n_dns;
	struct ip ntp[DHCP_SERVERS_MAX];
	size_t n_ntp;
	char domain[DHCP_NAME_MAX + 1]; /* "" when none or not a domain name */
	uint32_t lease; /* seconds, LINK_FOREVER */
};

/* -EINVAL with the reason: no interface, no address in a lease, an unknown event. */
int dhcp_parse(const char *text, struct dhcp_event *ret, struct err *e);
/* Letters, digits, hyphens, dots: what may go into resolv.conf. */
bool dhcp_domain_valid(const char *name);

#endif
