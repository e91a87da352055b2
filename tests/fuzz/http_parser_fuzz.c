/*
 * The HTTP request parser, whole and in pieces: both ways must say the same, and what it accepts
 * must keep what parser.h promises. The first byte of the input chooses the size of the pieces.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/http/parser.h"
#include "engine/http/server.h"

/* What a run amounts to; bodies and heads are folded into one number. */
struct outcome {
	uint64_t fold;
	int heads, ends, status;
};

static void fold(struct outcome *o, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		o->fold = (o->fold ^ p[i]) * UINT64_C(1099511628211);
}

static void fold_text(struct outcome *o, const char *text)
{
	fold(o, text, strlen(text) + 1);
}

static void check_head(struct outcome *o, const struct http_head *h)
{
	static const struct http_route routes[] = {
		{ "GET", "/containers/{id}/json", NULL, 0, 0, NULL },
		{ "GET", "/images/{name*}/json", NULL, 0, 0, NULL },
		{ "POST", "/{a}/{b*}/{c}", NULL, 0, 0, NULL },
	};
	struct http_req r = { 0 };

	FUZZ_CHECK(h->path && (h->path[0] == '/' || strcmp(h->path, "*") == 0));
	FUZZ_CHECK(h->n_fields <= HTTP_HEADERS_MAX && h->n_query <= HTTP_QUERY_MAX);
	FUZZ_CHECK(!(h->chunked && h->content_length >= 0));
	FUZZ_CHECK(h->minor == 1 || !h->chunked);
	fold_text(o, h->method);
	fold_text(o, h->path);
	for (size_t i = 0; i < h->n_query; i++) {
		fold_text(o, h->query[i].key);
		fold_text(o, h->query[i].value);
	}
	for (size_t i = 0; i < h->n_fields; i++) {
		const char *value = h->text.data + h->fields[i].value;

		FUZZ_CHECK(!strpbrk(value, "\r\n"));
		fold_text(o, h->text.data + h->fields[i].name);
		fold_text(o, value);
	}
	if (http_route_find(routes, ARRAY_SIZE(routes), h->method, (char *)h->path, &r))
		FUZZ_CHECK(r.params[0] && *r.params[0] && strcmp(r.params[0], "..") != 0);
}

static void run(const uint8_t *data, size_t len, size_t piece, struct outcome *o)
{
	struct http_parser p = { 0 };
	struct http_step step;
	size_t at = 0;

	*o = (struct outcome){ 0 };
	while (true) {
		size_t n = MIN(piece, len - at);

		if (http_parse(&p, (const char *)data + at, n, &step, NULL) < 0) {
			FUZZ_CHECK(p.status >= 400 && p.status < 600);
			o->status = p.status;
			break;
		}
		FUZZ_CHECK(step.used <= n);
		at += step.used;
		if (step.event == HTTP_NEED && at == len)
			break;
		if (step.event == HTTP_HEAD) {
			struct http_head *h = http_parser_take_head(&p);

			o->heads++;
			check_head(o, h);
			http_head_free(h);
		} else if (step.event == HTTP_BODY) {
			FUZZ_CHECK(step.body_len > 0 && o->heads == o->ends + 1);
			fold(o, step.body, step.body_len);
		} else if (step.event == HTTP_END) {
			o->ends++;
			FUZZ_CHECK(o->heads == o->ends && http_parser_idle(&p));
		}
	}
	http_parser_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct outcome whole, pieces;
	size_t piece;

	if (len == 0)
		return 0;
	piece = 1 + data[0] % 13;
	run(data + 1, len - 1, len, &whole);
	run(data + 1, len - 1, piece, &pieces);
	FUZZ_CHECK(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	return 0;
}
