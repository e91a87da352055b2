/*
 * WebSocket: the handshake as a client sees it, frames cut anywhere, and what RFC 6455 forbids.
 */
#include "tests/unit/test.h"

#include "engine/http/websocket.h"
#include "init/base/str.h"
#include "tests/unit/engine/http/server_world.h"

/* --- the reader --- */

/* What the reader says, as text: "1:hello 8=1000 ". */
static const char *reads(const unsigned char *data, size_t len, size_t step)
{
	static char text[4096];
	static unsigned char copy[4096];
	struct ws_reader r = { 0 };
	size_t out = 0;

	text[0] = '\0';
	memcpy(copy, data, len);
	for (size_t at = 0; at < len;) {
		size_t end = MIN(at + step, len);
		int got = 1;

		while (at < end || got == 1) {
			struct ws_piece p = { 0 };
			size_t used = 0;

			got = ws_next(&r, copy + at, end - at, &used, &p);
			at += used;
			if (got == 0)
				break;
			out += (size_t)snprintf(text + out, sizeof(text) - out, "%d", p.opcode);
			if (got < 0 || p.opcode == WS_CLOSE)
				out += (size_t)snprintf(text + out, sizeof(text) - out, "%c%u ",
							got < 0 ? '!' : '=', p.code);
			else
				out += (size_t)snprintf(text + out, sizeof(text) - out, ":%.*s ",
							(int)p.len, (const char *)p.data);
			if (got < 0)
				return text;
		}
	}
	return text;
}

#define FRAME(...) \
	(const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })
#define ZERO_MASK 0, 0, 0, 0

TEST(examples_of_the_rfc)
{
	/* 5.7: a masked "Hello" */
	CHECK_STR(
		reads(FRAME(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), 100),
		"1:Hello ");
	/* a masked ping with "Hello" */
	CHECK_STR(
		reads(FRAME(0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), 100),
		"9:Hello ");
}

TEST(fragments_with_a_ping_between)
{
	CHECK_STR(reads(FRAME(0x02, 0x82, ZERO_MASK, 'a', 'b', 0x89, 0x81, ZERO_MASK, 'p', 0x00,
			      0x81, ZERO_MASK, 'c', 0x80, 0x80, ZERO_MASK, 0x82, 0x81, ZERO_MASK,
			      'd', 0x88, 0x82, ZERO_MASK, 0x03, 0xe9),
			100),
		  "2:ab 9:p 0:c 2:d 8=1001 ");
	CHECK_STR(reads(FRAME(0x88, 0x80, ZERO_MASK), 100), "8=1000 ");
}

TEST(cut_anywhere)
{
	static const unsigned char two[] = { 0x82,    0x83, 1,	  2, 3, 4, 'a' ^ 1, 'b' ^ 2,
					     'c' ^ 3, 0x8a, 0x81, 9, 9, 9, 9,	    'x' ^ 9,
					     0x88,    0x80, 0,	  0, 0, 0 };

	for (size_t step = 1; step <= sizeof(two); step++) {
		char joined[64] = "";
		const char *text = reads(two, sizeof(two), step);

		/* data comes in pieces, controls whole */
		for (const char *p = text; *p; p++)
			if (strncmp(p, "2:", 2) == 0)
				strncat(joined, p + 2, strcspn(p + 2, " "));
		CHECK_STR(joined, "abc");
		CHECK_MSG(strstr(text, "10:x 8=1000 "), "step %zu: %s", step, text);
	}
}

