/*
 * `skerryd worker fetch`: the process around session.c, and the table of what it can do.
 *
 * It reads certificates as root, then becomes a user of its own without capabilities, with the
 * network, with no files but those of the resolver, no exec, bounded memory; only then the first
 * byte is sent. What it was passed as descriptors it writes to. Started by fetch.c.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/image/limits.h"
#include "engine/registry/session_priv.h"
#include "engine/worker/sandbox.h"
#include "init/base/str.h"

enum {
	FETCH_UID = 64802,
	FETCH_MEMORY = 20 << 20, /* TLS, CAs, documents of 4 MiB and what they are parsed into */
	DOCUMENT_FILE_MAX = IMAGE_DOCUMENT_MAX,
};

static const struct {
	const char *name;
	fetch_kind_fn run;
} kinds[] = {
	{ "resolve", fetch_resolve },	{ "blob", fetch_blob },	    { "login", fetch_login },
	{ "address", fetch_address },	{ "upload", fetch_upload }, { "manifest", fetch_manifest },
	{ "describe", fetch_describe }, { "search", fetch_search },
};

static int read_endpoint(yyjson_val *value, struct endpoint *ep, struct err *e)
{
	int r = json_get_copy(value, "base", &ep->base, e);

	if (r == 0)
		r = json_get_bool(value, "mirror", &ep->mirror, e);
	if (r == 0)
		r = json_get_bool(value, "insecure", &ep->insecure, e);
	if (r == 0 && !ep->base)
		r = err_set(e, EBADMSG, "base: missing");
	return r;
}

static int read_place(struct session *s, yyjson_val *root, struct err *e)
{
	yyjson_val *object = NULL, *endpoints = NULL, *value;
	const char *domain = "", *path = "";
	size_t i, max;
	int r = json_get_object(root, "place", &object, e);

	if (r < 0 || !object)
		return r;
	s->place = calloc(1, sizeof(*s->place));
	if (s->place)
		s->place->endpoints = calloc(ENDPOINTS_MAX, sizeof(struct endpoint));
	if (!s->place || !s->place->endpoints)
		return err_set(e, ENOMEM, "out of memory");
	if ((r = json_get_text(object, "domain", &domain, e)) < 0 ||
	    (r = json_get_text(object, "path", &path, e)) < 0 ||
	    (r = json_get_array(object, "endpoints", &endpoints, e)) < 0 ||
	    (r = str_copy(s->place->domain, sizeof(s->place->domain), domain)) < 0 ||
	    (r = str_copy(s->place->path, sizeof(s->place->path), path)) < 0)
		return r;
	yyjson_arr_foreach(endpoints, i, max, value)
	{
		if (i >= ENDPOINTS_MAX)
			break;
		s->place->n_endpoints = i + 1;
		r = read_endpoint(value, &s->place->endpoints[i], e);
		if (r < 0)
			return r;
	}
	return s->place->n_endpoints > 0 ? 0 : err_set(e, EBADMSG, "endpoints: missing");
}

static int read_settings(struct session *s, yyjson_val *root, struct err *e)
{
	struct registry_settings *set = &s->settings;
	yyjson_val *o = NULL;
	int r = json_get_object(root, "settings", &o, e);

	if (r < 0 || (r = json_get_strv(o, "insecure", &set->insecure, e)) < 0 ||
	    (r = json_get_strv(o, "certificates", &set->certificates, e)) < 0 ||
	    (r = json_get_strv(o, "token_hosts", &set->token_hosts, e)) < 0 ||
	    (r = json_get_strv(o, "no_proxy", &set->no_proxy, e)) < 0 ||
	    (r = json_get_copy(o, "http_proxy", &set->http_proxy, e)) < 0 ||
	    (r = json_get_copy(o, "https_proxy", &set->https_proxy, e)) < 0 ||
	    (r = json_get_i64(o, "speed_bytes", &set->speed_bytes, e)) < 0)
		return r;
	return json_get_i64(o, "speed_seconds", &set->speed_seconds, e);
}

