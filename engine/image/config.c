/*
 * The config blob of an image (OCI image-spec: config.md; Docker adds Healthcheck, OnBuild, Shell)
 * as structs.
 *
 * The blob is hostile: its size and depth are bounded by the caller, types are checked here, keys
 * that are not known are left alone. Called by store.c for each image of the index.
 */
#include <string.h>

#include "engine/data/bind.h"
#include "engine/image/document.h"
#include "engine/image/store_priv.h"
#include "init/base/clock.h"
#include "init/base/str.h"

#define ROW(struct_, key_, type_, member_)                                              \
	{                                                                               \
		.key = key_, .type = type_, .offset = offsetof(struct struct_, member_) \
	}

static const struct bind health_rows[] = {
	ROW(image_health, "Test", BIND_STRV, test),
	ROW(image_health, "Interval", BIND_I64, interval),
	ROW(image_health, "Timeout", BIND_I64, timeout),
	ROW(image_health, "StartPeriod", BIND_I64, start_period),
	ROW(image_health, "StartInterval", BIND_I64, start_interval),
	ROW(image_health, "Retries", BIND_I64, retries),
};
static BIND_TABLE(health_table, struct image_health, health_rows);

static const struct bind config_rows[] = {
	ROW(image_config, "User", BIND_TEXT, user),
	ROW(image_config, "ExposedPorts", BIND_SET, exposed_ports),
	ROW(image_config, "Env", BIND_STRV, env),
	ROW(image_config, "Entrypoint", BIND_WORDS, entrypoint),
	ROW(image_config, "Cmd", BIND_WORDS, cmd),
	ROW(image_config, "Volumes", BIND_SET, volumes),
	ROW(image_config, "WorkingDir", BIND_TEXT, working_dir),
	ROW(image_config, "Labels", BIND_PAIRS, labels),
	ROW(image_config, "StopSignal", BIND_TEXT, stop_signal),
	{ .key = "Healthcheck",
	  .type = BIND_POINTER,
	  .offset = offsetof(struct image_config, health),
	  .of = &health_table },
	ROW(image_config, "Shell", BIND_WORDS, shell),
	ROW(image_config, "OnBuild", BIND_STRV, on_build),
	ROW(image_config, "ArgsEscaped", BIND_BOOL, args_escaped),
};
BIND_TABLE(image_config_table, struct image_config, config_rows);

struct text_row {
	const char *key;
	size_t offset;
};

static int read_texts(yyjson_val *object, const struct text_row *rows, size_t n, void *to,
		      struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int r = json_get_copy(object, rows[i].key, (char **)((char *)to + rows[i].offset),
				      e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_history(struct image *img, yyjson_val *root, struct err *e)
{
	static const struct text_row rows[] = {
		{ "created", offsetof(struct image_history, created) },
		{ "created_by", offsetof(struct image_history, created_by) },
		{ "author", offsetof(struct image_history, author) },
		{ "comment", offsetof(struct image_history, comment) },
	};
	yyjson_val *history = NULL, *value;
	size_t i, max;
	int r = json_get_array(root, "history", &history, e);

	if (r < 0 || !history)
		return r;
	if (yyjson_arr_size(history) > BIND_ITEMS_MAX)
		return err_set(e, EFBIG, "history has more than %d entries", BIND_ITEMS_MAX);
	img->history = calloc(yyjson_arr_size(history) + 1, sizeof(*img->history));
	if (!img->history)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(history, i, max, value)
	{
		struct image_history *h = &img->history[img->n_history++];

		if (!yyjson_is_obj(value))
			return err_set(e, EINVAL, "history[%zu]: expected an object", i);
		if ((r = read_texts(value, rows, ARRAY_SIZE(rows), h, e)) < 0 ||
		    (r = json_get_bool(value, "empty_layer", &h->empty_layer, e)) < 0)
			return err_wrap(e, "history[%zu]", i);
	}
	return 0;
}

/* Created: images made without a clock have none, or one that is no time. */
static int read_created(struct image *img, yyjson_val *root, struct err *e)
{
	int r = json_get_copy(root, "created", &img->created, e);

	if (r < 0)
		return r;
	if (img->created && clock_parse(img->created, &img->created_ns) == 0)
		return 0;
	img->created_ns = 0;
	return str_set(&img->created, "0001-01-01T00:00:00Z") < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

int config_read(struct image *img, const char *text, size_t len, struct err *e)
{
	static const struct text_row rows[] = {
		{ "architecture", offsetof(struct image, architecture) },
		{ "variant", offsetof(struct image, variant) },
		{ "os", offsetof(struct image, os) },
		{ "os.version", offsetof(struct image, os_version) },
		{ "author", offsetof(struct image, author) },
		{ "comment", offsetof(struct image, comment) },
		{ "docker_version", offsetof(struct image, docker_version) },
	};
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r = document_parse(text, len, &doc, e);

	bind_init(&image_config_table, &img->config);
	if (r < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root))
		return err_set(e, EINVAL, "expected an object, found %s", json_type_name(root));
	if ((r = read_texts(root, rows, ARRAY_SIZE(rows), img, e)) < 0 ||
	    (r = read_created(img, root, e)) < 0 || (r = read_history(img, root, e)) < 0)
		return r;
	return bind_read(&image_config_table, json_member(root, "config"), &img->config, "config",
			 e);
}

void config_free(struct image *img)
{
	bind_free(&image_config_table, &img->config);
	for (size_t i = 0; i < img->n_history; i++) {
		struct image_history *h = &img->history[i];

		free(h->created);
		free(h->created_by);
		free(h->author);
		free(h->comment);
	}
	free(img->history);
	free(img->created);
	free(img->architecture);
	free(img->variant);
	free(img->os);
	free(img->os_version);
	free(img->author);
	free(img->comment);
	free(img->docker_version);
}
