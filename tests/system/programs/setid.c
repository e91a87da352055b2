/*
 * Whose a process is: programs that change that, seen from inside a container.
 *
 *   setid            prints the real and the effective user id, and what it may send ICMP by:
 *                    "raw" (CAP_NET_RAW is in force), "ping" (net.ipv4.ping_group_range) or "no"
 *   setid cap FILE   gives the program FILE the capability CAP_NET_RAW, as setcap does
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct vfs_cap_data caps = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
				     .data[0].permitted = 1 << CAP_NET_RAW };

	if (argc == 3 && strcmp(argv[1], "cap") == 0) {
		if (setxattr(argv[2], "security.capability", &caps, sizeof(caps), 0) == 0)
			return 0;
		perror("setid: cap");
		return 1;
	}
	printf("%d %d %s\n", (int)getuid(), (int)geteuid(),
	       socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0	? "raw"
	       : socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) >= 0 ? "ping"
								: "no");
	return 0;
}
