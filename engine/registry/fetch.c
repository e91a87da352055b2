/*
 * Starting a fetch worker and hearing from it: see fetch.h.
 *
 * The request holds secrets: it is overwritten when it is sent. What comes back is untrusted.
 */
#include "engine/registry/fetch.h"

#include <string.h>

#include "engine/registry/registry_priv.h"
#include "init/base/str.h"

enum { REQUEST_MAX = 512 << 10 };

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void fetch_memory_free(struct fetch_memory *m)
{
	secret_free(m->token);
	*m = (struct fetch_memory){ 0 };
}

int fetch_memory_take(yyjson_val *result, struct fetch_memory *m, struct err *e)
{
	struct fetch_memory found = { 0 };
	yyjson_val *o = NULL;
	int64_t endpoint = 0;
	int r = json_get_object(result, "memory", &o, e);

	if (r < 0 || !o)
		return r;
	if ((r = json_get_i64(o, "endpoint", &endpoint, e)) < 0 ||
	    (r = json_get_bool(o, "plain", &found.plain, e)) < 0 ||
	    (r = json_get_bool(o, "basic", &found.basic, e)) < 0 ||
	    (r = json_get_copy(o, "token", &found.token, e)) < 0)
		return r;
	found.endpoint = endpoint >= 0 && endpoint <= ENDPOINTS_MAX ? (int)endpoint : 0;
	fetch_memory_free(m);
	*m = found;
	return 0;
}

/* ---- the request ---- */

static void write_text(struct json_writer *w, const char *key, const char *text)
{
	if (!str_empty(text))
		json_member_str(w, key, text);
}

static void write_place(struct json_writer *w, const struct place *p)
{
	json_key(w, "place");
	json_begin_object(w);
	json_member_str(w, "domain", p->domain);
	json_member_str(w, "path", p->path);
	json_key(w, "endpoints");
	json_begin_array(w);
	for (size_t i = 0; i < p->n_endpoints; i++) {
		json_begin_object(w);
		json_member_str(w, "base", p->endpoints[i].base);
		json_member_bool(w, "mirror", p->endpoints[i].mirror);
		json_member_bool(w, "insecure", p->endpoints[i].insecure);
		json_end_object(w);
	}
	json_end_array(w);
	json_end_object(w);
}

static void write_strv(struct json_writer *w, const char *key, char *const *v)
{
	if (!v)
		return;
	json_key(w, key);
	json_strv(w, v);
}

static void write_settings(struct json_writer *w, const struct registry_settings *s)
{
	json_key(w, "settings");
	json_begin_object(w);
	write_strv(w, "insecure", s->insecure);
	write_strv(w, "certificates", s->certificates);
	write_strv(w, "token_hosts", s->token_hosts);
	write_strv(w, "no_proxy", s->no_proxy);
	write_text(w, "http_proxy", s->http_proxy);
	write_text(w, "https_proxy", s->https_proxy);
	json_member_i64(w, "speed_bytes", s->speed_bytes);
	json_member_i64(w, "speed_seconds", s->speed_seconds);
	json_end_object(w);
}

static void write_auth(struct json_writer *w, const struct registry_auth *a)
{
	json_key(w, "auth");
	json_begin_object(w);
	write_text(w, "username", a->username);
	write_text(w, "password", a->password);
	write_text(w, "identitytoken", a->identity_token);
	write_text(w, "registrytoken", a->registry_token);
	json_end_object(w);
}

static void write_memory(struct json_writer *w, const struct fetch_memory *m)
{
	json_key(w, "memory");
	json_begin_object(w);
	json_member_i64(w, "endpoint", m->endpoint);
	json_member_bool(w, "plain", m->plain);
	json_member_bool(w, "basic", m->basic);
	write_text(w, "token", m->token);
	json_end_object(w);
}

static void write_request(struct registry *reg, const struct fetch_spec *spec, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "kind", spec->kind);
	json_key(&w, "args");
	json_raw(&w, spec->args ? spec->args : "{}");
	if (spec->place)
		write_place(&w, spec->place);
	write_settings(&w, &reg->settings);
	if (spec->auth)
		write_auth(&w, spec->auth);
	if (spec->memory)
		write_memory(&w, spec->memory);
	write_text(&w, "scope", spec->scope);
	write_text(&w, "ca_bundle", reg->ca_bundle);
	write_text(&w, "certs_dir", reg->certs_dir);
	json_member_bool(&w, "no_sandbox", reg->no_sandbox);
	json_end_object(&w);
}

/* ---- the worker ---- */

static void on_progress(struct worker *w, yyjson_val *body)
{
	struct fetch *f = container_of(w, struct fetch, worker);
	int64_t current = 0, total = -1;

	if (f->progress && json_get_i64(body, "current", &current, NULL) == 0 &&
	    json_get_i64(body, "total", &total, NULL) == 0 && current >= 0)
		f->progress(f, current, total);
}

static void on_done(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct fetch *f = container_of(w, struct fetch, worker);

	f->done(f, code, result, why);
}

int fetch_start(struct registry *reg, struct fetch *f, const struct fetch_spec *spec, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(REQUEST_MAX);
	struct fd_map fds[FETCH_FDS_MAX];
	int r;

	if (spec->n_fds > FETCH_FDS_MAX)
		return err_set(e, EINVAL, "more than %d descriptors for a worker", FETCH_FDS_MAX);
	for (size_t i = 0; i < spec->n_fds; i++)
		fds[i] = (struct fd_map){ FETCH_FD_FIRST + (int)i, spec->fds[i] };
	write_request(reg, spec, &request);
	if (buf_failed(&request))
		return err_set(e, EINVAL, "the request to the registry would be too long");
	f->worker.on_done = on_done;
	f->worker.on_progress = on_progress;
	r = worker_start(reg->loop, &f->worker,
			 &(struct worker_spec){ .name = "fetch",
						.request = request.data,
						.input_fd = -1,
						.fds = fds,
						.n_fds = spec->n_fds,
						.oom_score_adj = 500 },
			 e);
	explicit_bzero(request.data, request.len);
	return r;
}

void fetch_cancel(struct fetch *f)
{
	worker_cancel(&f->worker);
}
