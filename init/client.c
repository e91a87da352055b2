/*
 * The client side of the control socket, by name and by word.
 *
 * udhcpc runs `default.script EVENT` with the lease in the environment; using this binary as the
 * script spares a shell per event, and what DHCP servers send never reaches a shell at all.
 */
#include "init/client.h"

#include <poll.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "init/base/msg.h"
#include "init/base/str.h"
#include "init/control.h"

enum { ANSWER_MS = 10000, REASON_MAX = 150 };

/* Sends and prints the answer; the exit status. */
static int ask(const char *request, size_t len, bool print)
{
	char answer[MSG_SIZE_MAX];
	struct err e = { 0 };
	_cleanup_(fd_close) int fd = msg_connect(CONTROL_SOCKET, &e);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (fd < 0 || msg_send(fd, request, len, NULL, 0, &e) < 0) {
		fprintf(stderr, "PID 1 cannot be reached: %s\n", err_text(&e));
		return 1;
	}
	if (poll(&p, 1, ANSWER_MS) != 1) {
		fprintf(stderr, "PID 1 does not answer\n");
		return 1;
	}
	n = msg_recv(fd, answer, sizeof(answer), NULL, NULL, &e);
	if (n <= 0) {
		fprintf(stderr, "PID 1 gave no answer\n");
		return 1;
	}
	if (str_starts(answer, "error: ")) {
		fprintf(stderr, "%s\n", answer + strlen("error: "));
		return 1;
	}
	if (print)
		printf("%s\n", answer);
	return 0;
}

static int force(const char *verb)
{
	sync();
	if (str_eq(verb, "poweroff"))
		reboot(RB_POWER_OFF);
	else if (str_eq(verb, "halt"))
		reboot(RB_HALT_SYSTEM);
	else
		reboot(RB_AUTOBOOT);
	perror(verb);
	return 1;
}

static int end_machine(const char *verb, int argc, char **argv)
{
	_cleanup_(mem_free) char *words = NULL;
	char request[256];
	int first = argc > 0 && str_eq(argv[0], "-f");

	if (first)
		return force(verb);
	words = strv_join(argv, " ");
	snprintf(request, sizeof(request), "%s %.*s", verb, REASON_MAX,
		 str_empty(words) ? "" : words);
	return ask(request, strlen(request), false);
}

int client_net_event(const char *event, char *const *env, struct buf *out)
{
	static const char *const names[] = { "interface", "ip",	    "mask",  "router",	    "dns",
					     "domain",	  "ntpsrv", "lease", "staticroutes" };

	buf_printf(out, "net-event %s\n", event);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = strv_env_get(env, names[i]), *p;

		for (p = value; p && *p && (unsigned char)*p >= 0x20 && *p != 0x7f; p++)
			;
		if (p && !*p)
			buf_printf(out, "%s=%s\n", names[i], value);
	}
	return buf_failed(out);
}

static int net_event_main(int argc, char **argv)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(CONTROL_MESSAGE_MAX - 1);

	if (argc < 2 || client_net_event(argv[1], environ, &request) < 0)
		return 1;
	return ask(request.data, request.len, false);
}

static int ntp_event_main(int argc, char **argv)
{
	char request[64];

	if (argc < 2 || str_format(request, sizeof(request), "ntp-event %s", argv[1]) < 0)
		return 1;
	return ask(request, strlen(request), false);
}

int client_main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "init";

	if (str_eq(name, "default.script"))
		return net_event_main(argc, argv);
	if (str_eq(name, "ntp-event"))
		return ntp_event_main(argc, argv);
	if (str_eq(name, "init") && argc > 1) { /* by word */
		name = argv[1];
		argv++;
		argc--;
	}
	if (str_eq(name, "status"))
		return ask("status", strlen("status"), true);
	if (str_eq(name, "reboot") || str_eq(name, "poweroff") || str_eq(name, "halt"))
		return end_machine(name, argc - 1, argv + 1);
	fprintf(stderr, "usage: init status | init reboot|poweroff|halt [-f] [REASON]\n");
	return 2;
}
