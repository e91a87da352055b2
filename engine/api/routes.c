/*
 * All routes as one table, the version gate, and opening the listeners.
 *
 * First match wins, so a literal path stands before a pattern that covers it. What Docker has and
 * we have not yet is listed too, with the words of its 501: a client then hears "not supported",
 * not "page not found", which would mean another kind of server.
 */
#include "engine/api/inside.h"
#include "engine/data/yaml.h"

#include <sys/un.h>

#include "init/base/clock.h"
#include "init/base/log.h"

#define GET(pattern, fn)                       \
	{                                      \
		"GET", pattern, fn, 0, 0, NULL \
	}
#define HEAD(pattern, fn)                       \
	{                                       \
		"HEAD", pattern, fn, 0, 0, NULL \
	}
#define POST(pattern, fn)                                  \
	{                                                  \
		"POST", pattern, fn, 0, API_BODY_MAX, NULL \
	}
#define DELETE(pattern, fn)                       \
	{                                         \
		"DELETE", pattern, fn, 0, 0, NULL \
	}
/* The body is left unread: the answer ends the connection if there is one. */
#define LATER(method, pattern, what)                                           \
	{                                                                      \
		method, pattern, answer_unsupported, HTTP_BODY_STREAM, 0, what \
	}
#define SWARM(method, pattern)                                              \
	{                                                                   \
		method, pattern, answer_no_swarm, HTTP_BODY_STREAM, 0, NULL \
	}

const struct http_route api_routes[] = {
	/* system */
	HEAD("/_ping", system_ping),
	GET("/_ping", system_ping),
	GET("/version", system_version),
	GET("/info", system_info),
	GET("/events", events_watch),
	GET("/system/df", df_read),
	POST("/auth", auth_check),
	/* containers */
	GET("/containers/json", containers_list),
	POST("/containers/create", containers_create),
	POST("/containers/prune", containers_prune),
	GET("/containers/{id}/json", containers_inspect),
	GET("/containers/{id}/logs", logs_read),
	POST("/containers/{id}/start", verb_start),
	POST("/containers/{id}/stop", verb_stop),
	POST("/containers/{id}/restart", verb_restart),
	POST("/containers/{id}/kill", verb_kill),
	POST("/containers/{id}/wait", verb_wait),
	POST("/containers/{id}/attach", attach_open),
	GET("/containers/{id}/attach/ws", attach_websocket),
	POST("/containers/{id}/resize", resize_container),
	POST("/containers/{id}/rename", containers_rename),
	DELETE("/containers/{id}", verb_remove),
	GET("/containers/{id}/top", top_read),
	GET("/containers/{id}/changes", archive_changes),
	GET("/containers/{id}/export", archive_export),
	GET("/containers/{id}/stats", stats_read),
	POST("/containers/{id}/pause", verb_pause),
	POST("/containers/{id}/unpause", verb_unpause),
	POST("/containers/{id}/update", containers_update),
	HEAD("/containers/{id}/archive", archive_stat),
	GET("/containers/{id}/archive", archive_get),
	{ "PUT", "/containers/{id}/archive", archive_put, HTTP_BODY_STREAM, 0, NULL },
	LATER("GET", "/containers/{id}/checkpoints", "checkpoints"),
	LATER("POST", "/containers/{id}/checkpoints", "checkpoints"),
	LATER("DELETE", "/containers/{id}/checkpoints/{checkpoint}", "checkpoints"),
	/* exec */
	POST("/containers/{id}/exec", exec_make),
	POST("/exec/{id}/start", exec_run),
	POST("/exec/{id}/resize", resize_exec),
	GET("/exec/{id}/json", exec_show),
	/* images */
	GET("/images/json", images_list),
	{ "POST", "/images/load", images_load_archive, HTTP_BODY_STREAM, 0, NULL },
	{ "POST", "/images/create", images_create, HTTP_BODY_STREAM, 0, NULL },
	GET("/images/search", images_search),
	GET("/images/get", images_save_many),
	POST("/images/prune", images_prune),
	GET("/images/{name*}/json", images_inspect),
	GET("/images/{name*}/history", images_history),
	POST("/images/{name*}/tag", images_tag_one),
	GET("/images/{name*}/get", images_save_one),
	POST("/images/{name*}/push", images_push),
	DELETE("/images/{name*}", images_remove_one),
	POST("/commit", commit_make),
	GET("/distribution/{name*}/json", distribution_inspect),
	/* build */
	LATER("POST", "/build", "building images"),
	LATER("POST", "/build/prune", "pruning the build cache"),
	LATER("POST", "/build/cancel", "building images"),
	/* networks */
	GET("/networks", networks_list),
	GET("/networks/{id}", networks_inspect),
	POST("/networks/create", networks_create),
	POST("/networks/prune", networks_prune),
	POST("/networks/{id}/connect", networks_connect),
	POST("/networks/{id}/disconnect", networks_disconnect),
	DELETE("/networks/{id}", networks_remove),
	/* volumes */
	GET("/volumes", volumes_list),
	POST("/volumes/create", volumes_create),
	POST("/volumes/prune", volumes_prune),
	GET("/volumes/{name}", volumes_inspect),
	DELETE("/volumes/{name}", volumes_remove),
	LATER("PUT", "/volumes/{name}", "updating cluster volumes"),
	/* plugins */
	GET("/plugins", answer_empty_list),
	LATER("GET", "/plugins/privileges", "plugins"),
	LATER("POST", "/plugins/pull", "plugins"),
	LATER("POST", "/plugins/create", "plugins"),
	LATER("GET", "/plugins/{name*}/json", "plugins"),
	LATER("POST", "/plugins/{name*}/enable", "plugins"),
	LATER("POST", "/plugins/{name*}/disable", "plugins"),
	LATER("POST", "/plugins/{name*}/upgrade", "plugins"),
	LATER("POST", "/plugins/{name*}/push", "plugins"),
	LATER("POST", "/plugins/{name*}/set", "plugins"),
	LATER("DELETE", "/plugins/{name*}", "plugins"),
	/* swarm: there is none */
	SWARM("GET", "/swarm"),
	SWARM("POST", "/swarm/{verb}"),
	SWARM("GET", "/swarm/unlockkey"),
	SWARM("GET", "/nodes"),
	SWARM("GET", "/nodes/{id}"),
	SWARM("DELETE", "/nodes/{id}"),
	SWARM("POST", "/nodes/{id}/update"),
	SWARM("GET", "/services"),
	SWARM("POST", "/services/create"),
	SWARM("GET", "/services/{id}"),
	SWARM("DELETE", "/services/{id}"),
	SWARM("POST", "/services/{id}/update"),
	SWARM("GET", "/services/{id}/logs"),
	SWARM("GET", "/tasks"),
	SWARM("GET", "/tasks/{id}"),
	SWARM("GET", "/tasks/{id}/logs"),
	SWARM("GET", "/secrets"),
	SWARM("POST", "/secrets/create"),
	SWARM("GET", "/secrets/{id}"),
	SWARM("DELETE", "/secrets/{id}"),
	SWARM("POST", "/secrets/{id}/update"),
	SWARM("GET", "/configs"),
	SWARM("POST", "/configs/create"),
	SWARM("GET", "/configs/{id}"),
	SWARM("DELETE", "/configs/{id}"),
	SWARM("POST", "/configs/{id}/update"),
	/* ours */
	GET("/skerry/boot", skerry_boot),
	GET("/skerry/manifests", skerry_manifests),
	GET("/skerry/manifests/{name}", skerry_manifest_show),
	{ .method = "PUT",
	  .pattern = "/skerry/manifests/{name}",
	  .handler = skerry_manifest_put,
	  .limit = YAML_SIZE_MAX },
	POST("/skerry/manifests/{name}/confirm", skerry_manifest_confirm),
	DELETE("/skerry/manifests/{name}", skerry_manifest_remove),
};
const size_t api_n_routes = ARRAY_SIZE(api_routes);

