/*
 * Choosing and feeding the watchdog.
 */
#include "init/watchdog.h"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { DEVICES = 4 };

/* the device's own name for itself; false when there is no such device */
static bool identity(int n, char *text, size_t size)
{
	_cleanup_(mem_free) char *content = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/watchdog/watchdog%d/identity", n);
	if (file_read(AT_FDCWD, path, 256, &content, NULL, NULL) < 0)
		return false;
	snprintf(text, size, "%s", str_trim(content));
	return true;
}

static int choose(char *text, size_t size)
{
	int found = -1;

	for (int i = 0; i < DEVICES; i++) {
		char name[64];

		if (!identity(i, name, sizeof(name)))
			continue;
		if (found < 0 || !str_starts(name, "Software")) {
			found = i;
			snprintf(text, size, "%s", name);
		}
		if (!str_starts(name, "Software"))
			break;
	}
	return found;
}

void watchdog_feed(struct watchdog *w)
{
	int unused = 0;

	if (w->fd >= 0)
		(void)ioctl(w->fd, WDIOC_KEEPALIVE, &unused);
}

static void on_timer(struct timer_event *ev)
{
	struct watchdog *w = container_of(ev, struct watchdog, timer);

	watchdog_feed(w);
	(void)timer_set(ev->loop, ev, WATCHDOG_FEED_MS);
}

int watchdog_start(struct watchdog *w, struct loop *l, struct err *e)
{
	char path[32], name[64] = "";
	int seconds = WATCHDOG_SECONDS, n = choose(name, sizeof(name));

	w->fd = -1;
	w->timer.fn = on_timer;
	if (n < 0)
		return 0;
	snprintf(path, sizeof(path), "/dev/watchdog%d", n);
	w->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (w->fd < 0)
		return err_errno(e, errno, "cannot open %s (%s)", path, name);
	if (ioctl(w->fd, WDIOC_SETTIMEOUT, &seconds) < 0)
		log_warn("%s: its own timeout stays: %s", name, strerror(errno));
	log_info("%s restarts the machine when PID 1 is silent for %d s", name, seconds);
	watchdog_feed(w);
	return timer_set(l, &w->timer, WATCHDOG_FEED_MS) < 0 ? -ENOMEM : 1;
}
