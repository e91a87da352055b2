/*
 * Instructions to a config, as a table: what the config is afterwards (as JSON, only what is set),
 * or the error; and one config on top of another one.
 */
#include "engine/image/change.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

/* The config as text without its empty members. */
static char *text_of(const struct image_config *cfg)
{
	static char out[2048];
	struct buf b = BUF_INIT(64 << 10);
	struct json_writer w;
	yyjson_mut_doc *mut;
	yyjson_mut_val *key;
	yyjson_mut_obj_iter it;
	yyjson_doc *doc;
	char *text;

	json_writer_init(&w, &b);
	bind_write(&image_config_table, cfg, &w);
	doc = yyjson_read(b.data, b.len, 0);
	mut = yyjson_doc_mut_copy(doc, NULL);
	it = yyjson_mut_obj_iter_with(mut->root);
	while ((key = yyjson_mut_obj_iter_next(&it))) {
		yyjson_mut_val *v = yyjson_mut_obj_iter_get_val(key);

		if (yyjson_mut_is_null(v) || yyjson_mut_equals_str(v, "") ||
		    yyjson_mut_is_false(v) ||
		    (yyjson_mut_is_ctn(v) && unsafe_yyjson_get_len(v) == 0))
			yyjson_mut_obj_iter_remove(&it);
	}
	text = yyjson_mut_write(mut, 0, NULL);
	snprintf(out, sizeof(out), "%s", text);
	free(text);
	yyjson_mut_doc_free(mut);
	yyjson_doc_free(doc);
	buf_free(&b);
	return out;
}

