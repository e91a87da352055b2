/*
 * skerryd: one binary, its role by the first argument.
 *
 *   skerryd                  the engine: one loop, all modules, the API
 *   skerryd shim DIR         keeps one container (engine/shim/); with --maker: forks those that do
 *   skerryd worker NAME …    one blocking or dangerous job
 *   skerryd runtime …        the OCI command line (engine/runtime/); and so when called as
 *                            skerry-runtime
 *   skerryd settings FILE    system.yaml to plain lines, for PID 1
 *   skerryd store-check DIR  is this store of images in order? for tests and people
 *
 * The engine's start: state is read from files, shims that still run are found again, then the API
 * opens and the manifests are followed. SIGTERM ends the engine alone (containers run on); SIGPWR
 * stops all containers with their grace periods first. See DESIGN.md section 1.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "engine/api/api.h"
#include "engine/container/top.h"
#include "engine/data/paths.h"
#include "engine/data/settings.h"
#include "engine/dns/dns.h"
#include "engine/files/files.h"
#include "engine/http/tls.h"
#include "engine/manifest/manifest.h"
#include "engine/plugin/plugin.h"
#include "engine/proxy/proxy.h"
#include "engine/registry/registry.h"
#include "engine/runtime/runtime.h"
#include "engine/shim/client.h"
#include "engine/shim/logpack.h"
#include "engine/state/reserve.h"
#include "engine/syslog/syslog.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

#define API_LISTEN_DEFAULT "0.0.0.0:2376"

enum {
	RESERVE_MS = 10 * 1000, /* between two looks at whether the reserve can be taken back */
	ENGINE_FILES = 65536, /* connections, shims and held ports of all containers at once */
	ROLE_FILES = 1024, /* the usual again (init/phases.c): containers inherit a shim's */
};

struct role {
	const char *name;
	int (*main)(int argc, char **argv); /* argv[0] is the role's name */
};

static const struct role workers[] = {
	/* clang-format off */
	{ "unpack", image_unpack_worker },
	{ "store", image_store_worker },
	{ "save", image_save_worker },
	{ "fetch", registry_fetch_worker },
	{ "volume", volume_worker_main },
	{ "remove", container_remove_worker },
	{ FILES_WORKER, files_worker_main },
	{ "top", container_top_worker },
	{ DNS_WORKER, dns_worker },
	{ PLUGIN_WORKER, plugin_worker_main },
	{ PROXY_WORKER, proxy_worker },
	{ LOGPACK_WORKER, logpack_worker },
	{ SYSLOG_WORKER, syslog_worker },
	/* clang-format on */
};

static int run_role(const struct role *roles, size_t n, const char *what, int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < n; i++) {
		if (str_eq(roles[i].name, argv[0])) {
			log_open(roles[i].name, STDERR_FILENO);
			return roles[i].main(argc, argv);
		}
	}
	fprintf(stderr, "skerryd: there is no %s '%s'\n", what, argc > 0 ? argv[0] : "");
	return 2;
}

static int worker_main(int argc, char **argv)
{
	return run_role(workers, ARRAY_SIZE(workers), "worker", argc - 1, argv + 1);
}

static const struct role roles[] = {
	{ "shim", shim_main },
	{ "worker", worker_main },
	{ "runtime", runtime_main },
	{ "settings", settings_main },
	{ "store-check", image_check_main },
};

/* ---- the engine ---- */

struct daemon {
	struct engine en;
	struct plugins *plugins;
	struct tls_context *tls;
	char *boot_id;
	char *machine_id;
	char *listen; /* address of the API over TCP */
	char **settings; /* lines of system.yaml; NULL: there are none to be had */
	struct remap remap; /* engine.userns-remap */
	struct image_limits limits; /* engine.image-limits */
	struct signal_event term, power;
	struct timer_event reserve;
};

static const char *const archive_dirs[] = { PATH_IMAGES_BAKED, PATH_IMAGES_PRELOAD, NULL };

static const char *const plugin_dirs[] = { PATH_PLUGINS_ETC, PATH_PLUGINS_LIB, NULL };

