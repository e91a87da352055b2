/*
 * The machine's own services: the engine and the console. Those of links are in net/.
 *
 * Also what a person sees on the console before the prompt, since it belongs to the console
 * service: a file that the shell's profile prints.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "init/machine.h"

enum { ISSUE_MAX = 4096, CONSOLE_WAIT_MS = 2000 };

static const char *const engine_argv[] = { "skerryd", NULL };
static const char *const console_argv[] = { "-sh", NULL };
static const char *const engine_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL };

/* The terminal behind /dev/console, the last one in the kernel's list; a shell there gets job
 * control. */
static void find_tty(struct machine *m)
{
	_cleanup_(mem_free) char *active = NULL;
	const char *name = "console";

	if (file_read(AT_FDCWD, "/sys/class/tty/console/active", 256, &active, NULL, NULL) == 0) {
		char *last = strrchr(str_trim(active), ' ');

		name = last ? last + 1 : str_trim(active);
		if (str_eq(name, "tty0"))
			name = "tty1";
	}
	if (str_empty(name) || strchr(name, '/') ||
	    str_format(m->console_tty, sizeof(m->console_tty), "/dev/%s", name) < 0 ||
	    access(m->console_tty, F_OK) < 0)
		(void)str_copy(m->console_tty, sizeof(m->console_tty), "/dev/console");
	snprintf(m->console_term, sizeof(m->console_term), "TERM=%s",
		 str_eq(name, "tty1") ? "linux" : "vt220");
}

static void start_console(struct machine *m)
{
	size_t at = 0;

	find_tty(m);
	m->console_env[at++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	m->console_env[at++] = "HOME=/root";
	m->console_env[at++] = "USER=root";
	m->console_env[at++] = m->console_term;
	m->console_env[at] = NULL;
	m->console_spec = (struct service_spec){
		.path = "/bin/sh",
		.argv = console_argv,
		.env = m->console_env,
		.tty = m->console_tty,
		.stop_signal = SIGHUP, /* an interactive shell ignores SIGTERM */
		.stop_ms = 1000,
		.hold_ms = 60000,
		.quiet = true,
	};
	super_add(&m->super, &m->console, "console", &m->console_spec);
	super_start(&m->console);
}

static void on_console_timer(struct timer_event *ev)
{
	start_console(container_of(ev, struct machine, console_timer));
}

void machine_network_changed(struct machine *m)
{
	machine_write_issue(m);
	if (m->net.online && timer_armed(&m->console_timer)) {
		timer_clear(&m->console_timer);
		start_console(m);
	}
}

void machine_start_services(struct machine *m)
{
	m->engine_spec = (struct service_spec){
		.path = MACHINE_ENGINE,
		.argv = engine_argv,
		.env = engine_env,
		.cgroup = "engine",
		.oom_score_adj = -999, /* containers go first */
		.stop_signal = SIGPWR,
		.stop_ms = SHUTDOWN_ENGINE_MS,
		.hold_ms = 60000,
	};
	super_add(&m->super, &m->engine, "engine", &m->engine_spec);
	if (m->options.engine)
		super_start(&m->engine);
	else
		report_warn(&m->report, "engine",
			    "the engine is not started, as the command line says");
	machine_write_issue(m);
	if (!m->options.console)
		return;
	/* the addresses are what one looks for on a console: give DHCP a moment */
	m->console_timer.fn = on_console_timer;
	if (!m->net_started || m->net.online || m->net.n_links == 0 ||
	    timer_set(m->loop, &m->console_timer, CONSOLE_WAIT_MS) < 0)
		start_console(m);
}

static bool has_pki(void)
{
	return access(MACHINE_PKI_RUN "/server.pem", F_OK) == 0 ||
	       access(MACHINE_PKI_ETC "/server.pem", F_OK) == 0;
}

void machine_write_issue(const struct machine *m)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(ISSUE_MAX), addresses = BUF_INIT(1024);
	struct err e = { 0 };

	if (m->net_started)
		net_addresses(&m->net, &addresses);
	buf_printf(&text, "\nSkerry, machine %s\n", m->hostname);
	buf_printf(&text, "  addresses   %s\n",
		   addresses.len ? buf_text(&addresses) : "none yet (`init status` shows them)");
	if (has_pki())
		buf_add_text(&text,
			     "  Docker API  TCP port 2376 with mutual TLS, and /run/docker.sock\n");
	else
		buf_add_text(
			&text,
			"  Docker API  /run/docker.sock only: TCP port 2376 opens when "
			"server.pem,\n"
			"              server-key.pem and client-ca.pem are in " MACHINE_PKI_ETC
			"\n");
	buf_printf(&text, "  data        %s\n\n", m->report.data ? m->report.data : "none");
	if (file_replace(AT_FDCWD, MACHINE_ISSUE, text.data, text.len, 0644, false, &e) < 0)
		log_warn("%s", err_text(&e));
}

void machine_json(const struct machine *m, struct buf *out)
{
	buf_add_text(out, "{\"hostname\":");
	json_text(out, m->hostname);
	buf_printf(out, ",\"machine_id\":\"%s\",\"boot\":", m->id);
	report_json(&m->report, out);
	buf_add_text(out, ",\"services\":");
	super_json(&m->super, out);
	buf_add_text(out, ",\"links\":");
	if (m->net_started)
		net_json(&m->net, out);
	else
		buf_add_text(out, "[]");
	buf_add_text(out, "}\n");
}
