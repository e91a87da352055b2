/*
 * The parts of config.json that stand in files of their own: resources (spec_resources.c), devices
 * (spec_devices.c). Called by spec.c with the writer inside the object or array named.
 */
#ifndef SKERRY_CONTAINER_SPEC_H
#define SKERRY_CONTAINER_SPEC_H

#include "engine/container/object.h"
#include "engine/container/shared.h"

/* Members memory, cpu, pids, blockIO into linux.resources. */
int spec_resources(const struct host_config *h, struct json_writer *w, struct err *e);
/* Elements for HostConfig.Devices into linux.resources.devices. */
int spec_device_rules(const struct host_config *h, struct json_writer *w, struct err *e);
/* The member linux.devices. */
int spec_devices(const struct host_config *h, struct json_writer *w, struct err *e);

#endif
