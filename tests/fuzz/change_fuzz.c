/*
 * Instructions of commit and import: any text as one, over a config that has variables, a shell and
 * a directory; then the config on top of another one. Whatever comes of it can be written and read
 * again.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/image/change.h"
#include "init/base/str.h"

static void check_config(const struct image_config *cfg)
{
	struct buf b = BUF_INIT(64 << 20);
	struct image_config again;
	struct json_writer w;
	yyjson_doc *doc;

	json_writer_init(&w, &b);
	bind_write(&image_config_table, cfg, &w);
	FUZZ_CHECK(buf_failed(&b) == 0);
	doc = yyjson_read(b.data, b.len, YYJSON_READ_ALLOW_INVALID_UNICODE);
	FUZZ_CHECK(doc);
	bind_init(&image_config_table, &again);
	FUZZ_CHECK(bind_read(&image_config_table, yyjson_doc_get_root(doc), &again, "", NULL) == 0);
	bind_free(&image_config_table, &again);
	yyjson_doc_free(doc);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	const char *texts[] = { "ENV A=1 B=two\nWORKDIR /w", text, NULL };
	struct image_config cfg, below;
	struct err e = { 0 };
	int r;

	bind_init(&image_config_table, &cfg);
	bind_init(&image_config_table, &below);
	FUZZ_CHECK(strv_add(&below.env, "C=3") == 0 && strv_add(&below.cmd, "c") == 0);
	r = image_config_change(&cfg, texts, &e);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && err_text(&e)[0]));
	if (cfg.working_dir)
		FUZZ_CHECK(cfg.working_dir[0] == '/');
	FUZZ_CHECK(image_config_merge(&cfg, &below) == 0);
	check_config(&cfg);
	bind_free(&image_config_table, &cfg);
	bind_free(&image_config_table, &below);
	free(text);
	return 0;
}
