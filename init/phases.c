/*
 * The boot as a table of phases. Each is timed, and none may stop the boot: what fails is told and
 * the next one runs, because a machine with a console and a log can be helped.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/sha256.h"
#include "init/base/str.h"
#include "init/boot/early.h"
#include "init/boot/floor.h"
#include "init/boot/handover.h"
#include "init/boot/lastboot.h"
#include "init/boot/seed.h"
#include "init/boot/settings.h"
#include "init/machine.h"

enum {
	HOUSEKEEPING_FIRST_MS = 60000,
	HOUSEKEEPING_MS = 3600000,
	FILES_SOFT = 1024,
	FILES_HARD = 1 << 20,
};

/* --- early --- */

static int phase_early(struct machine *m, struct err *e)
{
	const struct rlimit files = { FILES_SOFT, FILES_HARD };
	int r = early_mounts(e);

	if (early_kmsg(NULL) == 0)
		log_open("init", STDERR_FILENO);
	report_publish(&m->report, MACHINE_BOOT_JSON);
	(void)sysctl_apply();
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (r < 0)
		return r;
	return early_cgroups(e);
}

/* --- config: the command line, the clock's first floor, the image's settings --- */

static void on_bad_option(void *data, const char *text)
{
	struct machine *m = data;
	char key[32]; /* each mistake is a warning of its own */

	snprintf(key, sizeof(key), "option%zu", (size_t)m->report.n_warnings);
	report_warn(&m->report, key, "%s", text);
}

/* Called for the image's file and again for the one the overlay shows; the same text is read
 * once. */
static void read_settings(struct machine *m)
{
	_cleanup_(mem_free) char *text = NULL;
	unsigned char digest[SHA256_SIZE];
	struct err e = { 0 };
	struct sha256 sha;
	size_t len = 0;
	char **list;

	(void)file_read(AT_FDCWD, MACHINE_SYSTEM_YAML, SETTINGS_FILE_MAX, &text, &len, NULL);
	sha256_init(&sha);
	sha256_add(&sha, text, len);
	sha256_end(&sha, digest);
	if (m->settings && memcmp(digest, m->settings_digest, sizeof(digest)) == 0)
		return;
	memcpy(m->settings_digest, digest, sizeof(digest));
	if (settings_load(MACHINE_ENGINE, MACHINE_SYSTEM_YAML, &list, &e) == 0) {
		strv_free(m->settings);
		m->settings = list;
		(void)report_clear(&m->report, "settings");
		return;
	}
	report_warn(&m->report, "settings", "system.yaml is not used: %s", err_text(&e));
	if (!m->settings)
		(void)settings_parse("", &m->settings, NULL);
}

static void raise_clock(struct machine *m, int64_t floor)
{
	int64_t before = clock_real_ns();
	char was[CLOCK_TEXT_MAX];
	struct err e = { 0 };
	int r = clock_raise(floor, &e);

	clock_format(before, was);
	was[strcspn(was, "T")] = '\0';
	if (r > 0 && floor > m->build_time)
		log_notice("the clock goes on from the last time this machine has seen");
	else if (r > 0)
		report_warn(
			&m->report, "clock",
			"no clock: it said %s, so it starts at the image's build until NTP sets it",
			was);
	else if (r < 0)
		log_warn("%s", err_text(&e));
}

/* What the console shows: what was asked for, else what the kernel was told but at least
 * notices, so that `quiet` quiets the kernel and not the boot. */
static void set_console_level(int asked)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t now = 0;
	char line[32];

	if (file_read(AT_FDCWD, "/proc/sys/kernel/printk", 64, &text, NULL, NULL) == 0) {
		text[strcspn(text, " \t\n")] = '\0';
		(void)str_to_u64(text, &now);
	}
	/* the console's level, that of lines without one, the least and the default of the
	 * console */
	snprintf(line, sizeof(line), "%d 6 1 7",
		 asked >= 0 ? asked + 1 : MAX((int)MIN(now, 8), LOG_NOTICE + 1));
	(void)sysctl_set("kernel.printk", line, NULL);
}

static int phase_config(struct machine *m, struct err *e)
{
	_cleanup_(mem_free) char *line = NULL;
	int r = file_read(AT_FDCWD, "/proc/cmdline", OPTIONS_LINE_MAX, &line, NULL, e);

	options_parse(r < 0 ? "" : line, &m->options, on_bad_option, m);
	set_console_level(m->options.loglevel);
	raise_clock(m, m->build_time);
	read_settings(m);
	return r;
}

/* --- storage --- */

static int phase_storage(struct machine *m, struct err *e)
{
	const char *choice = m->options.data;
	int r;

	if (!*choice) {
		choice = strv_env_get(m->settings, "storage.data");
		if (!choice || !data_choice_valid(choice))
			choice = "auto";
	}
	r = storage_mount(choice, &m->report, &m->storage, e);
	if (r == 0)
		r = storage_layout(&m->storage, e);
	if (storage_etc(&m->storage, &m->report, e) < 0)
		return -e->code;
	return r;
}

/* --- state: what the data partition remembers --- */