static char *read_line(const char *path)
{
	char *text = NULL;

	if (file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static const char *user_of_image(const char *image_id, bool *ret_running, void *data)
{
	struct daemon *d = data;

	return containers_use_image(d->en.containers, image_id, ret_running);
}

static int make_volumes(struct daemon *d, struct err *e)
{
	const struct plugins_config plugins = {
		.loop = d->en.loop,
		.sockets = PATH_PLUGINS,
		.specs = plugin_dirs,
		.ca_bundle = PATH_CA_BUNDLE,
	};
	/* so that a plugin's container can mount it */
	int r = dir_make(AT_FDCWD, PATH_PLUGINS, 0755, e);

	if (r == 0)
		r = plugins_new(&plugins, &d->plugins, e);
	if (r == 0)
		r = volumes_new(d->en.loop, PATH_STATE, &d->en.volumes, e);
	if (r == 0)
		volumes_set_plugins(d->en.volumes, d->plugins);
	return r;
}

static int make_modules(struct daemon *d, struct err *e)
{
	struct engine *en = &d->en;
	const struct images_config images = {
		.dir = PATH_STATE "/images",
		.archive_dirs = archive_dirs,
		.loop = en->loop,
		.limits = d->limits,
	};
	const struct nets_config nets = {
		.run_dir = PATH_RUN,
		.state_dir = PATH_STATE,
		.resolv_conf = PATH_RESOLV_CONF,
		.dns = true,
		.proxy = true,
	};
	struct containers_config containers = {
		.state_dir = PATH_STATE "/containers",
		.run_dir = PATH_RUN,
		.boot_id = d->boot_id,
		.init_program = PATH_CONTAINER_INIT,
		.remap = d->remap,
		.loop = en->loop,
		.events = en->events,
	};
	int r = images_new(&images, &en->images, e);

	if (r == 0)
		r = registry_new(&(struct registry_config){ .loop = en->loop,
							    .images = en->images,
							    .settings = d->settings,
							    .ca_bundle = PATH_CA_BUNDLE,
							    .certs_dir = PATH_CERTS_D,
							    .auth_file = PATH_REGISTRY_AUTH },
				 &en->registry, e);
	if (r == 0)
		r = nets_new(en->loop, &nets, &en->nets, e);
	if (r == 0)
		r = make_volumes(d, e);
	if (r == 0)
		r = containers_mount_points(PATH_RUN, e);
	if (r == 0) {
		containers.images = en->images;
		containers.nets = en->nets;
		containers.volumes = en->volumes;
		r = containers_new(&containers, &en->containers, e);
	}
	if (r == 0)
		images_set_users(en->images, user_of_image, d);
	return r;
}

/* Certificates come from PID 1 (handed over by the machine's host), else from /etc. -ENOENT when
 * not provisioned. */
static int load_certificates(struct daemon *d, struct err *e)
{
	static const struct tls_files places[] = {
		{ PATH_PKI_RUN "/server.pem", PATH_PKI_RUN "/server-key.pem",
		  PATH_PKI_RUN "/client-ca.pem" },
		{ PATH_PKI_ETC "/server.pem", PATH_PKI_ETC "/server-key.pem",
		  PATH_PKI_ETC "/client-ca.pem" },
	};
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(places); i++)
		r = tls_context_new(&places[i], &d->tls, e);
	return r;
}

/* A mistake anywhere in the settings must not take the users of containers away: the last map that
 * was read counts then. */
static void settle_remap(struct daemon *d, char *const *list)
{
	_cleanup_(mem_free) char *last = read_line(PATH_STATE_REMAP);
	char text[REMAP_TEXT_MAX];
	struct err e = { 0 };

	if (!list)
		(void)remap_parse(last, &d->remap);
	else
		(void)remap_parse(strv_env_get(list, "engine.userns-remap"), &d->remap);
	(void)remap_text(&d->remap, text);
	if (list && !str_eq(last ? last : "", text) &&
	    file_replace(AT_FDCWD, PATH_STATE_REMAP, text, strlen(text), 0600, true, &e) < 0)
		log_warn("%s", err_text(&e));
	d->en.userns_remap = d->remap.count > 0;
}

static void read_settings(struct daemon *d)
{
	char **list = NULL;
	struct err e = { 0 };
	const char *listen = NULL;

	if (settings_read_file(PATH_SYSTEM_YAML, &list, &e) < 0)
		log_warn("%s; the defaults are used", err_text(&e));
	else
		listen = strv_env_get(list, "api.listen");
	settle_remap(d, list);
	image_limits_settings(list, &d->limits);
	d->settings = list;
	d->listen = str_dup(listen ? listen : API_LISTEN_DEFAULT);
}

static int open_api(struct daemon *d, struct err *e)
{
	struct api_config cfg = { .socket = PATH_SOCKET };
	struct err why = { 0 };
	int r = load_certificates(d, &why);

	if (r == 0) {
		cfg.tls = d->tls;
		cfg.tcp = d->listen;
	} else if (r == -ENOENT) {
		log_notice("no server certificate and client CA: the API is on %s only",
			   PATH_SOCKET);
	} else {
		log_error("the API is not opened on TCP: %s", err_text(&why));
	}
	return api_open(&d->en, &cfg, e);
}

/* All shims have answered or are given up: now the declared containers. */
static void restored(void *data)
{
	struct daemon *d = data;
	const struct manifests_config cfg = {
		.dir = PATH_COMPOSE,
		.files_dir = PATH_STATE "/manifests",
		.remap = d->remap,
		.loop = d->en.loop,
		.containers = d->en.containers,
		.images = d->en.images,
		.volumes = d->en.volumes,
		.nets = d->en.nets,
		.registry = d->en.registry,
	};
	struct err e = { 0 };

	if (manifests_new(&cfg, &d->en.manifests, &e) < 0)
		log_error("manifests: %s", err_text(&e));
	else
		manifests_start(d->en.manifests);
}

static void on_term(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	(void)info;
	log_info("ending; containers run on");
	loop_quit(ev->loop, 0);
}

static void all_stopped(void *data)
{
	struct daemon *d = data;

	log_info("all containers are stopped");
	loop_quit(d->en.loop, 0);
}

static void on_power(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	struct daemon *d = container_of(ev, struct daemon, power);

	(void)info;
	log_info("stopping all containers");
	if (d->en.manifests)
		manifests_stop(d->en.manifests);
	containers_stop_all(d->en.containers, all_stopped, d);
}

/* Removals on a full disk may have given it up (engine/state/reserve.h). */
static void keep_reserve(struct timer_event *ev)
{
	struct daemon *d = container_of(ev, struct daemon, reserve);
	struct err e = { 0 };

	if (reserve_fill(PATH_STATE, &e) < 0)
		log_warn("%s", err_text(&e));
	(void)timer_set(d->en.loop, ev, RESERVE_MS);
}

static int watch_signals(struct daemon *d, struct err *e)
{
	d->term.fn = on_term;
	d->power.fn = on_power;
	if (signal_add(d->en.loop, &d->term, SIGTERM) < 0 ||
	    signal_add(d->en.loop, &d->power, SIGPWR) < 0)
		return err_set(e, EIO, "signals cannot be watched");
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int start_engine(struct daemon *d, struct err *e)
{
	int r = loop_new(&d->en.loop, e);

	d->en.events = events_new();
	d->boot_id = read_line("/proc/sys/kernel/random/boot_id");
	d->machine_id = read_line("/etc/machine-id");
	if (r == 0 && (!d->en.events || !d->boot_id))
		r = err_set(e, EIO, "the engine cannot start: no memory or no /proc");
	d->en.state_dir = PATH_STATE;
	d->en.init_program = PATH_CONTAINER_INIT;
	d->en.boot_json = PATH_BOOT_JSON;
	d->en.machine_id = d->machine_id;
	read_settings(d);
	if (r == 0)
		r = watch_signals(d, e);
	if (r == 0)
		r = make_modules(d, e);
	if (r == 0) {
		d->reserve.fn = keep_reserve;
		keep_reserve(&d->reserve);
	}
	if (r == 0)
		r = open_api(d, e);
	if (r == 0)
		containers_restore(d->en.containers, restored, d);
	return r;
}

static void end_engine(struct daemon *d)
{
	timer_clear(&d->reserve);
	api_close(&d->en);
	manifests_free(d->en.manifests);
	containers_free(d->en.containers);
	images_free(d->en.images);
	registry_free(d->en.registry);
	volumes_free(d->en.volumes);
	plugins_free(d->plugins);
	nets_free(d->en.nets);
	events_free(d->en.events);
	tls_context_free(d->tls);
	loop_free(d->en.loop);
	free(d->boot_id);
	free(d->machine_id);
	free(d->listen);
	strv_free(d->settings);
}

static int engine_main(void)
{
	struct daemon d = { 0 };
	struct err e = { 0 };
	int code = 1;

	if (start_engine(&d, &e) < 0)
		log_error("%s", err_text(&e));
	else
		code = loop_run(d.en.loop);
	end_engine(&d);
	return code;
}

/* Only the soft limit: what a container is allowed at most stays as PID 1 set it. */
static void limit_files(rlim_t soft)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = MIN(soft, l.rlim_max);
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

int main(int argc, char **argv)
{
	umask(022);
	log_open("skerryd", STDERR_FILENO);
	if (argc > 0 && str_ends(argv[0], "skerry-runtime"))
		return runtime_main(argc, argv);
	if (argc > 1) {
		if (!str_eq(argv[1], "runtime")) /* that one keeps its caller's */
			limit_files(ROLE_FILES);
		return run_role(roles, ARRAY_SIZE(roles), "role", argc - 1, argv + 1);
	}
	limit_files(ENGINE_FILES);
	return engine_main();
}
