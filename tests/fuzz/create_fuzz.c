/*
 * The body of POST /containers/create: JSON to the create request and its checks.
 *
 * What is read must be written as JSON that reads as the same again: container.json is written so.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/container/config.h"
#include "init/base/str.h"

static int write_config(const struct create_config *c, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	bind_write_members(&container_config_table, &c->config, &w);
	json_key(&w, "HostConfig");
	bind_write(&host_config_table, &c->host, &w);
	json_key(&w, "NetworkingConfig");
	bind_write(&networking_config_table, &c->networking, &w);
	json_end_object(&w);
	return buf_failed(out);
}

static void round_trip(const struct create_config *c)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20), again = BUF_INIT(4 << 20);
	struct create_config back;
	struct err e = { 0 };
	yyjson_doc *doc;

	if (write_config(c, &text) < 0)
		return; /* larger than a document may be */
	doc = yyjson_read(buf_text(&text), text.len, 0);
	FUZZ_CHECK(doc);
	create_config_init(&back);
	if (create_config_read(yyjson_doc_get_root(doc), &back, &e) < 0) {
		fprintf(stderr, "%s\n%s\n", err_text(&e), buf_text(&text));
		FUZZ_CHECK(!"what was written cannot be read");
	}
	FUZZ_CHECK(write_config(&back, &again) == 0);
	FUZZ_CHECK(text.len == again.len &&
		   memcmp(buf_text(&text), buf_text(&again), text.len) == 0);
	create_config_free(&back);
	yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(strv_free) char **warnings = NULL;
	struct create_config c;
	struct err e = { 0 };
	yyjson_doc *doc = NULL;

	if (json_parse((const char *)data, len, &doc, &e) < 0)
		return 0;
	create_config_init(&c);
	if (create_config_read(yyjson_doc_get_root(doc), &c, &e) < 0)
		FUZZ_CHECK(e.code > 0 && *err_text(&e));
	else if (create_config_check(&c, &warnings, &e) < 0)
		FUZZ_CHECK(e.code > 0 && *err_text(&e));
	else
		round_trip(&c);
	create_config_free(&c);
	json_doc_free(doc);
	return 0;
}