static void read_last_end(struct machine *m)
{
	_cleanup_(mem_free) char *panic = NULL;
	struct err e = { 0 };

	if (pstore_collect("/sys/fs/pstore", MACHINE_LOG "/pstore", &panic, &e) < 0)
		log_warn("pstore: %s", err_text(&e));
	m->report.previous = lastboot_sentence(MACHINE_NOTE, panic);
	if (m->report.previous)
		log_notice("%s", m->report.previous);
	if (lastboot_note(MACHINE_NOTE, "running", "", &e) < 0)
		log_warn("%s", err_text(&e));
}

static int phase_state(struct machine *m, struct err *e)
{
	int seeded = 0;

	if (m->storage.persistent) {
		if (klog_start(&m->klog, m->loop, MACHINE_LOG, e) < 0)
			log_warn("the log is not kept on disk: %s", err_text(e));
		read_last_end(m);
		raise_clock(m, clock_floor(m->build_time, clock_load(MACHINE_CLOCK)));
		seeded = seed_restore(MACHINE_SEED, e);
		if (seeded < 0)
			log_warn("random seed: %s", err_text(e));
	}
	m->seed_kept = seeded > 0;
	if (!seed_has_device())
		report_warn(&m->report, "entropy",
			    "no entropy device: random numbers come from the timing of events%s",
			    seeded > 0 ? " and the saved seed" : "");
	if (machine_id_ensure("/etc/machine-id", m->id, e) < 0)
		return err_wrap(e, "the machine's id is for this boot only");
	return 0;
}

/* --- settings: system.yaml as the overlay has it, the host's name, certificates --- */

static int phase_settings(struct machine *m, struct err *e)
{
	int r;

	if (m->storage.persistent || m->storage.read_only)
		read_settings(m);
	r = hostname_apply(m->options.hostname, strv_env_get(m->settings, "hostname"), NULL, e);
	(void)str_copy(
		m->hostname, sizeof(m->hostname),
		hostname_choose(m->options.hostname, strv_env_get(m->settings, "hostname"), NULL));
	if (handover_pki("/sys/firmware/qemu_fw_cfg/by_name", MACHINE_PKI_RUN, e) < 0) {
		report_warn(&m->report, "pki", "%s", err_text(e));
		return 0;
	}
	return r;
}

/* --- network --- */

static void on_net_warning(void *data, const char *key, const char *text)
{
	struct machine *m = data;

	if (text)
		report_warn(&m->report, key, "%s", text);
	else if (report_clear(&m->report, key))
		log_notice("the network is there");
}

static void on_net_change(void *data)
{
	machine_network_changed(data);
}

static int phase_network(struct machine *m, struct err *e)
{
	const struct net_config config = {
		.super = &m->super,
		.settings = m->settings,
		.hostname = m->hostname,
		.resolv_path = MACHINE_RESOLV_CONF,
		.warn = on_net_warning,
		.changed = on_net_change,
		.data = m,
	};

	if (control_start(&m->control, m, e) < 0)
		return -e->code;
	if (!m->options.network) {
		report_warn(&m->report, "network", "no network, as the command line says");
		return net_write_empty(MACHINE_RESOLV_CONF, e);
	}
	if (net_start(&m->net, m->loop, &config, e) < 0)
		return -e->code;
	m->net_started = true;
	return 0;
}

/* --- services --- */

static void on_housekeeping(struct timer_event *ev)
{
	struct machine *m = container_of(ev, struct machine, housekeeping);
	struct err e = { 0 };

	if (clock_save(MACHINE_CLOCK, &e) < 0)
		log_warn("%s", err_text(&e));
	/* a machine that never ends in order has a seed too, once its generator is ready */
	if (!m->seed_kept && seed_save(MACHINE_SEED, &e) == 0)
		m->seed_kept = true;
	(void)timer_set(m->loop, ev, HOUSEKEEPING_MS);
}

static int phase_services(struct machine *m, struct err *e)
{
	machine_start_services(m);
	m->housekeeping.fn = on_housekeeping;
	if (m->storage.persistent)
		(void)timer_set(m->loop, &m->housekeeping, HOUSEKEEPING_FIRST_MS);
	if (power_watch_button(&m->power, e) < 0)
		log_warn("power button: %s", err_text(e));
	if (m->options.watchdog && watchdog_start(&m->watchdog, m->loop, e) < 0)
		log_warn("watchdog: %s", err_text(e));
	return 0;
}

/* --- the table --- */

static const struct phase {
	const char *name;
	int (*run)(struct machine *m, struct err *e);
} phases[] = {
	{ "early", phase_early },	{ "config", phase_config },
	{ "storage", phase_storage },	{ "state", phase_state },
	{ "settings", phase_settings }, { "network", phase_network },
	{ "services", phase_services },
};

void machine_boot(struct machine *m)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(1024);

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		int64_t start = clock_mono_ms();
		struct err e = { 0 };
		int r = phases[i].run(m, &e);

		if (r < 0)
			report_warn(&m->report, phases[i].name, "%s: %s", phases[i].name,
				    err_text(&e));
		report_phase(&m->report, phases[i].name, start, clock_mono_ms(), r < 0);
	}
	if (report_line(&m->report, &line) == 0)
		log_notice("boot: %s", buf_text(&line));
}
