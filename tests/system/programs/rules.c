/*
 * What stands in the kernel's packet filter: one line `rules FAMILY TABLE CHAIN N` per chain with
 * rules and `set FAMILY TABLE SET N` per set, N being their number.
 *
 * There is no nft program in the image; tests/system/test_chaos.py bakes this one in and compares
 * before and after. Only counts are told: handles and counters of rules are never the same.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NAMES_MAX = 512, NAME_MAX_LEN = 300 };

struct tally {
	char names[NAMES_MAX][NAME_MAX_LEN];
	unsigned int counts[NAMES_MAX];
	unsigned int n;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static const char *text_attr(const struct nlattr *first, int len, int type)
{
	const struct nlattr *a = first;

	while (len >= (int)sizeof(*a) && a->nla_len >= sizeof(*a) && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return (const char *)(a + 1);
		len -= NLA_ALIGN(a->nla_len);
		a = (const struct nlattr *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return "";
}

static unsigned int *slot(struct tally *t, const char *name)
{
	for (unsigned int i = 0; i < t->n; i++)
		if (strcmp(t->names[i], name) == 0)
			return &t->counts[i];
	if (t->n == NAMES_MAX)
		exit(1);
	snprintf(t->names[t->n], NAME_MAX_LEN, "%s", name);
	return &t->counts[t->n++];
}

/* The elements of one answer's list. */
static unsigned int count_elements(const struct nlattr *first, int len)
{
	const struct nlattr *list = first, *a;
	unsigned int n = 0;
	int left;

	while (len >= (int)sizeof(*list) && list->nla_len >= sizeof(*list)) {
		if ((list->nla_type & NLA_TYPE_MASK) == NFTA_SET_ELEM_LIST_ELEMENTS) {
			a = list + 1;
			left = list->nla_len - (int)sizeof(*list);
			for (; left >= (int)sizeof(*a); n++) {
				left -= NLA_ALIGN(a->nla_len);
				a = (const struct nlattr *)((const char *)a +
							    NLA_ALIGN(a->nla_len));
			}
		}
		len -= NLA_ALIGN(list->nla_len);
		list = (const struct nlattr *)((const char *)list + NLA_ALIGN(list->nla_len));
	}
	return n;
}

static void add_attr(char *packet, int type, const char *text)
{
	struct nlmsghdr *h = (struct nlmsghdr *)packet;
	struct nlattr *a = (struct nlattr *)(packet + NLMSG_ALIGN(h->nlmsg_len));

	a->nla_type = (unsigned short)type;
	a->nla_len = (unsigned short)(sizeof(*a) + strlen(text) + 1);
	memcpy(a + 1, text, strlen(text) + 1);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + (unsigned int)NLA_ALIGN(a->nla_len);
}

/* Asks for a dump of `kind`; each answer is counted under its table and its chain or set. */
static void dump(int kind, int family, const char *table, const char *set, struct tally *t)
{
	char packet[2048] = { 0 }, answer[65536], name[NAME_MAX_LEN];
	struct nlmsghdr *h = (struct nlmsghdr *)packet;
	struct nfgenmsg *g = (struct nfgenmsg *)(h + 1);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		die("netlink");
	h->nlmsg_type = (unsigned short)(NFNL_SUBSYS_NFTABLES << 8 | kind);
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_len = NLMSG_LENGTH(sizeof(*g));
	g->nfgen_family = (unsigned char)family;
	if (table)
		add_attr(packet, NFTA_SET_ELEM_LIST_TABLE, table);
	if (set)
		add_attr(packet, NFTA_SET_ELEM_LIST_SET, set);
	if (send(fd, packet, h->nlmsg_len, 0) < 0)
		die("send");
	for (;;) {
		int len = (int)recv(fd, answer, sizeof(answer), 0);

		if (len <= 0)
			die("recv");
		for (h = (struct nlmsghdr *)answer; NLMSG_OK(h, (unsigned int)len);
		     h = NLMSG_NEXT(h, len)) {
			const struct nlattr *first;
			int left;

			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
				close(fd);
				return;
			}
			g = NLMSG_DATA(h);
			first = (const struct nlattr *)(g + 1);
			left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*g)));
			/* table and chain, set or (of a set) its name have the same numbers */
			snprintf(name, sizeof(name), "%d %s %s", g->nfgen_family,
				 text_attr(first, left, NFTA_RULE_TABLE),
				 text_attr(first, left, NFTA_RULE_CHAIN));
			*slot(t, name) +=
				kind == NFT_MSG_GETSETELEM ? count_elements(first, left) : 1;
		}
	}
}

int main(void)
{
	static struct tally rules, sets, elements;

	dump(NFT_MSG_GETRULE, AF_UNSPEC, NULL, NULL, &rules);
	dump(NFT_MSG_GETSET, AF_UNSPEC, NULL, NULL, &sets);
	for (unsigned int i = 0; i < sets.n; i++) {
		char table[NAME_MAX_LEN], set[NAME_MAX_LEN];
		int family;

		if (sscanf(sets.names[i], "%d %299s %299s", &family, table, set) == 3) {
			*slot(&elements, sets.names[i]) += 0;
			dump(NFT_MSG_GETSETELEM, family, table, set, &elements);
		}
	}
	for (unsigned int i = 0; i < rules.n; i++)
		printf("rules %s %u\n", rules.names[i], rules.counts[i]);
	for (unsigned int i = 0; i < elements.n; i++)
		printf("set %s %u\n", elements.names[i], elements.counts[i]);
	return 0;
}