static const struct {
	const char *texts[4], *json, *error;
} rows[] = {
	{ { "CMD [\"ls\", \"-l\"]" }, "{\"Cmd\":[\"ls\",\"-l\"]}", NULL },
	{ { "cmd ls  -l \"$HOME\" " },
	  "{\"Cmd\":[\"/bin/sh\",\"-c\",\"ls  -l \\\"$HOME\\\"\"]}",
	  NULL },
	{ { "CMD [not json" }, "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[not json\"]}", NULL },
	{ { "CMD a", "ENTRYPOINT [\"b\"]" },
	  "{\"Entrypoint\":[\"b\"],\"Cmd\":[\"/bin/sh\",\"-c\",\"a\"]}",
	  NULL },
	{ { "ENTRYPOINT [\"b\"]" }, "{\"Entrypoint\":[\"b\"]}", NULL },
	{ { "ENV A=1 B=\"two words\" C='$A' D=$A-${B} E=\\$A F=a\\ b" },
	  "{\"Env\":[\"A=1\",\"B=two words\",\"C=$A\",\"D=-\",\"E=$A\",\"F=a b\"]}",
	  NULL },
	{ { "ENV A=1\nENV B=${A}2\nENV A=3" }, "{\"Env\":[\"A=3\",\"B=12\"]}", NULL },
	{ { "ENV NAME the  rest \"of it\"" }, "{\"Env\":[\"NAME=the  rest of it\"]}", NULL },
	{ { "ENV NAME" }, NULL, "ENV must have two arguments" },
	{ { "ENV A=1 B" },
	  NULL,
	  "Syntax error - can't find = in \"B\". Must be of the form: name=value" },
	{ { "ENV =1" },
	  NULL,
	  "Syntax error - can't find = in \"=1\". Must be of the form: name=value" },
	{ { "ENV A=\"x" },
	  NULL,
	  "unexpected end of statement while looking for matching double-quote" },
	{ { "ENV A=${B:-c}" }, NULL, "\"${B:-c}\": only ${NAME} is supported" },
	{ { "LABEL a=b \"c d\"=e", "LABEL a=f" },
	  "{\"Labels\":{\"a\":\"f\",\"c d\":\"e\"}}",
	  NULL },
	{ { "EXPOSE 80 53/udp 8000-8001 80/tcp" },
	  "{\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{},\"8000/tcp\":{},\"8001/tcp\":{}}}",
	  NULL },
	{ { "EXPOSE 0" }, NULL, "invalid containerPort: 0" },
	{ { "EXPOSE 70000" }, NULL, "invalid containerPort: 70000" },
	{ { "EXPOSE 9-8" }, NULL, "invalid containerPort: 9-8" },
	{ { "EXPOSE 1-99999999999999999999" },
	  NULL,
	  "invalid containerPort: 1-99999999999999999999" },
	{ { "EXPOSE 80/ip" }, NULL, "invalid proto: ip" },
	{ { "EXPOSE 1-65535" }, NULL, "more than 8192 entries" },
	{ { "VOLUME /a /b", "VOLUME [\"/a\", \"/c d\"]" },
	  "{\"Volumes\":{\"/a\":{},\"/b\":{},\"/c d\":{}}}",
	  NULL },
	{ { "VOLUME \"\"" }, NULL, "VOLUME specified can not be an empty string" },
	{ { "USER 1000:1000" }, "{\"User\":\"1000:1000\"}", NULL },
	{ { "WORKDIR /a/../b", "WORKDIR c" }, "{\"WorkingDir\":\"/b/c\"}", NULL },
	{ { "WORKDIR ../../x" }, "{\"WorkingDir\":\"/x\"}", NULL },
	{ { "STOPSIGNAL SIGINT" }, "{\"StopSignal\":\"SIGINT\"}", NULL },
	{ { "STOPSIGNAL LOUD" }, NULL, "invalid signal: LOUD" },
	{ { "ONBUILD RUN make" }, "{\"OnBuild\":[\"RUN make\"]}", NULL },
	{ { "ONBUILD onbuild RUN x" }, NULL, "ONBUILD isn't allowed as an ONBUILD trigger" },
	{ { " # a comment\n\n\r\n" }, "{}", NULL },
	{ { "CMD" }, NULL, "CMD requires at least one argument" },
	{ { "RUN x" },
	  NULL,
	  "RUN is not a valid change command: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, "
	  "ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are" },
	{ { "HEALTHCHECK --interval=1m30s --timeout=5s --start-period=0 --start-interval=1ms "
	    "--retries=3 CMD curl -f  \"$URL\"" },
	  "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl -f  \\\"$URL\\\"\"],"
	  "\"Interval\":90000000000,\"Timeout\":5000000000,\"StartPeriod\":0,"
	  "\"StartInterval\":1000000,"
	  "\"Retries\":3}}",
	  NULL },
	{ { "healthcheck cmd [\"a\",\"b c\"]", "HEALTHCHECK --retries=2 none" },
	  "{\"Healthcheck\":{\"Test\":[\"NONE\"],\"Interval\":0,\"Timeout\":0,"
	  "\"StartPeriod\":0,\"StartInterval\":0,\"Retries\":2}}",
	  NULL },
	{ { "HEALTHCHECK CMD [\"a\",\"b c\"]" },
	  "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b c\"],\"Interval\":0,"
	  "\"Timeout\":0,\"StartPeriod\":0,\"StartInterval\":0,\"Retries\":0}}",
	  NULL },
	{ { "HEALTHCHECK" }, NULL, "HEALTHCHECK requires at least one argument" },
	{ { "HEALTHCHECK CMD" }, NULL, "Missing command after HEALTHCHECK CMD" },
	{ { "HEALTHCHECK CMD []" }, NULL, "Missing command after HEALTHCHECK CMD" },
	{ { "HEALTHCHECK NONE x" }, NULL, "HEALTHCHECK NONE takes no arguments" },
	{ { "HEALTHCHECK --interval=1s" }, NULL, "Unknown type \"\" in HEALTHCHECK (try CMD)" },
	{ { "HEALTHCHECK curl x" }, NULL, "Unknown type \"curl\" in HEALTHCHECK (try CMD)" },
	{ { "HEALTHCHECK --interval=1us CMD x" },
	  NULL,
	  "Interval \"interval\" cannot be less than 1ms" },
	{ { "HEALTHCHECK --timeout=soon CMD x" }, NULL, "time: invalid duration \"soon\"" },
	{ { "HEALTHCHECK --retries=-1 CMD x" }, NULL, "--retries cannot be negative (-1)" },
	{ { "HEALTHCHECK --retries=x CMD x" }, NULL, "--retries: \"x\" is no number" },
	{ { "HEALTHCHECK --retries=1 --retries=2 CMD x" },
	  NULL,
	  "Duplicate flag specified: retries" },
	{ { "HEALTHCHECK --interval CMD x" }, NULL, "Missing a value on flag: interval" },
	{ { "HEALTHCHECK --user=x CMD x" }, NULL, "Unknown flag: user" },
	{ { "HEALTHCHECK -- CMD x" }, NULL, "Unknown flag: " },
};

