/*
 * Docker's frames: how the standard streams of a process without a terminal share one connection
 * (docker-wire.md, point 4). Each piece of output is an 8-byte head {stream, 0, 0, 0, length as 32
 * bits big-endian} and the data.
 *
 * Pure. Users: whoever has to take a stream apart again (probes, websockets) or to put frames
 * around a raw one.
 */
#ifndef SKERRY_DATA_FRAMES_H
#define SKERRY_DATA_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEAD = 8 };
enum { FRAME_STDIN, FRAME_STDOUT, FRAME_STDERR, FRAME_SYSTEMERR };

void frame_head(unsigned char ret_head[FRAME_HEAD], int stream, uint32_t len);

/* Zeroed is ready. */
struct frame_reader {
	unsigned char head[FRAME_HEAD];
	size_t n_head;
	uint32_t left; /* of the frame's data */
};

struct frame_piece {
	int stream;
	const char *data; /* inside the input */
	size_t len; /* 0: only (parts of) a head were used up */
};

/* Takes one piece from the front of data[0..len), which may begin and end anywhere in a frame;
 * returns how many bytes of it are used. */
size_t frame_next(struct frame_reader *r, const char *data, size_t len, struct frame_piece *ret);

#endif
