/*
 * WebSocket (RFC 6455), server side: the handshake, heads of frames, and an incremental reader of
 * what the client sends. No extensions, no subprotocols.
 *
 * The connection itself is a hijacked stream of the server (server.h); this file only says what its
 * bytes mean. Message data is handed on in pieces as it comes and never collected, so a message may
 * be of any length and fragmented in any way; only control frames are kept (125 bytes).
 */
#ifndef SKERRY_HTTP_WEBSOCKET_H
#define SKERRY_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/http/server.h"
#include "init/base/err.h"

enum {
	WS_CONTROL_MAX = 125, /* RFC 6455, 5.5 */
	WS_FRAME_MAX = 16 << 20, /* of one frame's data; more is answered with code 1009 */
	WS_HEAD_MAX = 14, /* client's: 2 + 8 + mask */
	WS_REPLY_HEAD_MAX = 10,
};

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

enum {
	WS_NORMAL = 1000,
	WS_PROTOCOL_ERROR = 1002,
	WS_TOO_BIG = 1009,
};

/* Answers the handshake: 101 and from then on a hijacked stream (true), or an error (false: the
 * request is over). */
bool ws_accept(struct http_req *r);

/* The head of a frame of ours (whole, unmasked); returns its length. */
size_t ws_head(unsigned char ret_head[WS_REPLY_HEAD_MAX], enum ws_opcode opcode, size_t len);
/* Sends one frame; as http_stream_write. */
int ws_send(struct http_req *r, enum ws_opcode opcode, const void *data, size_t len);
/* Sends a close frame; the caller then ends the stream. */
void ws_send_close(struct http_req *r, unsigned int code);

/* Zeroed is ready. */
struct ws_reader {
	unsigned char head[WS_HEAD_MAX];
	size_t n_head;
	bool in_frame;
	bool in_message; /* a fragmented message is open */
	enum ws_opcode opcode; /* of the frame */
	uint64_t left; /* of the frame's data */
	uint32_t at; /* position in the mask */
	unsigned char mask[4];
	unsigned char control[WS_CONTROL_MAX];
	size_t n_control;
};

struct ws_piece {
	enum ws_opcode opcode; /* TEXT, BINARY or CONTINUATION: data; PING, PONG, CLOSE: whole */
	const unsigned char *data; /* unmasked; valid until the next call */
	size_t len;
	unsigned int code; /* CLOSE: the client's status, WS_NORMAL when it gave none */
};

/*
 * Takes bytes from the front of data[0..len) (they are unmasked in place); *ret_used says how many.
 * 1: *ret is a piece. 0: all used, nothing yet. -EPROTO: the client broke the protocol; *ret->code
 * is the status to close with.
 */
int ws_next(struct ws_reader *r, unsigned char *data, size_t len, size_t *ret_used,
	    struct ws_piece *ret);

#endif
