/*
 * Asks the running kernel what it offers, and prints one line `name result` per question.
 *
 * result is `yes`, a number, `signal N`, or the name of the error. tests/system/test_boot.py bakes
 * this static program into an image and runs it as root on the console; each question that could
 * leave something behind is asked in a child with namespaces of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every question answers >= 0, or -1 with errno. */
struct question {
	const char *name;
	long (*ask)(long arg);
	long arg;
};

static long ask_unshare(long flag)
{
	return unshare(flag);
}

static long ask_socket(long family)
{
	return socket(family, SOCK_SEQPACKET, 0);
}

static long ask_syscall(long number)
{
	return syscall(number, 0, 0, 0, 0, 0, 0);
}

static long ask_int80(long number)
{
	long ret = number;

	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static long ask_open(long path)
{
	return open((const char *)path, O_RDONLY | O_CLOEXEC);
}

static long ask_tiocsti(long unused)
{
	int master, slave;

	(void)unused;
	/* A program with CAP_SYS_ADMIN still may; nobody else. */
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0 || setuid(65534) < 0)
		return -1;
	return ioctl(slave, TIOCSTI, "x");
}

static long ask_landlock(long flags)
{
	return syscall(444, NULL, 0, flags); /* landlock_create_ruleset */
}

static long ask_seccomp(long unused)
{
	uint32_t action = 0x7fc00000; /* SECCOMP_RET_USER_NOTIF */

	(void)unused;
	return syscall(SYS_seccomp, 2, 0, &action); /* SECCOMP_GET_ACTION_AVAIL */
}

/* Mounts a file system in a mount namespace of its own. The argument is "type options". */
static long ask_mount(long words)
{
	char type[64], options[128] = "";

	if (sscanf((const char *)words, "%63s %127s", type, options) < 1)
		return -1;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return mount("none", "/mnt", type, 0, options);
}

static void put(struct nlmsghdr *h, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static struct rtattr *nest(struct nlmsghdr *h, int type)
{
	struct rtattr *a = (struct rtattr *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

	put(h, type, NULL, 0);
	return a;
}

static void nest_end(struct nlmsghdr *h, struct rtattr *a)
{
	a->rta_len = (char *)h + h->nlmsg_len - (char *)a;
}

static long talk(int fd, struct nlmsghdr *h)
{
	char answer[4096];
	struct nlmsghdr *a = (struct nlmsghdr *)answer;

	if (send(fd, h, h->nlmsg_len, 0) < 0 || recv(fd, answer, sizeof(answer), 0) < 0)
		return -1;
	if (a->nlmsg_type != NLMSG_ERROR)
		return 0;
	errno = -((struct nlmsgerr *)NLMSG_DATA(a))->error;
	return errno ? -1 : 0;
}

/* Adds a link of a kind; "kind parent" puts it on a dummy link that is made first. */
static long add_link(int fd, const char *kind, const char *name, unsigned int parent)
{
	static uint32_t room[1024];
	struct nlmsghdr *h = memset(room, 0, sizeof(room));
	struct rtattr *info, *data;
	uint32_t vni = 7;
	uint16_t vlan = 7;

	h->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	put(h, IFLA_IFNAME, name, strlen(name) + 1);
	if (parent)
		put(h, IFLA_LINK, &parent, sizeof(parent));
	info = nest(h, IFLA_LINKINFO);
	put(h, IFLA_INFO_KIND, kind, strlen(kind));
	data = nest(h, IFLA_INFO_DATA);
	if (strcmp(kind, "vlan") == 0)
		put(h, IFLA_VLAN_ID, &vlan, sizeof(vlan));
	if (strcmp(kind, "vxlan") == 0)
		put(h, IFLA_VXLAN_ID, &vni, sizeof(vni));
	nest_end(h, data);
	nest_end(h, info);
	return talk(fd, h);
}

static long ask_link(long kind)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || add_link(fd, "dummy", "base", 0) < 0)
		return -1;
	return add_link(fd, (const char *)kind, "probe0", if_nametoindex("base"));
}

static long ask_tun(long unused)
{
	struct ifreq r = { .ifr_name = "probe0", .ifr_flags = IFF_TUN };
	int fd;

	(void)unused;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return -1;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -1 : ioctl(fd, TUNSETIFF, &r);
}

static const struct question questions[] = {
	{ "ns-mnt", ask_unshare, CLONE_NEWNS },
	{ "ns-uts", ask_unshare, CLONE_NEWUTS },
	{ "ns-ipc", ask_unshare, CLONE_NEWIPC },
	{ "ns-user", ask_unshare, CLONE_NEWUSER },
	{ "ns-pid", ask_unshare, CLONE_NEWPID },
	{ "ns-net", ask_unshare, CLONE_NEWNET },
	{ "ns-cgroup", ask_unshare, CLONE_NEWCGROUP },
	{ "ns-time", ask_unshare, 0x80 },
	{ "landlock", ask_landlock, 1 },
	{ "seccomp-filter", ask_seccomp, 0 },
	{ "link-veth", ask_link, (long)"veth" },
	{ "link-bridge", ask_link, (long)"bridge" },
	{ "link-macvlan", ask_link, (long)"macvlan" },
	{ "link-ipvlan", ask_link, (long)"ipvlan" },
	{ "link-vlan", ask_link, (long)"vlan" },
	{ "link-vxlan", ask_link, (long)"vxlan" },
	{ "link-bond", ask_link, (long)"bond" },
	{ "link-wireguard", ask_link, (long)"wireguard" },
	{ "link-tun", ask_tun, 0 },
	{ "socket-vsock", ask_socket, AF_VSOCK },
	{ "mount-cgroup2", ask_mount, (long)"cgroup2" },
	{ "mount-mqueue", ask_mount, (long)"mqueue" },
	{ "mount-cgroup1", ask_mount, (long)"cgroup memory" },
	{ "mount-cgroup1-named", ask_mount, (long)"cgroup none,name=probe" },
	{ "socket-alg", ask_socket, AF_ALG },
	{ "io-uring", ask_syscall, 425 },
	{ "userfaultfd", ask_syscall, SYS_userfaultfd },
	{ "kexec-load", ask_syscall, SYS_kexec_load },
	{ "kexec-file-load", ask_syscall, SYS_kexec_file_load },
	{ "init-module", ask_syscall, SYS_init_module },
	{ "finit-module", ask_syscall, SYS_finit_module },
	{ "modify-ldt", ask_syscall, SYS_modify_ldt },
	{ "iopl", ask_syscall, SYS_iopl },
	{ "x32-getpid", ask_syscall, 0x40000000 + SYS_getpid },
	{ "int80-getpid", ask_int80, 20 },
	{ "tiocsti", ask_tiocsti, 0 },
	{ "dev-mem", ask_open, (long)"/dev/mem" },
	{ "dev-port", ask_open, (long)"/dev/port" },
	{ "dev-userfaultfd", ask_open, (long)"/dev/userfaultfd" },
	{ "proc-kcore", ask_open, (long)"/proc/kcore" },
};

static void ask(const struct question *q)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		long ret = q->ask(q->arg);

		if (ret < 0)
			printf("%s %s\n", q->name, strerrorname_np(ret == -1 ? errno : (int)-ret));
		else
			printf("%s %ld\n", q->name, ret);
		fflush(stdout);
		_exit(0);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
		printf("%s signal %d\n", q->name, WTERMSIG(status));
}

int main(void)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		ask(&questions[i]);
	return 0;
}
