/*
 * advertise LINK PREFIX [COUNT]: sends IPv6 router advertisements to all nodes of the link, as a
 * router for PREFIX (a /64) and for everything else. Ends with 0 once they are sent.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct {
		struct nd_router_advert ra;
		struct nd_opt_prefix_info prefix;
	} m = { 0 };
	struct sockaddr_in6 all = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), hops = 255;
	int count = argc > 3 ? atoi(argv[3]) : 3;

	if (argc < 3 || fd < 0) {
		perror("advertise");
		return 2;
	}
	inet_pton(AF_INET6, "ff02::1", &all.sin6_addr);
	all.sin6_scope_id = if_nametoindex(argv[1]);
	m.ra.nd_ra_type = ND_ROUTER_ADVERT;
	m.ra.nd_ra_curhoplimit = 64;
	m.ra.nd_ra_router_lifetime = htons(1800);
	m.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
	m.prefix.nd_opt_pi_len = 4;
	m.prefix.nd_opt_pi_prefix_len = 64;
	m.prefix.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
	m.prefix.nd_opt_pi_valid_time = htonl(86400);
	m.prefix.nd_opt_pi_preferred_time = htonl(86400);
	inet_pton(AF_INET6, argv[2], &m.prefix.nd_opt_pi_prefix);
	setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
	for (int i = 0; i < count; i++) {
		if (sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&all, sizeof(all)) !=
		    (ssize_t)sizeof(m)) {
			perror("sendto");
			return 1;
		}
	}
	printf("sent %d\n", count);
	return 0;
}