TEST(instructions)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_config cfg;
		struct err e = { 0 };
		int r;

		bind_init(&image_config_table, &cfg);
		r = image_config_change(&cfg, rows[i].texts, &e);
		CHECK_MSG((r < 0) == !!rows[i].error, "row %zu: %s", i, err_text(&e));
		if (rows[i].error)
			CHECK_STR(err_text(&e), rows[i].error);
		else
			CHECK_STR(text_of(&cfg), rows[i].json);
		bind_free(&image_config_table, &cfg);
	}
}

TEST(too_many_bytes)
{
	char *text = malloc(IMAGE_CHANGES_BYTES + 2);
	const char *texts[] = { text, NULL };
	struct image_config cfg;
	struct err e = { 0 };

	memset(text, ' ', IMAGE_CHANGES_BYTES + 1);
	text[IMAGE_CHANGES_BYTES + 1] = '\0';
	bind_init(&image_config_table, &cfg);
	CHECK_INT(image_config_change(&cfg, texts, &e), -EINVAL);
	bind_free(&image_config_table, &cfg);
	free(text);
}

static void read_into(struct image_config *cfg, const char *json)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);

	bind_init(&image_config_table, cfg);
	CHECK(bind_read(&image_config_table, yyjson_doc_get_root(doc), cfg, "", NULL) == 0);
	yyjson_doc_free(doc);
}

TEST(one_on_top_of_another)
{
	static const struct {
		const char *top, *below, *both;
	} cases[] = {
		{ "{}", "{\"User\":\"u\",\"Cmd\":[\"c\"]}", "{\"User\":\"u\",\"Cmd\":[\"c\"]}" },
		{ "{\"User\":\"v\"}", "{\"User\":\"u\"}", "{\"User\":\"v\"}" },
		{ "{\"Entrypoint\":[\"e\"]}", "{\"Entrypoint\":[\"f\"],\"Cmd\":[\"c\"]}",
		  "{\"Entrypoint\":[\"e\"]}" },
		{ "{\"Cmd\":[\"d\"]}", "{\"Entrypoint\":[\"f\"],\"Cmd\":[\"c\"]}",
		  "{\"Entrypoint\":[\"f\"],\"Cmd\":[\"d\"]}" },
		{ "{\"Env\":[\"A=1\"]}", "{\"Env\":[\"A=2\",\"B=2\"]}",
		  "{\"Env\":[\"A=1\",\"B=2\"]}" },
		{ "{\"Labels\":{\"a\":\"1\"}}", "{\"Labels\":{\"a\":\"2\",\"b\":\"2\"}}",
		  "{\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}" },
		{ "{\"Volumes\":{\"/a\":{}}}",
		  "{\"Volumes\":{\"/a\":{},\"/b\":{}},\"Healthcheck\":{\"Test\":[\"NONE\"]}}",
		  "{\"Volumes\":{\"/a\":{},\"/"
		  "b\":{}},\"Healthcheck\":{\"Test\":[\"NONE\"],\"Interval\":0,"
		  "\"Timeout\":0,\"StartPeriod\":0,\"StartInterval\":0,\"Retries\":0}}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_config top, below;

		read_into(&top, cases[i].top);
		read_into(&below, cases[i].below);
		CHECK(image_config_merge(&top, &below) == 0);
		CHECK_STR(text_of(&top), cases[i].both);
		bind_free(&image_config_table, &top);
		bind_free(&image_config_table, &below);
	}
}
