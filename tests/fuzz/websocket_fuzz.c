/*
 * What a websocket client sends, whole and in pieces: both ways must give the same messages and end
 * in the same way. The first byte of the input chooses the size of the pieces.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/http/websocket.h"

/* What a run amounts to: data joined per message, controls whole. */
struct outcome {
	uint64_t fold;
	size_t data, controls;
	unsigned int code; /* of a broken protocol, 0 none */
};

static void fold(struct outcome *o, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		o->fold = (o->fold ^ data[i]) * UINT64_C(1099511628211);
}

static void note(struct outcome *o, const struct ws_piece *p)
{
	if (p->opcode == WS_CLOSE || p->opcode == WS_PING || p->opcode == WS_PONG) {
		FUZZ_CHECK(p->len <= WS_CONTROL_MAX);
		o->controls++;
		o->fold += p->opcode + p->code;
	} else {
		FUZZ_CHECK(p->len > 0);
		o->data += p->len;
	}
	fold(o, p->data, p->len);
}

static struct outcome run(const uint8_t *input, size_t len, size_t step)
{
	unsigned char *copy = malloc(len + 1);
	struct ws_reader r = { 0 };
	struct outcome o = { 0 };
	size_t at = 0;

	FUZZ_CHECK(copy);
	memcpy(copy, input, len);
	while (at < len && o.code == 0) {
		size_t end = at + step < len ? at + step : len;
		int got = 1;

		while (got == 1) {
			struct ws_piece p = { 0 };
			size_t used = 0;

			got = ws_next(&r, copy + at, end - at, &used, &p);
			FUZZ_CHECK(used <= end - at);
			at += used;
			FUZZ_CHECK(got != 0 || at == end);
			if (got == 1)
				note(&o, &p);
			else if (got < 0)
				o.code = p.code;
		}
	}
	free(copy);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct outcome whole, pieces;

	if (len < 1)
		return 0;
	whole = run(data + 1, len - 1, len);
	pieces = run(data + 1, len - 1, 1 + data[0] % 16);
	FUZZ_CHECK(whole.fold == pieces.fold && whole.data == pieces.data);
	FUZZ_CHECK(whole.controls == pieces.controls && whole.code == pieces.code);
	return 0;
}
