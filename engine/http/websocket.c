/*
 * WebSocket framing (websocket.h). The reader is a byte machine with two states: in a head, in a
 * frame's data. Whatever RFC 6455 forbids a client ends the connection with status 1002.
 */
#include "engine/http/websocket.h"

#include <string.h>
#include <strings.h>

#include "engine/http/conn.h"
#include "engine/http/tls.h"
#include "init/base/str.h"

/* RFC 6455, 1.3: what is added to the client's key. */
#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum {
	KEY_BYTES = 16,
	FIN = 0x80,
	RESERVED = 0x70,
	OPCODE = 0x0f,
	MASKED = 0x80,
	LENGTH = 0x7f,
	LENGTH_16 = 126,
	LENGTH_64 = 127,
};

/* --- handshake --- */

static bool key_valid(const char *key)
{
	_cleanup_(mem_free) void *data = NULL;
	size_t len = 0;

	return key && strlen(key) == 24 && base64_decode(key, &data, &len) == 0 && len == KEY_BYTES;
}

static char *accept_of(const char *key)
{
	_cleanup_(mem_free) char *text = str_printf("%s" WS_GUID, key);
	unsigned char hash[TLS_SHA1_LEN];

	if (!text || tls_sha1(text, strlen(text), hash) < 0)
		return NULL;
	return base64_encode(hash, sizeof(hash));
}

bool ws_accept(struct http_req *r)
{
	const char *key = http_header_get(r, "Sec-WebSocket-Key");
	const char *version = http_header_get(r, "Sec-WebSocket-Version");
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	_cleanup_(mem_free) char *answer = NULL;

	if (!http_wants_upgrade(r, "websocket") || strcmp(r->method, "GET") != 0 ||
	    !key_valid(key)) {
		http_reply_error(r, 400,
				 "this is for websockets: Connection, Upgrade and a "
				 "Sec-WebSocket-Key of 16 bytes are needed");
		return false;
	}
	if (!str_eq(version, "13")) {
		http_header(r, "Sec-WebSocket-Version", "13");
		http_reply_error(r, 426, "only version 13 of the websocket protocol is known");
		return false;
	}
	answer = accept_of(key);
	if (!answer || !r->conn) {
		http_reply_error(r, 500, "out of memory");
		return false;
	}
	buf_printf(&b,
		   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		   "Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		   answer, r->conn->server->config.headers ? r->conn->server->config.headers : "");
	if (buf_failed(&b) < 0)
		r->conn->broken = true;
	r->conn->ending = true;
	r->mode = REQ_RAW;
	(void)conn_queue(r->conn, b.data, b.len);
	return true;
}

/* --- sending --- */

size_t ws_head(unsigned char head[WS_REPLY_HEAD_MAX], enum ws_opcode opcode, size_t len)
{
	size_t n = 2, bytes = len <= WS_CONTROL_MAX ? 0 : len <= UINT16_MAX ? 2 : 8;

	head[0] = (unsigned char)(FIN | opcode);
	head[1] = bytes == 0 ? (unsigned char)len : bytes == 2 ? LENGTH_16 : LENGTH_64;
	for (size_t i = bytes; i > 0; i--)
		head[n++] = (unsigned char)((uint64_t)len >> (8 * (i - 1)));
	return n;
}

int ws_send(struct http_req *r, enum ws_opcode opcode, const void *data, size_t len)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(HTTP_STREAM_MAX);
	unsigned char head[WS_REPLY_HEAD_MAX];

	buf_add(&b, head, ws_head(head, opcode, len));
	buf_add(&b, data, len);
	return buf_failed(&b) < 0 ? -ENOBUFS : http_stream_write(r, b.data, b.len);
}

void ws_send_close(struct http_req *r, unsigned int code)
{
	const unsigned char status[2] = { (unsigned char)(code >> 8), (unsigned char)code };

	(void)ws_send(r, WS_CLOSE, status, sizeof(status));
}

/* --- reading --- */

static int broken(struct ws_piece *ret, unsigned int code)
{
	*ret = (struct ws_piece){ .opcode = WS_CLOSE, .code = code };
	return -EPROTO;
}

