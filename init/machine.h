/*
 * struct machine: everything PID 1 holds, handed to each phase and handler.
 *
 * One per process, on main's stack. The parts are described in their own headers; this one only
 * says which there are. Used by the files of init/ itself, never by boot/, super/ or net/.
 */
#ifndef SKERRY_INIT_MACHINE_H
#define SKERRY_INIT_MACHINE_H

#include "init/base/loop.h"
#include "init/base/sha256.h"
#include "init/boot/ident.h"
#include "init/boot/klog.h"
#include "init/boot/options.h"
#include "init/boot/report.h"
#include "init/boot/storage.h"
#include "init/control.h"
#include "init/net/net.h"
#include "init/power.h"
#include "init/shutdown.h"
#include "init/super/super.h"
#include "init/watchdog.h"

#define MACHINE_BOOT_JSON "/run/skerry/boot.json"
#define MACHINE_RESOLV_CONF "/run/skerry/resolv.conf" /* /etc/resolv.conf is a link to it */
#define MACHINE_ISSUE "/run/skerry/issue" /* what the console's profile shows */
#define MACHINE_PKI_RUN "/run/skerry/pki"
#define MACHINE_PKI_ETC "/etc/skerry/pki"
#define MACHINE_SYSTEM_YAML "/etc/skerry/system.yaml"
#define MACHINE_ENGINE "/sbin/skerryd"
#define MACHINE_LOG "/var/log/skerry"
#define MACHINE_CLOCK STORAGE_MACHINE "/clock"
#define MACHINE_SEED STORAGE_MACHINE "/seed"
#define MACHINE_NOTE STORAGE_MACHINE "/last"

struct machine {
	struct loop *loop;
	struct options options;
	char **settings; /* of system.yaml, flat; never NULL after phase "config" */
	unsigned char settings_digest[SHA256_SIZE]; /* of the text they came from */
	struct report report;
	struct storage storage;
	struct klog klog;
	struct super super;
	struct service engine, console;
	struct service_spec engine_spec, console_spec;
	char console_tty[32], console_term[16];
	const char *console_env[6];
	struct net net;
	bool net_started;
	struct control control;
	struct power power;
	struct watchdog watchdog;
	struct shutdown shutdown;
	struct timer_event housekeeping;
	struct timer_event console_timer; /* armed while the console waits for the first address */
	bool seed_kept;
	int64_t build_time; /* seconds since 1970 */
	char id[MACHINE_ID_LEN + 1];
	char hostname[HOSTNAME_MAX + 1];
};

/* phases.c: the boot, phase by phase; starts everything that the loop then serves. */
void machine_boot(struct machine *m);
/* services.c: the service table of the machine itself (engine, console); net adds its own. */
void machine_start_services(struct machine *m);
/* services.c: the network changed: the console's text follows, and a console that waited starts. */
void machine_network_changed(struct machine *m);
/* services.c: writes the text that the console shows above its prompt. */
void machine_write_issue(const struct machine *m);
/* The machine as one JSON object: boot report, services, links. */
void machine_json(const struct machine *m, struct buf *out);

#endif
