/* Frames of multiplexed streams: heads, and pieces that begin and end anywhere. */
#include "engine/data/frames.h"

#include "init/base/buf.h"
#include "tests/unit/test.h"

static const unsigned char stream[] = { 1, 0, 0, 0, 0, 0, 0, 3, 'o', 'u', 't', 2, 0,   0,  0,
					0, 0, 0, 0, 1, 0, 0, 0, 0,   0,	  0,   2, 'x', 'y' };

TEST(heads)
{
	unsigned char head[FRAME_HEAD];
	static const unsigned char want[FRAME_HEAD] = { 2, 0, 0, 0, 1, 2, 3, 4 };

	frame_head(head, FRAME_STDERR, 0x01020304);
	CHECK(memcmp(head, want, sizeof(want)) == 0);
}

TEST(cut_anywhere)
{
	for (size_t step = 1; step <= sizeof(stream); step++) {
		_cleanup_(buf_free) struct buf got = BUF_INIT(100);
		struct frame_reader r = { 0 };

		for (size_t at = 0; at < sizeof(stream);) {
			size_t len = MIN(step, sizeof(stream) - at), end = at + len;

			while (at < end) {
				struct frame_piece p;
				size_t used =
					frame_next(&r, (const char *)stream + at, end - at, &p);

				CHECK(used > 0 && used <= end - at);
				at += used;
				for (size_t i = 0; i < p.len; i++)
					buf_printf(&got, "%d%c", p.stream, p.data[i]);
			}
		}
		CHECK_STR(buf_text(&got), "1o1u1t1x1y");
	}
}
