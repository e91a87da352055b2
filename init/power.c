/*
 * Power button and signals.
 *
 * The button comes by generic netlink, family "acpi_event": one event has the class
 * "button/power" (20 bytes, NUL-padded) in front. That needs no input devices in the kernel and
 * sees every button of the machine.
 */
#include "init/power.h"

#include <linux/genetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"
#include "init/machine.h"

#include <fcntl.h>

enum { RECEIVE_MAX = 4096, ACPI_ATTR_EVENT = 1, ACPI_CLASS_MAX = 20 };

static const struct {
	int signal;
	enum shutdown_kind kind;
	const char *name;
} table[POWER_SIGNALS] = {
	{ SIGTERM, SHUTDOWN_REBOOT, "SIGTERM" }, { SIGINT, SHUTDOWN_REBOOT, "SIGINT" },
	{ SIGUSR1, SHUTDOWN_HALT, "SIGUSR1" },	 { SIGUSR2, SHUTDOWN_POWEROFF, "SIGUSR2" },
	{ SIGPWR, SHUTDOWN_POWEROFF, "SIGPWR" },
};

bool power_sender_trusted(const char *cgroup)
{
	static const char *const ours[] = { "0::/\n", "0::/init\n", "0::/engine\n" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (str_eq(cgroup, ours[i]))
			return true;
	}
	return false;
}

/* A sender that is gone already cannot be told from a container's: it is refused as well. */
static bool trusted(const struct signalfd_siginfo *info)
{
	_cleanup_(mem_free) char *cgroup = NULL;
	char path[40];

	if (info->ssi_code > 0) /* the kernel itself */
		return true;
	snprintf(path, sizeof(path), "/proc/%u/cgroup", info->ssi_pid);
	return info->ssi_pid != 0 && file_read(AT_FDCWD, path, 4096, &cgroup, NULL, NULL) == 0 &&
	       power_sender_trusted(cgroup);
}

static void on_signal(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	struct power_signal *s = container_of(ev, struct power_signal, event);
	size_t i = (size_t)(s - s->machine->power.signals);
	char reason[80];

	if (!trusted(info)) {
		log_warn("%s from process %u is ignored: it is not one of the machine's own",
			 table[i].name, info->ssi_pid);
		return;
	}
	if (info->ssi_code > 0)
		snprintf(reason, sizeof(reason), "%s",
			 ev->signal == SIGINT ? "Ctrl-Alt-Del" : "a signal of the kernel");
	else
		snprintf(reason, sizeof(reason), "%s from process %u", table[i].name,
			 info->ssi_pid);
	shutdown_begin(s->machine, table[i].kind, reason);
}

int power_watch_signals(struct power *p, struct machine *m, struct err *e)
{
	p->machine = m;
	p->button_fd = -1;
	for (size_t i = 0; i < POWER_SIGNALS; i++) {
		int r;

		p->signals[i].machine = m;
		p->signals[i].event.fn = on_signal;
		r = signal_add(m->loop, &p->signals[i].event, table[i].signal);
		if (r < 0)
			return err_errno(e, -r, "cannot watch %s", table[i].name);
	}
	return 0;
}

/* --- the button --- */

static void on_button_message(struct power *p, const struct nlmsghdr *h)
{
	static const char power_class[] = "button/power";
	size_t head = NLMSG_LENGTH(GENL_HDRLEN);
	const struct nlattr *a;

	if (h->nlmsg_len < head)
		return;
	a = nl_attr_find((const char *)h + head, h->nlmsg_len - head, ACPI_ATTR_EVENT);
	if (a && nl_attr_len(a) >= ACPI_CLASS_MAX &&
	    memcmp(nl_attr_data(a), power_class, sizeof(power_class)) == 0)
		shutdown_begin(p->machine, SHUTDOWN_POWEROFF, "power button");
}

static void on_button(struct io_event *io, uint32_t events)
{
	struct power *p = container_of(io, struct power, button);
	char buf[RECEIVE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(p->button_fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_len);
	unsigned left = (unsigned)MAX(n, 0);

	(void)events;
	if (n < 0 || from.nl_pid != 0)
		return;
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
	     h = NLMSG_NEXT(h, left))
		on_button_message(p, h);
}

/* finds the id of the family's one multicast group */
static int on_family(const struct nlmsghdr *h, void *data, struct err *e)
{
	size_t head = NLMSG_LENGTH(GENL_HDRLEN);
	const struct nlattr *groups, *group = NULL, *id;

	(void)e;
	if (h->nlmsg_len < head)
		return 0;
	groups = nl_attr_find((const char *)h + head, h->nlmsg_len - head, CTRL_ATTR_MCAST_GROUPS);
	if (groups)
		group = nl_attr_next(nl_attr_data(groups), nl_attr_len(groups), NULL);
	if (!group)
		return 0;
	id = nl_attr_find(nl_attr_data(group), nl_attr_len(group), CTRL_ATTR_MCAST_GRP_ID);
	if (id && nl_attr_len(id) == sizeof(uint32_t))
		memcpy(data, nl_attr_data(id), sizeof(uint32_t));
	return 0;
}

static int find_group(int fd, uint32_t *ret_group, struct err *e)
{
	_cleanup_(nl_free) struct nl_msg m = { .buf = BUF_INIT(1024) };
	struct genlmsghdr head = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };

	nl_begin(&m, GENL_ID_CTRL, NLM_F_ACK, &head, sizeof(head));
	nl_put_text(&m, CTRL_ATTR_FAMILY_NAME, "acpi_event");
	nl_end(&m);
	return nl_call(fd, &m, on_family, ret_group, e);
}

int power_watch_button(struct power *p, struct err *e)
{
	_cleanup_(fd_close) int fd = nl_open(NETLINK_GENERIC, e);
	uint32_t group = 0;
	int r;

	if (fd < 0)
		return fd;
	r = find_group(fd, &group, e);
	if (r == -ENOENT || (r == 0 && group == 0))
		return 0;
	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return err_errno(e, errno, "cannot listen to the power button");
	p->button.fn = on_button;
	r = io_add(p->machine->loop, &p->button, fd, EPOLLIN);
	if (r < 0)
		return err_errno(e, -r, "cannot watch the power button");
	p->button_fd = take_fd(fd);
	return 1;
}