static int read_auth(struct session *s, yyjson_val *root, struct err *e)
{
	yyjson_val *o = NULL;
	int r = json_get_object(root, "auth", &o, e);

	return r < 0 || !o ? r : registry_auth_read_object(o, &s->auth, e);
}

static int read_memory(struct session *s, yyjson_val *root, struct err *e)
{
	struct endpoint_state *state = s->state;
	int64_t endpoint = 0;
	yyjson_val *o = NULL;
	int r = json_get_object(root, "memory", &o, e);

	if (r < 0 || !o || (r = json_get_i64(o, "endpoint", &endpoint, e)) < 0)
		return r;
	if (endpoint >= 1 && s->place && (size_t)endpoint <= s->place->n_endpoints) {
		s->at = (size_t)endpoint - 1;
		state += s->at;
		state->settled = true;
	}
	if ((r = json_get_bool(o, "plain", &state->plain, e)) < 0 ||
	    (r = json_get_bool(o, "basic", &state->basic, e)) < 0)
		return r;
	return json_get_copy(o, "token", &state->token, e);
}

static int read_request(struct session *s, yyjson_val *root, struct err *e)
{
	int r = read_place(s, root, e);

	if (r == 0)
		r = read_settings(s, root, e);
	if (r == 0)
		r = read_auth(s, root, e);
	if (r == 0)
		r = read_memory(s, root, e);
	return r < 0 ? r : json_get_copy(root, "scope", &s->scope, e);
}

static int enter_sandbox(yyjson_val *root, struct err *e)
{
	/* the resolver's, and where mbedTLS takes its random numbers from */
	static const char *const wanted[] = { "/etc/resolv.conf", "/etc/hosts", "/dev/random" };
	struct worker_path paths[ARRAY_SIZE(wanted)];
	bool no_sandbox = false;
	struct worker_sandbox box = {
		.drop_user = true,
		.uid = FETCH_UID,
		.gid = FETCH_UID,
		.confine_files = true,
		.paths = paths,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_NET | WORKER_CALLS_LOOK,
		.max_memory = worker_memory_limit(FETCH_MEMORY),
		.max_file_size = DOCUMENT_FILE_MAX,
		.death_signal = SIGKILL,
	};
	int r = json_get_bool(root, "no_sandbox", &no_sandbox, e);

	if (r < 0 || no_sandbox)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (access(wanted[i], F_OK) == 0)
			paths[box.n_paths++] = (struct worker_path){ wanted[i], WORKER_READ };
	return worker_sandbox_apply(&box, e);
}

static int run_kind(struct session *s, struct worker_call *call, struct err *e)
{
	const char *kind = "";
	yyjson_val *args = NULL;
	int r = json_get_text(call->request, "kind", &kind, e);

	if (r == 0)
		r = json_get_object(call->request, "args", &args, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].name, kind))
			return kinds[i].run(s, call, args, e);
	return r < 0 ? r : err_set(e, EBADMSG, "there is no exchange \"%.32s\"", kind);
}

static int run(struct worker_call *call, struct err *e)
{
	_cleanup_(session_close) struct session s = { 0 };
	const char *bundle = NULL, *certs_dir = NULL;
	int r = read_request(&s, call->request, e);

	if (r == 0)
		r = json_get_text(call->request, "ca_bundle", &bundle, e);
	if (r == 0)
		r = json_get_text(call->request, "certs_dir", &certs_dir, e);
	if (r == 0)
		r = certs_load(&s, bundle, certs_dir, e);
	if (r == 0)
		r = session_open(&s, call, e);
	if (r == 0)
		r = enter_sandbox(call->request, e);
	return r < 0 ? r : run_kind(&s, call, e);
}

int registry_fetch_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve("fetch", run);
}
