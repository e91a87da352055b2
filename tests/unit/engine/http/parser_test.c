/*
 * The request parser against its corpus (parser_cases.h), whole and cut at every place, and its
 * limits. Each way of cutting the same bytes has to give the same transcript.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "engine/http/parser.h"
#include "tests/unit/engine/http/parser_cases.h"

/* Readable form of what the parser says about `input` fed in pieces of `step` bytes. */
struct transcript {
	struct buf text;
	bool in_body, open;
	struct http_head *head;
};

static void add_word(struct transcript *t, const char *word)
{
	if (t->text.len > 0)
		buf_add_char(&t->text, ' ');
	buf_add_text(&t->text, word);
}

static void on_head(struct transcript *t, struct http_head *h)
{
	t->open = true;
	t->in_body = false;
	t->head = h;
	add_word(t, h->method);
	add_word(t, h->path);
	for (size_t i = 0; i < h->n_query; i++)
		buf_printf(&t->text, "%s%s=%s%s", i ? " " : " [", h->query[i].key,
			   h->query[i].value, i + 1 == h->n_query ? "]" : "");
	if (h->upgrade)
		buf_printf(&t->text, " ^%s", h->upgrade);
	if (h->expect_continue)
		add_word(t, "?");
}

static void on_body(struct transcript *t, const char *data, size_t len)
{
	if (!t->in_body)
		add_word(t, "<");
	t->in_body = true;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\r')
			buf_add_text(&t->text, "\\r");
		else if (data[i] == '\n')
			buf_add_text(&t->text, "\\n");
		else if (data[i] == '\0')
			buf_add_text(&t->text, "\\0");
		else
			buf_add_char(&t->text, data[i]);
	}
}

static void on_end(struct transcript *t)
{
	if (t->in_body)
		buf_add_char(&t->text, '>');
	add_word(t, t->head->keep_alive ? "+" : "-");
	http_head_free(take_ptr(t->head));
	t->open = t->in_body = false;
}

/* A refusal hides whatever of its request was seen before: how much depends on the cutting. */
static void on_failure(struct transcript *t, int status, size_t start)
{
	t->text.len = start;
	if (t->text.data)
		t->text.data[start] = '\0';
	buf_printf(&t->text, "%s!%d", start > 0 ? " " : "", status);
	http_head_free(take_ptr(t->head));
}

static void run(struct transcript *t, const char *input, size_t len, size_t step_size)
{
	struct http_parser p = { 0 };
	struct http_step step;
	struct err e = { 0 };
	size_t at = 0, start = 0;

	*t = (struct transcript){ .text = BUF_INIT(1 << 20) };
	while (true) {
		size_t n = MIN(step_size, len - at);

		if (http_parse(&p, input + at, n, &step, &e) < 0) {
			on_failure(t, p.status, start);
			break;
		}
		at += step.used;
		if (step.event == HTTP_NEED && at == len)
			break;
		if (step.event == HTTP_HEAD)
			on_head(t, http_parser_take_head(&p));
		else if (step.event == HTTP_BODY)
			on_body(t, step.body, step.body_len);
		else if (step.event == HTTP_END)
			on_end(t), start = t->text.len;
	}
	if (t->open && t->head)
		add_word(t, "...");
	else if (!http_parser_idle(&p) && p.status == 0)
		add_word(t, "...");
	http_head_free(t->head);
	http_parser_clear(&p);
}

TEST(corpus_has_at_least_200_cases)
{
	CHECK(ARRAY_SIZE(parser_cases) >= 200);
}

TEST(corpus_reads_as_expected_however_it_is_cut)
{
	static const size_t cuts[] = { 1 << 20, 1, 2, 3, 7 };

	for (size_t i = 0; i < ARRAY_SIZE(parser_cases); i++) {
		const struct parser_case *c = &parser_cases[i];

		for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
			struct transcript t;
			_cleanup_(mem_free) char *got = NULL;

			run(&t, c->input, c->len, cuts[k]);
			got = buf_take(&t.text);
			CHECK_MSG(strcmp(got, c->want) == 0, "%s (cut by %zu): \"%s\", not \"%s\"",
				  c->name, cuts[k], got, c->want);
		}
	}
}

