/*
 * The cutting of output into lines (lines.h). Pure; called for each chunk of a container's output.
 */
#include "engine/data/lines.h"

#include <stdlib.h>
#include <string.h>

#include "init/base/util.h"

static void emit(struct lines *l, bool whole, int64_t time_ns)
{
	if (!l->continued)
		l->first_ns = time_ns;
	l->emit(l, l->data, l->len, whole, l->first_ns);
	l->len = 0;
	l->continued = !whole;
}

void lines_take(struct lines *l, const char *data, size_t len, int64_t time_ns)
{
	if (!l->data)
		l->data = malloc(LINE_BYTES);
	if (!l->data)
		return;
	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t line = newline ? (size_t)(newline - data) : len;
		size_t n = MIN(line, LINE_BYTES - l->len);

		memcpy(l->data + l->len, data, n);
		l->len += n;
		data += n;
		len -= n;
		if (newline && n == line) {
			emit(l, true, time_ns);
			data++;
			len--;
		} else if (l->len == LINE_BYTES) {
			emit(l, false, time_ns);
		}
	}
}

void lines_flush(struct lines *l, int64_t time_ns)
{
	if (l->len > 0)
		emit(l, false, time_ns);
}

void lines_free(struct lines *l)
{
	free(l->data);
	*l = (struct lines){ .emit = l->emit };
}