/* Docker's words; what is too old for JSON errors gets plain text, as there. */
static int version_gate(const struct http_req *r, char *text, size_t size, bool *ret_plain)
{
	if (r->api_major == 0 && r->api_minor == 0)
		return 0;
	if (r->api_major < API_MAJOR ||
	    (r->api_major == API_MAJOR && r->api_minor < API_MINOR_MIN)) {
		snprintf(text, size,
			 "client version %u.%u is too old. Minimum supported API version is %s, "
			 "please "
			 "upgrade your client to a newer version\n",
			 r->api_major, r->api_minor, API_VERSION_MIN);
		*ret_plain = true;
		return 400;
	}
	if (r->api_major == API_MAJOR && r->api_minor <= API_MINOR)
		return 0;
	snprintf(text, size, "client version %u.%u is too new. Maximum supported API version is %s",
		 r->api_major, r->api_minor, API_VERSION);
	return 400;
}

int api_open_tcp(struct engine *en, const char *address, struct tls_context *tls, struct err *e)
{
	if (!tls)
		return err_set(e, EINVAL, "%s: the API is not served on the network without TLS",
			       address);
	return http_listen_tcp(en->http, address, tls, NULL, e);
}

int api_open(struct engine *en, const struct api_config *cfg, struct err *e)
{
	const struct http_config config = {
		.loop = en->loop,
		.routes = api_routes,
		.n_routes = api_n_routes,
		.headers = "Api-Version: " API_VERSION
			   "\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
			   "Server: Skerry/" SKERRY_VERSION " (linux)\r\n",
		.gate = version_gate,
		.user = en,
	};
	struct err tcp = { 0 };
	int r;

	en->started_ns = clock_real_ns();
	r = http_server_new(&config, &en->http, e);
	if (r == 0)
		r = http_listen_unix(en->http, cfg->socket, 0660, e);
	if (r < 0)
		return r;
	log_info("API listens on %s", cfg->socket);
	if (!cfg->tcp)
		return 0;
	if (api_open_tcp(en, cfg->tcp, cfg->tls, &tcp) < 0)
		log_error("API not on the network: %s", err_text(&tcp));
	else
		log_info("API listens on %s with mutual TLS", cfg->tcp);
	return 0;
}

void api_close(struct engine *en)
{
	http_server_free(take_ptr(en->http));
}
