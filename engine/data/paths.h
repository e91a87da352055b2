/*
 * Where things are in the machine (DESIGN.md section 3). main.c hands them to the modules as their
 * configuration; host tests hand over temporary folders instead, so no module uses these itself.
 */
#ifndef SKERRY_DATA_PATHS_H
#define SKERRY_DATA_PATHS_H

#define PATH_STATE "/var/lib/skerry"
#define PATH_STATE_REMAP PATH_STATE "/userns-remap" /* the last engine.userns-remap that was read */
#define PATH_RUN "/run/skerry"
#define PATH_SOCKET "/run/docker.sock"
#define PATH_PKI_RUN "/run/skerry/pki"
#define PATH_PKI_ETC "/etc/skerry/pki"
#define PATH_SYSTEM_YAML "/etc/skerry/system.yaml"
#define PATH_COMPOSE "/etc/skerry/compose"
#define PATH_IMAGES_BAKED "/usr/share/skerry/images"
#define PATH_IMAGES_PRELOAD "/var/lib/skerry/preload"
#define PATH_BOOT_JSON "/run/skerry/boot.json"
/* The first process of containers with --init. */
#define PATH_CONTAINER_INIT "/usr/libexec/docker-init"
/* PID 1 writes it; /etc/resolv.conf is a link to it. */
#define PATH_RESOLV_CONF "/run/skerry/resolv.conf"
/* Whom registries' certificates may be signed by, and Docker's folders for single ones. */
#define PATH_CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define PATH_CERTS_D "/etc/docker/certs.d"
/* The machine's own credentials for registries, in the form that `docker login` writes. */
#define PATH_REGISTRY_AUTH "/etc/docker/config.json"
/* Plugins of volumes and networks: sockets, and files that say where they are. */
#define PATH_PLUGINS "/run/docker/plugins"
#define PATH_PLUGINS_ETC "/etc/docker/plugins"
#define PATH_PLUGINS_LIB "/usr/lib/docker/plugins"

#endif
