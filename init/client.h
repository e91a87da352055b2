/*
 * PID 1's binary under its other names: reboot, poweroff, halt, and the event programs of udhcpc
 * and ntpd.
 *
 *   reboot|poweroff|halt [-f] [REASON]   asks PID 1; -f skips it (sync, then the kernel at once)
 *   init status                          prints the machine as JSON
 *   init reboot|poweroff|halt [REASON]   the same by word
 *   default.script EVENT                 udhcpc's script: its environment becomes a net-event
 *   ntp-event EVENT                      ntpd's program
 */
#ifndef SKERRY_INIT_CLIENT_H
#define SKERRY_INIT_CLIENT_H

#include "init/base/buf.h"
#include "init/base/err.h"

/* main() of every process but PID 1; returns the exit status. */
int client_main(int argc, char **argv);
/* Builds the request of a DHCP event from an environment; values with control characters are
 * left out. */
int client_net_event(const char *event, char *const *env, struct buf *out);

#endif
