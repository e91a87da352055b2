/*
 * Time servers: which ones, and the ntpd that asks them. Split from net.c for its size only.
 *
 * Those of system.yaml win, else those that DHCP names, else none: the machine asks nobody on the
 * internet that nobody named. ntpd runs only while the machine has an address.
 */
#ifndef SKERRY_NET_NTP_H
#define SKERRY_NET_NTP_H

#include "init/net/net.h"

void ntp_init(struct net *n);
/* Looks at settings, leases and addresses again; starts, restarts or stops ntpd. */
void ntp_update(struct net *n);
/* A host name or an address, as it may be given to ntpd. */
bool ntp_server_valid(const char *name);

#endif
