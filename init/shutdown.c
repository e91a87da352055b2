/*
 * Shutdown: three stages, see the header. The last one runs outside the loop and never returns.
 */
#include "init/shutdown.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>

#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/str.h"
#include "init/boot/floor.h"
#include "init/boot/lastboot.h"
#include "init/boot/seed.h"
#include "init/machine.h"

enum { POLL_MS = 20, UNMOUNT_ROUNDS = 4, MOUNTINFO_MAX = 4 << 20 };

static const struct {
	const char *verb; /* in the note and in the log */
	const char *doing;
	int command;
} kinds[] = {
	[SHUTDOWN_REBOOT] = { "reboot", "restarting", RB_AUTOBOOT },
	[SHUTDOWN_POWEROFF] = { "poweroff", "switching off", RB_POWER_OFF },
	[SHUTDOWN_HALT] = { "halt", "halting", RB_HALT_SYSTEM },
};

/* --- the end --- */

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static void kill_group(const char *name)
{
	_cleanup_(fd_close) int fd = cgroup_open(name, NULL);

	if (fd >= 0)
		(void)cgroup_kill(fd, NULL);
}

/* Reaps until no child is left (true) or the time is up. */
static bool reap_all(int timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			continue;
		if (clock_mono_ms() >= end)
			return false;
		pause_ms(POLL_MS);
	}
}

static void kill_everything(void)
{
	kill_group("containers");
	kill_group("shims");
	kill_group("engine");
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (reap_all(SHUTDOWN_TERM_MS))
		return;
	kill(-1, SIGKILL);
	if (!reap_all(SHUTDOWN_TERM_MS))
		log_warn("some processes cannot be killed");
}

static void keep_state(struct machine *m)
{
	struct err e = { 0 };

	if (!m->storage.persistent)
		return;
	if (seed_save(MACHINE_SEED, &e) < 0)
		log_warn("%s", err_text(&e));
	if (clock_save(MACHINE_CLOCK, &e) < 0)
		log_warn("%s", err_text(&e));
	if (lastboot_note(MACHINE_NOTE, kinds[m->shutdown.kind].verb, m->shutdown.reason, &e) < 0)
		log_warn("%s", err_text(&e));
	klog_stop(&m->klog);
}

static bool needed_to_the_end(const char *path)
{
	static const char *const roots[] = { "/proc", "/sys", "/dev", "/run" };

	if (str_eq(path, "/"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		size_t n = strlen(roots[i]);

		if (strncmp(path, roots[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
			/* what containers left below /run may pin /var */
			return !str_starts(path, "/run/");
	}
	return false;
}

/* mountinfo writes blanks and backslashes as \ooo */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

char **shutdown_mounts(const char *mountinfo)
{
	_cleanup_(strv_free) char **lines = strv_split(mountinfo, "\n", false), **list = NULL;
	size_t n;

	if (!lines || !(list = calloc(1, sizeof(*list))))
		return NULL;
	n = strv_len(lines);
	while (n-- > 0) {
		_cleanup_(strv_free) char **fields = strv_split(lines[n], " ", false);

		if (!fields)
			return NULL;
		if (strv_len(fields) < 5)
			continue;
		unescape(fields[4]);
		if (!needed_to_the_end(fields[4]) && strv_add(&list, fields[4]) < 0)
			return NULL;
	}
	return take_ptr(list);
}

/* One round over all mounts; the number that would not go. */
static int unmount_round(bool last)
{
	_cleanup_(mem_free) char *text = NULL;
	_cleanup_(strv_free) char **list = NULL;
	int left = 0;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL, NULL) < 0)
		return -1;
	list = shutdown_mounts(text);
	for (size_t i = 0; list && list[i]; i++) {
		if (umount2(list[i], UMOUNT_NOFOLLOW) == 0 || errno == EINVAL)
			continue;
		left++;
		if (last) {
			log_warn("%s stays mounted (%s) and becomes read-only", list[i],
				 strerror(errno));
			(void)mount(NULL, list[i], NULL, MS_REMOUNT | MS_RDONLY, NULL);
		}
	}
	return left;
}

static void unmount_all(void)
{
	int left = -1;

	for (int i = 1; i <= UNMOUNT_ROUNDS && left != 0; i++) {
		left = unmount_round(i == UNMOUNT_ROUNDS);
		if (left > 0 && i < UNMOUNT_ROUNDS)
			pause_ms(5 * POLL_MS);
	}
	sync();
	if (left == 0)
		log_notice("file systems are unmounted");
	else /* all that is still writable becomes read-only, whoever holds it */
		(void)file_put(AT_FDCWD, "/proc/sysrq-trigger", "u", NULL);
}

static _Noreturn void finish(struct machine *m)
{
	const struct shutdown *s = &m->shutdown;

	control_stop(&m->control);
	if (m->net_started)
		net_stop(&m->net);
	watchdog_feed(&m->watchdog);
	kill_everything();
	keep_state(m);
	unmount_all();
	watchdog_feed(&m->watchdog);
	log_notice("%s now", kinds[s->kind].doing);
	pause_ms(POLL_MS); /* the console's last line */
	reboot(kinds[s->kind].command);
	log_error("the kernel refuses to end: %s", strerror(errno));
	for (;;)
		pause();
}

/* --- the stages in the loop --- */

static void enter_services(struct machine *m)
{
	struct shutdown *s = &m->shutdown;

	s->stage = STAGE_SERVICES;
	kill_group("containers");
	super_stop_all(&m->super, NULL);
	(void)timer_set(m->loop, &s->timer, POLL_MS);
}

static void on_timer(struct timer_event *ev)
{
	struct shutdown *s = container_of(ev, struct shutdown, timer);
	struct machine *m = s->machine;

	if (s->stage == STAGE_CONTAINERS) {
		if (!super_alive(&m->engine))
			enter_services(m);
	} else if (s->stage == STAGE_SERVICES && !super_any_alive(&m->super, NULL)) {
		s->stage = STAGE_END;
		finish(m);
	}
	/* each service has its own bound (stop_ms, then SIGKILL), so this ends */
	(void)timer_set(m->loop, &s->timer, POLL_MS);
}

void shutdown_begin(struct machine *m, enum shutdown_kind kind, const char *reason)
{
	struct shutdown *s = &m->shutdown;

	if (s->stage != STAGE_NONE) {
		log_notice("%s is asked for (%s), but the machine is %s already", kinds[kind].verb,
			   reason, kinds[s->kind].doing);
		return;
	}
	s->machine = m;
	s->kind = kind;
	s->stage = STAGE_CONTAINERS;
	s->timer.fn = on_timer;
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	log_notice("%s: %s", kinds[kind].doing, s->reason);
	/* its stop signal is SIGPWR: stop the containers, then exit */
	super_stop(&m->engine);
	(void)timer_set(m->loop, &s->timer, POLL_MS);
}
