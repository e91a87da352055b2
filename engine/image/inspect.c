/*
 * Images as the API shows them: inspect, history. Lines of the list are in summary.c.
 *
 * Field by field after docker-engine-api-1.51.yaml (ImageInspect, HistoryResponseItem). Called by
 * api/.
 */
#include <string.h>

#include "engine/image/store_priv.h"
#include "init/base/clock.h"
#include "init/base/str.h"

static const char *text_or_empty(const char *s)
{
	return s ? s : "";
}

static void write_strv(struct json_writer *w, const char *key, char *const *v)
{
	json_key(w, key);
	if (v) {
		json_strv(w, v);
		return;
	}
	json_begin_array(w);
	json_end_array(w);
}

static void write_set(struct json_writer *w, const char *key, char *const *v)
{
	if (!v)
		return;
	json_key(w, key);
	json_begin_object(w);
	for (size_t i = 0; v[i]; i++) {
		json_key(w, v[i]);
		json_begin_object(w);
		json_end_object(w);
	}
	json_end_object(w);
}

static void write_labels(struct json_writer *w, const struct bind_pairs *labels)
{
	json_key(w, "Labels");
	if (labels->n == 0) {
		json_null(w);
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < labels->n; i++)
		json_member_str(w, labels->v[i].key, labels->v[i].value);
	json_end_object(w);
}

static void write_health(struct json_writer *w, const struct image_health *h)
{
	if (!h)
		return;
	json_key(w, "Healthcheck");
	json_begin_object(w);
	json_key(w, "Test");
	json_strv(w, h->test);
	if (h->interval)
		json_member_i64(w, "Interval", h->interval);
	if (h->timeout)
		json_member_i64(w, "Timeout", h->timeout);
	if (h->start_period)
		json_member_i64(w, "StartPeriod", h->start_period);
	if (h->start_interval)
		json_member_i64(w, "StartInterval", h->start_interval);
	if (h->retries)
		json_member_i64(w, "Retries", h->retries);
	json_end_object(w);
}

static void write_config(struct json_writer *w, const char *key, const struct image_config *c)
{
	json_key(w, key);
	json_begin_object(w);
	json_member_str(w, "User", text_or_empty(c->user));
	write_set(w, "ExposedPorts", c->exposed_ports);
	json_key(w, "Env");
	json_strv(w, c->env);
	json_key(w, "Cmd");
	json_strv(w, c->cmd);
	write_health(w, c->health);
	if (c->args_escaped)
		json_member_bool(w, "ArgsEscaped", true);
	json_key(w, "Volumes");
	if (c->volumes) {
		json_begin_object(w);
		for (size_t i = 0; c->volumes[i]; i++) {
			json_key(w, c->volumes[i]);
			json_begin_object(w);
			json_end_object(w);
		}
		json_end_object(w);
	} else {
		json_null(w);
	}
	json_member_str(w, "WorkingDir", text_or_empty(c->working_dir));
	json_key(w, "Entrypoint");
	json_strv(w, c->entrypoint);
	json_key(w, "OnBuild");
	json_strv(w, c->on_build);
	write_labels(w, &c->labels);
	if (c->stop_signal)
		json_member_str(w, "StopSignal", c->stop_signal);
	if (c->shell) {
		json_key(w, "Shell");
		json_strv(w, c->shell);
	}
	json_end_object(w);
}

static void write_graph_driver(struct json_writer *w, const struct image *img)
{
	_cleanup_(strv_free) char **dirs = image_lower_dirs(img);
	_cleanup_(mem_free) char *lower = dirs && dirs[0] ? strv_join(dirs + 1, ":") : NULL;

	json_key(w, "GraphDriver");
	json_begin_object(w);
	json_key(w, "Data");
	json_begin_object(w);
	if (!str_empty(lower))
		json_member_str(w, "LowerDir", lower);
	if (dirs && dirs[0])
		json_member_str(w, "UpperDir", dirs[0]);
	json_end_object(w);
	json_member_str(w, "Name", "overlay2");
	json_end_object(w);
}

void image_inspect(const struct image *img, const struct image_view *v, struct json_writer *w)
{
	json_begin_object(w);
	json_member_str(w, "Id", img->id);
	write_strv(w, "RepoTags", img->tags);
	write_strv(w, "RepoDigests", img->digests);
	json_member_str(w, "Parent", "");
	json_member_str(w, "Comment", text_or_empty(img->comment));
	json_member_str(w, "Created", img->created);
	json_member_str(w, "DockerVersion", text_or_empty(img->docker_version));
	json_member_str(w, "Author", text_or_empty(img->author));
	write_config(w, "Config", &img->config);
	/* Docker has ended it with 1.45; docker-compose 1.29, which speaks the newest version
	 * that it finds, looks there for volumes and fails without. */
	write_config(w, "ContainerConfig", &img->config);
	json_member_str(w, "Architecture", text_or_empty(img->architecture));
	if (!str_empty(img->variant))
		json_member_str(w, "Variant", img->variant);
	json_member_str(w, "Os", text_or_empty(img->os));
	if (!str_empty(img->os_version))
		json_member_str(w, "OsVersion", img->os_version);
	json_member_i64(w, "Size", img->size);
	if (v->virtual_size)
		json_member_i64(w, "VirtualSize", img->size);
	write_graph_driver(w, img);
	json_key(w, "RootFS");
	json_begin_object(w);
	json_member_str(w, "Type", "layers");
	json_key(w, "Layers");
	json_begin_array(w);
	for (size_t i = 0; i < img->n_layers; i++)
		json_str(w, img->layers[i].diff_id);
	json_end_array(w);
	json_end_object(w);
	json_key(w, "Metadata");
	json_begin_object(w);
	json_key(w, "LastTagTime");
	json_time(w, img->loaded_ns);
	json_end_object(w);
	image_write_manifest(img, v, w);
	json_end_object(w);
}

/* ---- history ---- */

static void write_step(struct json_writer *w, const struct image *img,
		       const struct image_history *h, bool top, int64_t size)
{
	int64_t created = 0;

	if (h->created)
		(void)clock_parse(h->created, &created);
	json_begin_object(w);
	json_member_str(w, "Id", top ? img->id : "<missing>");
	json_member_i64(w, "Created", created / 1000000000);
	json_member_str(w, "CreatedBy", text_or_empty(h->created_by));
	json_key(w, "Tags");
	if (top && img->tags)
		json_strv(w, img->tags);
	else
		json_null(w);
	json_member_i64(w, "Size", size);
	json_member_str(w, "Comment", text_or_empty(h->comment));
	json_end_object(w);
}

void image_write_history(const struct image *img, struct json_writer *w)
{
	const struct image_history none = { .created = img->created };
	size_t layer = img->n_layers;

	json_begin_array(w);
	for (size_t i = img->n_history; i > 0; i--) {
		const struct image_history *h = &img->history[i - 1];
		int64_t size = !h->empty_layer && layer > 0 ? img->layers[--layer].size : 0;

		write_step(w, img, h, i == img->n_history, size);
	}
	/* layers that nobody wrote a history for */
	while (img->n_history == 0 && layer > 0) {
		layer--;
		write_step(w, img, &none, layer + 1 == img->n_layers, img->layers[layer].size);
	}
	json_end_array(w);
}
