/*
 * Netlink: the bytes of built messages, walking attributes of hostile lengths, and calls to the
 * kernel.
 */
#include "init/base/netlink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(message_bytes)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct ifinfomsg i = { .ifi_index = 7 };
	char hex[400];
	size_t nest;

	nl_begin(&m, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&m, IFLA_IFNAME, "ab");
	nest = nl_nest(&m, IFLA_LINKINFO);
	nl_put_u8(&m, 1, 0xaa);
	nl_put_be32(&m, 2, 1);
	nl_nest_end(&m, nest);
	nl_end(&m);
	CHECK_INT(m.buf.failed, 0);
	CHECK(m.buf.len * 2 < sizeof(hex));
	hex_encode(hex, m.buf.data, m.buf.len);
	CHECK_STR(hex, "3c000000"
		       "1000"
		       "0500"
		       "01000000"
		       "00000000"
		       "00000000"
		       "07000000"
		       "00000000"
		       "00000000"
		       "07000300"
		       "61620000"
		       "14001280"
		       "05000100aa000000"
		       "0800020000000001");
}

TEST(batches_count_on)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	const struct nlmsghdr *second;

	for (int i = 0; i < 2; i++) {
		nl_begin(&m, 20, 0, NULL, 0);
		nl_put_u16(&m, 1, 5);
		nl_end(&m);
	}
	CHECK_INT((long)m.buf.len, 2 * (16 + 8));
	second = (const struct nlmsghdr *)(m.buf.data + 24);
	CHECK(second->nlmsg_seq == 2 && second->nlmsg_len == 24);
}

TEST(too_long_is_an_error)
{
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	static const char big[70000];
	struct err e = { 0 };
	size_t nest;

	nl_begin(&m, 20, 0, NULL, 0);
	nl_put(&m, 1, big, sizeof(big));
	nl_end(&m);
	CHECK_INT(nl_call(-1, &m, NULL, NULL, &e), -EMSGSIZE);
	nl_free(&m);
	nl_begin(&m, 20, 0, NULL, 0);
	nest = nl_nest(&m, 1);
	for (int i = 0; i < 20; i++)
		nl_put(&m, 2, big, 4000);
	nl_nest_end(&m, nest);
	nl_end(&m);
	CHECK_INT(nl_call(-1, &m, NULL, NULL, &e), -EMSGSIZE);
}

/* A list of attributes with these bytes (aligned), walked: how many there are. */
static int walk(const char *hex)
{
	_Alignas(8) uint8_t data[64];
	size_t len = strlen(hex) / 2;
	const struct nlattr *a = NULL;
	int n = 0;

	if (hex_decode(data, len, hex) < 0)
		return -1;
	while ((a = nl_attr_next(data, len, a))) {
		const uint8_t *p = nl_attr_data(a);

		if (p + nl_attr_len(a) > data + len)
			return -2;
		n++;
	}
	return n;
}

TEST(hostile_lengths)
{
	CHECK_INT(walk(""), 0);
	CHECK_INT(walk("080001"), 0); /* not even a header */
	CHECK_INT(walk("08000100deadbeef"), 1);
	CHECK_INT(walk("0800010000000000"
		       "05000200ff"),
		  2); /* the last one without padding */
	CHECK_INT(walk("0800010000000000"
		       "05000200ff000000"
		       "040003"),
		  2);
	CHECK_INT(walk("00000100deadbeef"), 0); /* length 0 would never end */
	CHECK_INT(walk("03000100deadbeef"), 0);
	CHECK_INT(walk("09000100deadbeef"), 0); /* one byte too many */
	CHECK_INT(walk("ffff0100deadbeef"), 0);
	CHECK_INT(walk("07000100dead0000"
		       "ffff0200"),
		  1);
	CHECK_INT(walk("04000100"
		       "04000200"),
		  2);
}

TEST(find_masks_flags)
{
	_Alignas(8) uint8_t data[] = { 4, 0, 1, 0, 8, 0, 2, 0x80, 4, 0, 9, 0 };
	const struct nlattr *a = nl_attr_find(data, sizeof(data), 2);

	CHECK(a && nl_attr_len(a) == 4 && nl_attr_find(nl_attr_data(a), nl_attr_len(a), 9));
	CHECK(!nl_attr_find(data, sizeof(data), 3));
}

static int count_links(const struct nlmsghdr *h, void *data, struct err *e)
{
	(void)e;
	*(int *)data += h->nlmsg_type == RTM_NEWLINK;
	return 0;
}

static int stop_at_once(const struct nlmsghdr *h, void *data, struct err *e)
{
	(void)h;
	(void)data;
	return err_set(e, ECANCELED, "stop");
}

/* Questions that need no privilege: a dump, an error with its reason, and a call after a failed
 * one. */
TEST(kernel_answers)
{
	_cleanup_(nl_free) struct nl_msg dump = { 0 }, bad = { 0 };
	struct ifinfomsg i = { 0 };
	struct err e = { 0 };
	int fd = nl_open(NETLINK_ROUTE, &e), links = 0;

	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	nl_begin(&dump, RTM_GETLINK, NLM_F_DUMP, &i, sizeof(i));
	nl_end(&dump);
	nl_begin(&bad, RTM_GETLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put_text(&bad, IFLA_IFNAME, "no-such-link");
	nl_end(&bad);
	CHECK_INT(nl_call(fd, &dump, stop_at_once, NULL, &e), -ECANCELED);
	CHECK_INT(nl_call(fd, &bad, NULL, NULL, &e), -ENODEV);
	CHECK_INT(nl_call(fd, &bad, NULL, NULL, NULL), -ENODEV);
	CHECK_INT(nl_call(fd, &dump, count_links, &links, &e), 0);
	CHECK(links >= 1);
	close(fd);
}