TEST(what_the_rfc_forbids)
{
	static const struct {
		const char *what;
		unsigned char bytes[20];
		size_t len;
		unsigned int code;
	} cases[] = {
		{ "not masked", { 0x82, 0x01, 'a' }, 3, WS_PROTOCOL_ERROR },
		{ "reserved bit", { 0xc2, 0x80 }, 2, WS_PROTOCOL_ERROR },
		{ "opcode 3", { 0x83, 0x80 }, 2, WS_PROTOCOL_ERROR },
		{ "opcode 11", { 0x8b, 0x80 }, 2, WS_PROTOCOL_ERROR },
		{ "long ping", { 0x89, 0xfe }, 2, WS_PROTOCOL_ERROR },
		{ "ping in fragments", { 0x09, 0x80 }, 2, WS_PROTOCOL_ERROR },
		{ "continuation of nothing", { 0x80, 0x80 }, 2, WS_PROTOCOL_ERROR },
		{ "a new message inside of one",
		  { 0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80 },
		  8,
		  WS_PROTOCOL_ERROR },
		{ "a long form for 125", { 0x82, 0xfe, 0, 125, 0, 0, 0, 0 }, 8, WS_PROTOCOL_ERROR },
		{ "the longest form for 65535",
		  { 0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0 },
		  14,
		  WS_PROTOCOL_ERROR },
		{ "2^63", { 0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 14, WS_TOO_BIG },
		{ "over the bound",
		  { 0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0 },
		  14,
		  WS_TOO_BIG },
		{ "a close with half a status",
		  { 0x88, 0x81, 0, 0, 0, 0, 3 },
		  7,
		  WS_PROTOCOL_ERROR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char want[16];

		snprintf(want, sizeof(want), "8!%u ", cases[i].code);
		for (size_t step = 1; step <= cases[i].len; step += cases[i].len - 1)
			CHECK_MSG(strstr(reads(cases[i].bytes, cases[i].len, step), want), "%s: %s",
				  cases[i].what, reads(cases[i].bytes, cases[i].len, step));
	}
}

TEST(heads)
{
	unsigned char head[WS_REPLY_HEAD_MAX];

	CHECK_INT(ws_head(head, WS_BINARY, 5), 2);
	CHECK(head[0] == 0x82 && head[1] == 5);
	CHECK_INT(ws_head(head, WS_TEXT, 126), 4);
	CHECK(head[0] == 0x81 && head[1] == 126 && head[2] == 0 && head[3] == 126);
	CHECK_INT(ws_head(head, WS_BINARY, 65536), 10);
	CHECK(head[1] == 127 && head[6] == 0 && head[7] == 1 && head[8] == 0 && head[9] == 0);
}

/* --- the handshake --- */

#define WS_HEAD(key, version)                                                                     \
	REQ("GET /ws")                                                                            \
	"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " key "\r\n" \
	"Sec-WebSocket-Version: " version "\r\n\r\n"

TEST(handshake)
{
	WORLD();

	client_send(&c, WS_HEAD("dGhlIHNhbXBsZSBub25jZQ==", "13"));
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
	CHECK(str_starts(c.got.data, "HTTP/1.1 101 "));
	/* RFC 6455, 1.3 */
	CHECK(has(&c, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	CHECK(has(&c, "Upgrade: websocket\r\n") && has(&c, "Connection: Upgrade\r\n"));
	CHECK(!has(&c, "Content-Type"));
	buf_reset(&c.got);
	CHECK_INT(ws_send(w.held, WS_BINARY, "hi", 2), 0);
	ws_send_close(w.held, WS_NORMAL);
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, c.eof));
	CHECK_INT(c.got.len, 8);
	CHECK(memcmp(c.got.data, "\x82\x02hi\x88\x02\x03\xe8", 8) == 0);
}

TEST(bytes_behind_the_handshake_are_frames)
{
	WORLD();

	client_send(&c, WS_HEAD("dGhlIHNhbXBsZSBub25jZQ==", "13") "\x81\x81\x01\x01\x01\x01\x60");
	CHECK(PUMP(&w, &c, w.seen.len == 7));
	http_stream_end(w.held);
}

TEST(wrong_handshakes)
{
	static const struct {
		const char *request, *status, *part;
	} cases[] = {
		{ REQ("GET /ws") "\r\n", "400", "websocket" },
		{ WS_HEAD("short", "13"), "400", "Sec-WebSocket-Key" },
		{ WS_HEAD("dGhlIHNhbXBsZSBub25jZQ==", "8"), "426",
		  "Sec-WebSocket-Version: 13\r\n" },
		{ REQ("GET /ws") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "400",
		  "websocket" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WORLD();

		client_send(&c, cases[i].request);
		CHECK(PUMP(&w, &c, has(&c, cases[i].part)));
		CHECK_MSG(strncmp(c.got.data + 9, cases[i].status, 3) == 0, "case %zu: %s", i,
			  c.got.data);
	}
}