static bool is_control(enum ws_opcode opcode)
{
	return opcode & 8;
}

/* Bytes of the head, as far as those that are there can tell. */
static size_t head_len(const struct ws_reader *r)
{
	unsigned int length = r->n_head >= 2 ? r->head[1] & LENGTH : 0;

	if (r->n_head < 2)
		return 2;
	return 2 + (length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0) + sizeof(r->mask);
}

static bool opcode_known(unsigned int opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* The first two bytes say what kind of frame it is: 0, or the status to close with. */
static unsigned int check_kind(const struct ws_reader *r)
{
	unsigned int opcode = r->head[0] & OPCODE;
	bool fin = r->head[0] & FIN;

	if (r->head[0] & RESERVED || !opcode_known(opcode) || !(r->head[1] & MASKED))
		return WS_PROTOCOL_ERROR;
	if (is_control(opcode))
		return fin && (r->head[1] & LENGTH) <= WS_CONTROL_MAX ? 0 : WS_PROTOCOL_ERROR;
	/* a message begins with its kind and goes on with CONTINUATION */
	return (opcode == WS_CONTINUATION) == r->in_message ? 0 : WS_PROTOCOL_ERROR;
}

/* The head is complete. 0, or the status to close with. */
static unsigned int begin_frame(struct ws_reader *r)
{
	size_t n = r->n_head - sizeof(r->mask);
	uint64_t len = r->head[1] & LENGTH;

	if (n > 2) {
		len = 0;
		for (size_t i = 2; i < n; i++)
			len = len << 8 | r->head[i];
		if (len < (n == 4 ? LENGTH_16 : UINT16_MAX + 1)) /* not the shortest form */
			return WS_PROTOCOL_ERROR;
	}
	if (len > WS_FRAME_MAX)
		return WS_TOO_BIG;
	r->opcode = r->head[0] & OPCODE;
	memcpy(r->mask, r->head + n, sizeof(r->mask));
	r->left = len;
	r->at = 0;
	r->n_head = r->n_control = 0;
	r->in_frame = true;
	if (!is_control(r->opcode))
		r->in_message = !(r->head[0] & FIN);
	return 0;
}

static void unmask(struct ws_reader *r, unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] ^= r->mask[r->at++ % sizeof(r->mask)];
}

static int whole_control(struct ws_reader *r, struct ws_piece *ret)
{
	*ret = (struct ws_piece){ .opcode = r->opcode, .data = r->control, .len = r->n_control };
	r->in_frame = false;
	if (r->opcode != WS_CLOSE)
		return 1;
	if (r->n_control == 1)
		return broken(ret, WS_PROTOCOL_ERROR);
	ret->code = r->n_control ? (unsigned int)(r->control[0] << 8 | r->control[1]) : WS_NORMAL;
	return 1;
}

/* One step inside of a frame. */
static int take_data(struct ws_reader *r, unsigned char *data, size_t len, size_t *ret_used,
		     struct ws_piece *ret)
{
	size_t n = MIN((uint64_t)len, r->left);

	unmask(r, data, n);
	r->left -= n;
	*ret_used += n;
	if (is_control(r->opcode)) {
		memcpy(r->control + r->n_control, data, n);
		r->n_control += n;
		return r->left == 0 ? whole_control(r, ret) : 0;
	}
	*ret = (struct ws_piece){ .opcode = r->opcode, .data = data, .len = n };
	r->in_frame = r->left > 0;
	return n > 0;
}

int ws_next(struct ws_reader *r, unsigned char *data, size_t len, size_t *ret_used,
	    struct ws_piece *ret)
{
	size_t used = 0;
	int got = 0;

	*ret_used = 0;
	while (got == 0 && (used < len || (r->in_frame && r->left == 0))) {
		unsigned int status = 0;

		if (r->in_frame) {
			got = take_data(r, data + used, len - used, &used, ret);
			continue;
		}
		r->head[r->n_head++] = data[used++];
		if (r->n_head == 2)
			status = check_kind(r);
		if (status == 0 && r->n_head == head_len(r))
			status = begin_frame(r);
		if (status != 0)
			got = broken(ret, status);
	}
	*ret_used = used;
	return got;
}
