/*
 * Relay: copies between a hijacked connection (or a websocket on it) and the stream of a process in
 * a container, for attach and exec.
 *
 * Output waits in the stream while the client's queue is full, input in the client's socket while
 * the process does not read, so memory is one buffer per direction. The stream may come later than
 * the client: until then input waits. What may lie between them: frames taken off or put on, detach
 * keys, websocket messages.
 */
#ifndef SKERRY_API_RELAY_H
#define SKERRY_API_RELAY_H

#include "engine/data/frames.h"
#include "engine/data/keys.h"
#include "engine/http/server.h"
#include "engine/http/websocket.h"
#include "init/base/buf.h"
#include "init/base/loop.h"

enum relay_end {
	RELAY_STREAM, /* the stream is at its end */
	RELAY_INPUT, /* the client has ended its input, and that ends the whole */
	RELAY_KEYS, /* it typed the detach keys */
	RELAY_GONE, /* it vanished: the request is no longer the owner's to end */
};

struct relay {
	/* Set by the owner before relay_begin(). */
	bool input; /* what the client sends goes to the stream; else it is dropped */
	bool ends_with_input; /* the end of its input ends the relay, not only the stream's stdin */
	bool stream_frames; /* the stream has frames, */
	bool client_frames; /* the client wants them */
	bool has_keys; /* keys.seq ends the relay */
	struct key_matcher keys;
	bool websocket;
	enum ws_opcode opcode; /* of messages to the client */
	/* The relay is over; the owner clears it and (but for GONE) ends the request, then or
	 * later. GONE may still follow while the owner waits with that. */
	void (*ended)(struct relay *r, enum relay_end why);
	/* The client's queue has room again while there is no stream; may be NULL. */
	void (*drained)(struct relay *r);

	/* inside */
	struct http_req *req; /* NULL: over */
	struct loop *loop;
	struct io_event io;
	int fd;
	struct buf in; /* from the client, not yet taken by the stream */
	bool in_ended, in_dead, over;
	struct frame_reader frames;
	struct ws_reader ws;
};

/* Takes over the callbacks of a hijacked request. */
void relay_begin(struct relay *r, struct http_req *req, struct loop *loop);
/* The stream, from now on the relay's. May end the relay. */
void relay_stream(struct relay *r, int fd);
/* Sends output as if it came from the stream (frames and all); whoever calls keeps to
 * http_stream_room(). */
void relay_output(struct relay *r, const char *data, size_t len);
/* Sends words of the engine as output of the process. */
void relay_say(struct relay *r, const char *text);
/* Ends the request (a websocket with a close frame). */
void relay_finish(struct relay *r);
/* Gives everything back; the request stays. */
void relay_clear(struct relay *r);

#endif
