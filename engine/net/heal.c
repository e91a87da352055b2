/*
 * Putting the rules back when somebody else changed them.
 *
 * The kernel tells every change of nf_tables in this namespace, with the port of the socket that
 * made it. One that is not ours (a flush, a firewall tool in a container on the machine's network)
 * makes us send everything again: at once the first time, and then at most once in HEAL_MS, so that
 * two who disagree do not keep the machine busy. When notifications were lost, the generation
 * number of the rules says whether anybody was there after us. Callers: nets.c, apply.c.
 */
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/net/inside.h"
#include "init/base/log.h"
#include "init/base/netlink.h"

enum { HEAL_MS = 1000 };

static void heal(struct nets *n)
{
	struct err e = { 0 };

	if (!n->up)
		return; /* the next net_attach brings everything up */
	log_warn("network: somebody else changed the packet filter: its rules are set again");
	user_chain_up(n);
	if (nets_apply(n, &e) < 0)
		log_error("network: %s", err_text(&e));
	(void)timer_set(n->loop, &n->heal_timer, HEAL_MS);
}

static void rest_over(struct timer_event *ev)
{
	struct nets *n = container_of(ev, struct nets, heal_timer);

	if (n->heal_again) {
		n->heal_again = false;
		heal(n);
	}
}

static int take_generation(const struct nlmsghdr *h, void *data, struct err *e)
{
	size_t head = NLMSG_SPACE(sizeof(struct nfgenmsg));
	const struct nlattr *a;

	(void)e;
	if (h->nlmsg_len < head)
		return 0;
	a = nl_attr_find((const char *)h + head, h->nlmsg_len - head, NFTA_GEN_ID);
	if (a && nl_attr_len(a) == sizeof(uint32_t))
		memcpy(data, nl_attr_data(a), sizeof(uint32_t));
	return 0;
}

uint32_t rules_generation(const struct nets *n)
{
	struct nfgenmsg g = { .version = NFNETLINK_V0 };
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	uint32_t generation = 0;

	nl_begin(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_ACK, &g, sizeof(g));
	nl_end(&m);
	return nl_call(n->filter_fd, &m, take_generation, &generation, NULL) < 0 ? 0 : generation;
}

static uint32_t own_port(const struct nets *n)
{
	struct sockaddr_nl self = { 0 };
	socklen_t len = sizeof(self);

	return getsockname(n->filter_fd, (struct sockaddr *)&self, &len) == 0 ? self.nl_pid : 0;
}

/* Whether a datagram tells the end of a transaction that was not ours. */
static bool foreign(const char *data, size_t len, uint32_t own)
{
	for (size_t at = 0; len - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(data + at);

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len - at)
			return true;
		if (h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) &&
		    h->nlmsg_pid != own)
			return true;
		at += NLMSG_ALIGN((size_t)h->nlmsg_len);
		if (at > len)
			break;
	}
	return false;
}

static void news(struct io_event *ev, uint32_t events)
{
	struct nets *n = container_of(ev, struct nets, filter_news);
	char buf[16384] __attribute__((aligned(8)));
	uint32_t own = own_port(n);
	bool change = false;
	ssize_t len;

	(void)events;
	for (;;) {
		len = recv(n->news_fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len > 0)
			change = change || foreign(buf, (size_t)len, own);
		else if (len < 0 && errno == ENOBUFS)
			change = change || rules_generation(n) != n->generation;
		else if (len == 0 || errno != EINTR)
			break;
	}
	if (!change)
		return;
	if (timer_armed(&n->heal_timer))
		n->heal_again = true;
	else
		heal(n);
}

void heal_watch(struct nets *n)
{
	struct err e = { 0 };
	int group = NFNLGRP_NFTABLES, rc;

	if (n->news_fd >= 0)
		return;
	n->filter_news.fn = news;
	n->heal_timer.fn = rest_over;
	rc = n->news_fd = nl_open(NETLINK_NETFILTER, &e);
	if (rc >= 0 &&
	    setsockopt(rc, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		rc = err_errno(&e, errno, "cannot subscribe");
	if (rc >= 0)
		rc = io_add(n->loop, &n->filter_news, n->news_fd, EPOLLIN);
	if (rc < 0) {
		log_warn("network: foreign changes of the packet filter go unseen: %s",
			 err_text(&e));
		fd_close(take_fd(n->news_fd));
	}
}

void heal_unwatch(struct nets *n)
{
	timer_clear(&n->heal_timer);
	if (n->news_fd < 0)
		return;
	io_remove(&n->filter_news);
	fd_close(take_fd(n->news_fd));
}
