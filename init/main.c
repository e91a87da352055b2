/*
 * /sbin/init: PID 1, and the small programs that talk to it (client.h).
 *
 * As PID 1 it boots phase by phase (phases.c) and then serves one event loop for ever: children,
 * signals, timers, links, the control socket, the kernel log. It must not end and must not wait for
 * anything unbounded; what is slow is a process of its own.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "init/base/log.h"
#include "init/base/str.h"
#include "init/client.h"
#include "init/machine.h"

/* Descriptors 0, 1 and 2 exist from the start; phase "early" puts the kernel log at 2. */
static void open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
		if (fd < 0)
			fd = open("/", O_RDONLY | O_DIRECTORY);
	} while (fd >= 0 && fd < 3);
	if (fd >= 3)
		close(fd);
}

static int64_t build_time(void)
{
	const char *text = getenv("SKERRY_BUILD_TIME");
	int64_t value;

	return text && str_to_i64(text, &value) == 0 && value > 0 ? value : 0;
}

/* Without a loop there is nothing to be PID 1 with; the kernel's panic restarts the machine. */
static int setup(struct machine *m)
{
	struct err e = { 0 };

	if (loop_new(&m->loop, &e) < 0 || super_init(&m->super, m->loop, &e) < 0 ||
	    power_watch_signals(&m->power, m, &e) < 0) {
		log_error("%s", err_text(&e));
		return -1;
	}
	m->build_time = build_time();
	m->control.fd = -1;
	m->watchdog.fd = -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct machine m = { .klog = KLOG_INIT };

	if (getpid() != 1)
		return client_main(argc, argv);
	open_standard_fds();
	log_open("init", STDERR_FILENO);
	if (setup(&m) < 0)
		return 1;
	machine_boot(&m);
	for (;;)
		(void)loop_run(m.loop);
}
