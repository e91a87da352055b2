/*
 * Heads of frames, written and read (frames.h). The reader keeps only an unfinished head; data is
 * handed on in place, so a frame may be of any length.
 */
#include "engine/data/frames.h"

#include <string.h>

#include "init/base/util.h"

void frame_head(unsigned char head[FRAME_HEAD], int stream, uint32_t len)
{
	memset(head, 0, FRAME_HEAD);
	head[0] = (unsigned char)stream;
	for (int i = 0; i < 4; i++)
		head[4 + i] = (unsigned char)(len >> (24 - 8 * i));
}

size_t frame_next(struct frame_reader *r, const char *data, size_t len, struct frame_piece *ret)
{
	size_t used = 0;

	if (r->left == 0) {
		used = MIN(len, FRAME_HEAD - r->n_head);
		memcpy(r->head + r->n_head, data, used);
		r->n_head += used;
		if (r->n_head == FRAME_HEAD) {
			r->n_head = 0;
			r->left = (uint32_t)r->head[4] << 24 | (uint32_t)r->head[5] << 16 |
				  (uint32_t)r->head[6] << 8 | r->head[7];
		}
	}
	ret->stream = r->head[0];
	ret->data = data + used;
	ret->len = r->n_head == 0 ? MIN(len - used, (size_t)r->left) : 0;
	r->left -= (uint32_t)ret->len;
	return used + ret->len;
}
