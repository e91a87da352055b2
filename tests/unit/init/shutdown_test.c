/* The order of unmounts, who may send signals, the request of a DHCP event. */
#include "init/shutdown.h"

#include "init/base/str.h"
#include "init/client.h"
#include "init/power.h"
#include "tests/unit/test.h"

TEST(last_mounted_goes_first_and_the_kernels_own_stay)
{
	_cleanup_(strv_free) char **list =
		shutdown_mounts("20 1 0:20 / / ro - erofs x ro\n"
				"21 20 0:21 / /proc rw - proc proc rw\n"
				"22 20 0:22 / /dev rw - devtmpfs d rw\n"
				"23 22 0:23 / /dev/shm rw - tmpfs t rw\n"
				"24 20 0:24 / /run rw - tmpfs t rw\n"
				"25 20 254:0 / /var rw - ext4 /dev/vda rw\n"
				"26 20 0:26 / /etc rw - overlay etc rw\n"
				"27 24 0:4 net:[1] /run/skerry/netns/a rw - nsfs n rw\n"
				"28 25 254:0 /x /var/my\\040files\\134 rw - ext4 /dev/vda rw\n"
				"broken line\n");
	_cleanup_(mem_free) char *joined = strv_join(list, " | ");

	CHECK_STR(joined, "/var/my files\\ | /run/skerry/netns/a | /etc | /var");
}

TEST(signals_from_containers_do_not_count)
{
	CHECK(power_sender_trusted("0::/init\n") && power_sender_trusted("0::/engine\n") &&
	      power_sender_trusted("0::/\n"));
	CHECK(!power_sender_trusted("0::/containers/abc\n") &&
	      !power_sender_trusted("0::/shims\n") && !power_sender_trusted("") &&
	      !power_sender_trusted("0::/init/../containers/x\n"));
}

TEST(a_dhcp_event_carries_what_is_known)
{
	char *env[] = { "PATH=/bin",	    "interface=eth0", "ip=192.0.2.1",
			"domain=a\nreboot", "evil=1",	      NULL };
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);

	CHECK_INT(client_net_event("bound", env, &out), 0);
	CHECK_STR(out.data, "net-event bound\ninterface=eth0\nip=192.0.2.1\n");
}
