/*
 * IP and MAC addresses as values: parsing, printing, comparing, subnet arithmetic (see addr.h).
 */
#include "engine/net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "init/base/str.h"

int ip_parse(const char *text, struct ip_addr *ret_addr, struct err *e)
{
	struct ip_addr a = { 0 };

	if (inet_pton(AF_INET, text, a.b) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, text, a.b) == 1)
		a.family = AF_INET6;
	else
		return err_set(e, EINVAL, "invalid IP address: \"%.64s\"", text);
	*ret_addr = a;
	return 0;
}

int ip_net_parse(const char *text, struct ip_net *ret_net, struct err *e)
{
	const char *slash = strchr(text, '/');
	char addr[IP_TEXT_MAX];
	struct ip_net n = { 0 };
	uint64_t prefix;

	if (!slash || (size_t)(slash - text) >= sizeof(addr))
		goto bad;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	if (ip_parse(addr, &n.addr, NULL) < 0 || str_to_u64(slash + 1, &prefix) < 0 ||
	    prefix > ip_size(n.addr.family) * 8)
		goto bad;
	n.prefix = (uint8_t)prefix;
	*ret_net = n;
	return 0;
bad:
	return err_set(e, EINVAL,
		       "invalid subnet \"%.64s\": should be an address and a prefix length, like "
		       "172.30.0.0/16",
		       text);
}

const char *ip_text(const struct ip_addr *a, char buf[IP_TEXT_MAX])
{
	if (!a->family || !inet_ntop(a->family, a->b, buf, IP_TEXT_MAX))
		buf[0] = '\0';
	return buf;
}

const char *ip_net_text(const struct ip_net *n, char buf[IP_NET_TEXT_MAX])
{
	char addr[IP_TEXT_MAX];

	buf[0] = '\0';
	if (ip_is_set(&n->addr))
		snprintf(buf, IP_NET_TEXT_MAX, "%s/%u", ip_text(&n->addr, addr), n->prefix);
	return buf;
}

bool ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, ip_size(a->family)) == 0;
}

bool ip_is_any(const struct ip_addr *a)
{
	static const uint8_t zeros[16];

	return a->family && memcmp(a->b, zeros, ip_size(a->family)) == 0;
}

bool ip_is_loopback(const struct ip_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->family == AF_INET)
		return a->b[0] == 127;
	return a->family == AF_INET6 && memcmp(a->b, one, sizeof(one)) == 0;
}

/* Sets (or clears) all bits from `prefix` on. */
static struct ip_addr host_bits(const struct ip_net *n, bool one)
{
	struct ip_addr a = n->addr;

	for (size_t i = n->prefix; i < ip_size(a.family) * 8; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		if (one)
			a.b[i / 8] |= bit;
		else
			a.b[i / 8] &= (uint8_t)~bit;
	}
	return a;
}

struct ip_net ip_net_mask(const struct ip_net *n)
{
	return (struct ip_net){ .addr = host_bits(n, false), .prefix = n->prefix };
}

struct ip_addr ip_net_last(const struct ip_net *n)
{
	return host_bits(n, true);
}

bool ip_net_has(const struct ip_net *n, const struct ip_addr *a)
{
	struct ip_net other = { .addr = *a, .prefix = n->prefix }, own = ip_net_mask(n);

	if (a->family != n->addr.family)
		return false;
	other = ip_net_mask(&other);
	return ip_eq(&own.addr, &other.addr);
}

bool ip_net_overlaps(const struct ip_net *a, const struct ip_net *b)
{
	return a->prefix <= b->prefix ? ip_net_has(a, &b->addr) : ip_net_has(b, &a->addr);
}

int ip_add(const struct ip_addr *a, uint64_t offset, struct ip_addr *ret_sum)
{
	struct ip_addr sum = *a;

	for (size_t i = ip_size(a->family); i-- > 0;) {
		uint64_t v = (uint64_t)sum.b[i] + (offset & 0xff);

		sum.b[i] = (uint8_t)v;
		offset = (offset >> 8) + (v >> 8);
	}
	if (offset)
		return -ERANGE;
	*ret_sum = sum;
	return 0;
}

int mac_parse(const char *text, uint8_t ret_mac[6], struct err *e)
{
	static const uint8_t zeros[6];
	uint8_t mac[6];

	if (strlen(text) != 17)
		goto bad;
	for (int i = 0; i < 6; i++) {
		char pair[3] = { text[3 * i], text[3 * i + 1], '\0' };

		if (hex_decode(&mac[i], 1, pair) < 0 || (i < 5 && text[3 * i + 2] != ':'))
			goto bad;
	}
	if ((mac[0] & 1) || memcmp(mac, zeros, sizeof(mac)) == 0)
		goto bad;
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
bad:
	return err_set(
		e, EINVAL,
		"invalid MAC address \"%.64s\": should be a unicast address like 02:42:ac:11:00:02",
		text);
}

const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT_MAX])
{
	snprintf(buf, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	return buf;
}
