/*
 * Netlink sockets: building messages with checked lengths, and the one call that sends and reads
 * answers.
 *
 * The kernel handles a netlink request inside sendmsg(2), so its answers are queued when that
 * returns (a dump goes on as we read). nl_call therefore drops what an earlier, failed call left
 * behind before it sends, and then counts answers: one acknowledgement for each message with
 * NLM_F_ACK, one NLMSG_DONE for each dump. Answers are taken from the kernel only (port 0).
 * Everything that is read is walked with checked lengths: the same code runs under the fuzzer.
 *
 * Used by init/net (links) and engine/net (rtnetlink, nftables).
 */
#include "init/base/netlink.h"

#include <endian.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "init/base/clock.h"

enum {
	NL_TIMEOUT_MS = 5000,
	NL_RECV_SIZE =
		32 << 10, /* a dump never fills more than this per read (net/netlink: 32 KiB) */
	NL_SEND_DEFAULT = 128 << 10, /* above it the socket's send buffer is raised */
};

int nl_open(int protocol, struct err *e)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), on = 1;

	if (fd < 0)
		return err_errno(e, errno, "cannot open a netlink socket (protocol %d)", protocol);
	/* both only make error answers better: texts from the kernel, and no copy of the request */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
		int code = errno;

		close(fd);
		return err_errno(e, code, "cannot bind a netlink socket (protocol %d)", protocol);
	}
	return fd;
}

static void nl_fail(struct nl_msg *m, int code)
{
	if (!m->buf.failed)
		m->buf.failed = code;
}

/* Adds len bytes and zeros up to the next multiple of four. */
static void nl_add_padded(struct nl_msg *m, const void *data, size_t len)
{
	static const char zeros[NLA_ALIGNTO];

	if (len > 0)
		buf_add(&m->buf, data, len);
	if (NLA_ALIGN(len) != len)
		buf_add(&m->buf, zeros, NLA_ALIGN(len) - len);
}

void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags, const void *header,
	      size_t header_len)
{
	struct nlmsghdr h = { .nlmsg_type = type,
			      .nlmsg_flags = NLM_F_REQUEST | flags,
			      .nlmsg_seq = ++m->seq };

	m->start = m->buf.len;
	buf_add(&m->buf, &h, sizeof(h));
	nl_add_padded(m, header, header_len);
}

void nl_end(struct nl_msg *m)
{
	uint32_t len;

	if (m->buf.failed)
		return;
	len = (uint32_t)(m->buf.len - m->start); /* the buffer's limit is far below 4 GiB */
	memcpy(m->buf.data + m->start + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
}

void nl_free(struct nl_msg *m)
{
	buf_free(&m->buf);
	m->start = 0;
	m->seq = 0;
}

void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_type = type };

	if (len > UINT16_MAX - NLA_HDRLEN) {
		nl_fail(m, -EMSGSIZE);
		return;
	}
	a.nla_len = (uint16_t)(NLA_HDRLEN + len);
	buf_add(&m->buf, &a, sizeof(a));
	nl_add_padded(m, data, len);
}