static int status_of(const char *input, size_t len)
{
	struct http_parser p = { 0 };
	struct http_step step;
	struct err e;
	size_t at = 0;
	int status = 0;

	do {
		if (http_parse(&p, input + at, len - at, &step, &e) < 0) {
			status = p.status;
			break;
		}
		at += step.used;
		if (step.event == HTTP_HEAD)
			http_head_free(http_parser_take_head(&p));
	} while (step.event != HTTP_NEED);
	http_parser_clear(&p);
	return status;
}

/* Puts every byte value at one place of a request. */
static void each_byte(const char *before, const char *after, const char *allowed, const char *file,
		      int line)
{
	for (int c = 0; c < 256; c++) {
		char request[256];
		int n = snprintf(request, sizeof(request), "%s%c%s", before, c, after);
		bool passes = status_of(request, (size_t)n) == 0;
		bool should = (c > 0x20 && c < 0x7f && !allowed) ||
			      (allowed && c && strchr(allowed, c)) ||
			      (allowed && *allowed == '\t' && c >= 0x80);

		if (passes != should)
			test_fail(file, line, "byte 0x%02x behind \"%s\" %s", c, before,
				  passes ? "passed" : "was refused");
	}
}

#define TOKENS "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define PRINTABLE                                                               \
	"\t !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`" \
	"abcdefghijklmnopqrstuvwxyz{|}~"

TEST(every_byte_value_in_every_place)
{
	each_byte("GE", "T / HTTP/1.1\r\nHost: x\r\n\r\n", TOKENS, __FILE__, __LINE__);
	each_byte("GET /a?b=", "b0 HTTP/1.1\r\nHost: x\r\n\r\n",
		  "!\"$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
		  "abcdefghijklmnopqrstuvwxyz{|}~",
		  __FILE__, __LINE__);
	each_byte("GET / HTTP/1.1\r\nHost: x\r\nX", "Y: z\r\n\r\n", TOKENS ":", __FILE__, __LINE__);
	each_byte("GET / HTTP/1.1\r\nHost: x\r\nX: y", "z\r\n\r\n", PRINTABLE, __FILE__, __LINE__);
	each_byte("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		  "\r\na\r\n0\r\n\r\n", PRINTABLE, __FILE__, __LINE__);
	each_byte("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
		  "\r\n\r\n", PRINTABLE, __FILE__, __LINE__);
}

/* before + n times fill + after */
static int status_of_long(const char *before, char fill, size_t n, const char *after)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	char *room;

	buf_add_text(&b, before);
	room = buf_reserve(&b, n);
	memset(room, fill, n);
	buf_commit(&b, n);
	buf_add_text(&b, after);
	return status_of(b.data, b.len);
}

TEST(limits_are_where_they_are_said_to_be)
{
	CHECK_INT(status_of_long("GET /", 'a', HTTP_TARGET_MAX - 1, " HTTP/1.1\r\nHost: x\r\n\r\n"),
		  0);
	CHECK_INT(status_of_long("GET /", 'a', HTTP_TARGET_MAX, " HTTP/1.1\r\nHost: x\r\n\r\n"),
		  414);
	CHECK_INT(status_of_long(GET11 "X:", 'a', HTTP_LINE_MAX - 2, "\r\n\r\n"), 0);
	CHECK_INT(status_of_long(GET11 "X:", 'a', HTTP_LINE_MAX - 1, "\r\n\r\n"), 431);
	CHECK_INT(status_of_long(GET11 "X:", ' ', HTTP_LINE_MAX - 1, "\r\n\r\n"), 431);
	CHECK_INT(status_of_long(GET11, 'a', HTTP_LINE_MAX + 1, ": b\r\n\r\n"), 431);
	CHECK_INT(status_of_long(CHUNKED11 "1;", 'a', HTTP_CHUNK_EXT_MAX, "\r\na\r\n0\r\n\r\n"), 0);
	CHECK_INT(status_of_long(CHUNKED11 "1;", 'a', HTTP_CHUNK_EXT_MAX + 1, "\r\na\r\n0\r\n\r\n"),
		  400);
	CHECK_INT(status_of_long(CHUNKED11 "0\r\nX:", 'a', HTTP_TRAILER_MAX - 2, "\r\n\r\n"), 0);
	CHECK_INT(status_of_long(CHUNKED11 "0\r\nX:", 'a', HTTP_TRAILER_MAX - 1, "\r\n\r\n"), 431);
}

