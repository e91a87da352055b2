/*
 * Certificates handed over by QEMU: firmware configuration items that become files.
 *
 * The launcher gives `opt/skerry/server.pem`, `opt/skerry/server-key.pem` and
 * `opt/skerry/client-ca.pem`; they appear under /sys/firmware/qemu_fw_cfg/by_name/NAME/raw. All
 * three or none: the engine opens its TCP port only with a complete set.
 */
#ifndef SKERRY_BOOT_HANDOVER_H
#define SKERRY_BOOT_HANDOVER_H

#include "init/base/err.h"

/* Copies the items below `from` (".../by_name") into the folder `to` (made, 0700; files 0600). 1
 * when they were there, 0 when there are none, -ENOENT naming what is missing when only some
 * are. */
int handover_pki(const char *from, const char *to, struct err *e);

#endif