void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_u16(struct nl_msg *m, uint16_t type, uint16_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_be32(struct nl_msg *m, uint16_t type, uint32_t v)
{
	nl_put_u32(m, type, htobe32(v));
}

void nl_put_be64(struct nl_msg *m, uint16_t type, uint64_t v)
{
	v = htobe64(v);
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_text(struct nl_msg *m, uint16_t type, const char *text)
{
	nl_put(m, type, text, strlen(text) + 1);
}

size_t nl_nest(struct nl_msg *m, uint16_t type)
{
	size_t at = m->buf.len;

	nl_put(m, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void nl_nest_end(struct nl_msg *m, size_t nest)
{
	size_t len;
	uint16_t len16;

	if (m->buf.failed)
		return;
	len = m->buf.len - nest;
	if (len > UINT16_MAX) {
		nl_fail(m, -EMSGSIZE);
		return;
	}
	len16 = (uint16_t)len;
	memcpy(m->buf.data + nest + offsetof(struct nlattr, nla_len), &len16, sizeof(len16));
}

const struct nlattr *nl_attr_next(const void *start, size_t len, const struct nlattr *prev)
{
	const char *p = start;
	size_t at = 0;
	const struct nlattr *a;

	if (prev)
		at = (size_t)((const char *)prev - p) + NLA_ALIGN((size_t)prev->nla_len);
	if (at > len || len - at < sizeof(*a))
		return NULL;
	a = (const struct nlattr *)(p + at);
	if (a->nla_len < NLA_HDRLEN || a->nla_len > len - at)
		return NULL;
	return a;
}

const struct nlattr *nl_attr_find(const void *start, size_t len, uint16_t type)
{
	const struct nlattr *a = NULL;

	while ((a = nl_attr_next(start, len, a)))
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

/* --- the call --------------------------------------------------------------------------------- */

/* How many answers end the call: walks what was built, so it is trusted. */
static unsigned int nl_expected(const struct nl_msg *m)
{
	unsigned int n = 0;

	for (size_t at = 0; at + sizeof(struct nlmsghdr) <= m->buf.len;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(m->buf.data + at);

		if ((h->nlmsg_flags & NLM_F_ACK) || (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
			n++;
		at += NLMSG_ALIGN(h->nlmsg_len);
	}
	return n;
}

static int nl_send(int fd, const struct nl_msg *m, struct err *e)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	if (m->buf.len > NL_SEND_DEFAULT) {
		int size = (int)MIN(m->buf.len, (size_t)INT32_MAX / 4) * 2;

		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	do
		n = sendto(fd, m->buf.data, m->buf.len, 0, (struct sockaddr *)&kernel,
			   sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, errno, "cannot send %zu bytes to netlink", m->buf.len);
	return 0;
}

/* One datagram of the kernel, or 0 when nothing comes before the deadline (ms; 0: do not wait). */
static ssize_t nl_recv(int fd, void *buf, size_t size, int64_t deadline, struct err *e)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { buf, size };
		struct msghdr mh = { .msg_name = &from,
				     .msg_namelen = sizeof(from),
				     .msg_iov = &iov,
				     .msg_iovlen = 1 };
		ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLIN };
			int64_t left = deadline ? deadline - clock_mono_ms() : 0;

			if (left <= 0)
				return 0;
			(void)poll(&p, 1, (int)left);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot read from netlink");
		if (mh.msg_flags & MSG_TRUNC)
			return err_set(e, EMSGSIZE, "netlink answer is longer than %zu bytes",
				       size);
		if (n > 0 && from.nl_pid == 0)
			return n;
	}
}

static void nl_drain(int fd)
{
	char buf[NL_RECV_SIZE];
	ssize_t n;

	do /* ENOBUFS (answers were lost) belongs to the past too, and the kernel says it once */
		n = nl_recv(fd, buf, sizeof(buf), 0, NULL);
	while (n > 0 || n == -ENOBUFS);
}

/* The kernel's own words behind an error, or NULL; h is an NLMSG_ERROR of at least the fixed
 * size. */
static const char *nl_ext_text(const struct nlmsghdr *h, size_t fixed)
{
	const char *start = (const char *)h + NLMSG_HDRLEN + fixed;
	const struct nlattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || h->nlmsg_len < NLMSG_HDRLEN + fixed)
		return NULL;
	a = nl_attr_find(start, h->nlmsg_len - NLMSG_HDRLEN - fixed, NLMSGERR_ATTR_MSG);
	if (!a || nl_attr_len(a) == 0 || ((const char *)nl_attr_data(a))[nl_attr_len(a) - 1])
		return NULL;
	return nl_attr_data(a);
}

/* 1: a good acknowledgement; -errno: a bad one. Both NLMSG_ERROR and NLMSG_DONE start with an
 * int. */
static int nl_verdict(const struct nlmsghdr *h, struct err *e)
{
	size_t fixed = h->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof(int);
	const char *text;
	int code = 0;

	if (h->nlmsg_len >= NLMSG_HDRLEN + sizeof(code))
		memcpy(&code, NLMSG_DATA(h), sizeof(code));
	else if (h->nlmsg_type == NLMSG_ERROR)
		return err_set(e, EBADMSG, "netlink error answer is cut short");
	if (code >= 0)
		return 1;
	text = nl_ext_text(h, fixed);
	if (text)
		return err_errno(e, -code, "%s", text);
	return err_errno(e, -code, "the kernel refuses");
}

/* Handles one datagram. Returns the number of final answers in it or -errno. */
static int nl_answers(const char *data, size_t len, uint32_t max_seq,
		      int (*fn)(const struct nlmsghdr *h, void *data, struct err *e), void *arg,
		      struct err *e)
{
	int done = 0, rc;

	for (size_t at = 0; len - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(data + at);

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len - at)
			return err_set(e, EBADMSG, "netlink answer has a bad length (%u of %zu)",
				       h->nlmsg_len, len - at);
		if (h->nlmsg_seq == 0 || h->nlmsg_seq > max_seq) {
			/* not an answer to this call (a notification): none of ours */
		} else if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
			rc = nl_verdict(h, e);
			if (rc < 0)
				return rc;
			done++;
		} else if (h->nlmsg_type >= NLMSG_MIN_TYPE && fn) {
			rc = fn(h, arg, e);
			if (rc < 0)
				return rc;
		}
		at += NLMSG_ALIGN((size_t)h->nlmsg_len);
		if (at > len)
			break;
	}
	return done;
}

int nl_call(int fd, struct nl_msg *m,
	    int (*fn)(const struct nlmsghdr *h, void *data, struct err *e), void *data,
	    struct err *e)
{
	char buf[NL_RECV_SIZE] __attribute__((aligned(8)));
	int64_t deadline = clock_mono_ms() + NL_TIMEOUT_MS;
	unsigned int left;
	int rc;

	if (m->buf.failed)
		return err_errno(e, -m->buf.failed, "cannot build a netlink message");
	left = nl_expected(m);
	nl_drain(fd);
	rc = nl_send(fd, m, e);
	if (rc < 0)
		return rc;
	while (left > 0) {
		ssize_t n = nl_recv(fd, buf, sizeof(buf), deadline, e);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return err_set(e, ETIMEDOUT, "no answer from netlink within %d ms",
				       NL_TIMEOUT_MS);
		rc = nl_answers(buf, (size_t)n, m->seq, fn, data, e);
		if (rc < 0)
			return rc;
		left -= MIN((unsigned int)rc, left);
	}
	return 0;
}
