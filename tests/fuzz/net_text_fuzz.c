/*
 * What people write for the network: port specs, addresses, extra hosts, and the machine's
 * resolv.conf.
 *
 * The first byte chooses the parser, the rest is the text. What is accepted must keep what the
 * headers promise, and what is written into a container's file must be made of whole lines of the
 * allowed kinds.
 */
#include "tests/fuzz/fuzz.h"

#include <netinet/in.h>
#include <string.h>

#include "engine/net/hosts.h"
#include "engine/net/ports.h"
#include "init/base/util.h"

static void fuzz_spec(const char *text)
{
	struct port_want *w = NULL;
	size_t n = 0;

	if (port_spec_parse(text, &w, &n, NULL) < 0)
		return;
	FUZZ_CHECK(n >= 1 && n <= PORT_WANTS_MAX);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(w[i].container_port > 0 && w[i].host_first <= w[i].host_last);
		FUZZ_CHECK(w[i].proto == IPPROTO_TCP || w[i].proto == IPPROTO_UDP ||
			   w[i].proto == IPPROTO_SCTP);
	}
	free(w);
}

static void fuzz_addr(const char *text)
{
	char buf[IP_NET_TEXT_MAX];
	struct ip_addr a, again;
	struct ip_net n, net_again;

	if (ip_parse(text, &a, NULL) == 0)
		FUZZ_CHECK(ip_parse(ip_text(&a, buf), &again, NULL) == 0 && ip_eq(&a, &again));
	if (ip_net_parse(text, &n, NULL) == 0) {
		FUZZ_CHECK(ip_net_parse(ip_net_text(&n, buf), &net_again, NULL) == 0);
		FUZZ_CHECK(ip_net_has(&n, &net_again.addr) && ip_net_overlaps(&n, &net_again));
	}
}

static void fuzz_extra(char *text)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	char *list[] = { text, NULL };
	struct ip_addr gw = { AF_INET, { 172, 17, 0, 1 } };
	const char *out;

	if (hosts_extra(&b, list, &gw, NULL) < 0)
		return;
	out = buf_text(&b);
	FUZZ_CHECK(strchr(out, '\n') == out + b.len - 1 && strchr(out, '\t'));
}

static void fuzz_resolv(const char *text)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct resolv_want w = { .own_stack = true };

	if (resolv_text(&b, text, &w, NULL) < 0)
		return;
	for (const char *line = buf_text(&b); *line; line = strchr(line, '\n') + 1) {
		FUZZ_CHECK(strchr(line, '\n'));
		FUZZ_CHECK(*line == '#' || strncmp(line, "nameserver ", 11) == 0 ||
			   strncmp(line, "search ", 7) == 0 || strncmp(line, "options ", 8) == 0);
		FUZZ_CHECK(strncmp(line, "nameserver 127.", 15) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text;

	if (len < 1)
		return 0;
	text = malloc(len);
	if (!text)
		return 0;
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		fuzz_spec(text);
		break;
	case 1:
		fuzz_addr(text);
		break;
	case 2:
		fuzz_extra(text);
		break;
	default:
		fuzz_resolv(text);
	}
	free(text);
	return 0;
}