static int status_of_headers(size_t n, size_t value_len)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	buf_add_text(&b, GET11);
	for (size_t i = 1; i < n; i++) {
		buf_printf(&b, "X-%zu: ", i);
		for (size_t k = 0; k < value_len; k++)
			buf_add_char(&b, 'a');
		buf_add_text(&b, "\r\n");
	}
	buf_add_text(&b, "\r\n");
	return status_of(b.data, b.len);
}

TEST(number_and_size_of_headers_are_bounded)
{
	CHECK_INT(status_of_headers(HTTP_HEADERS_MAX, 1), 0);
	CHECK_INT(status_of_headers(HTTP_HEADERS_MAX + 1, 1), 431);
	CHECK_INT(status_of_headers(9, 8000), 0);
	CHECK_INT(status_of_headers(10, 8000), 431);
}

TEST(extensions_are_bounded_over_all_chunks)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	buf_add_text(&b, CHUNKED11);
	for (int i = 0; i < 1700; i++)
		buf_add_text(&b, "1;a=bcdefghi\r\nx\r\n");
	buf_add_text(&b, "0\r\n\r\n");
	CHECK_INT(status_of(b.data, b.len), 400);
}

TEST(many_chunks_without_extensions_pass)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	buf_add_text(&b, CHUNKED11);
	for (int i = 0; i < 20000; i++)
		buf_add_text(&b, "0001\r\nx\r\n");
	buf_add_text(&b, "0\r\n\r\n");
	CHECK_INT(status_of(b.data, b.len), 0);
}

TEST(too_many_query_parameters_are_refused)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	buf_add_text(&b, "GET /?a");
	for (int i = 0; i < HTTP_QUERY_MAX; i++)
		buf_add_text(&b, "&a");
	buf_add_text(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_INT(status_of(b.data, b.len), 400);
}

TEST(a_failed_parser_stays_failed)
{
	struct http_parser p = { 0 };
	struct http_step step;
	struct err e;

	CHECK(http_parse(&p, "\n", 1, &step, &e) == -EBADMSG);
	CHECK(http_parse(&p, GET11 "\r\n", strlen(GET11 "\r\n"), &step, &e) == -EBADMSG);
	http_parser_clear(&p);
	CHECK(http_parser_idle(&p));
}

TEST(headers_are_found_in_any_letter_case)
{
	struct http_parser p = { 0 };
	struct http_step step;
	struct err e;
	_cleanup_(http_head_free) struct http_head *h = NULL;
	static const char text[] = GET11 "X-Registry-Auth: abc==\r\nX-Empty:\r\n\r\n";

	CHECK(http_parse(&p, text, sizeof(text) - 1, &step, &e) == 0 && step.event == HTTP_HEAD);
	h = http_parser_take_head(&p);
	CHECK_STR(http_head_get(h, "x-registry-auth"), "abc==");
	CHECK_STR(http_head_get(h, "X-EMPTY"), "");
	CHECK(!http_head_get(h, "X-Registry"));
	http_parser_clear(&p);
}
