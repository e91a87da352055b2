/*
 * Answers of JSON lines, one per step of what goes on: load, import, push.
 *
 * The answer begins with the first line. A client that does not read is not waited for: lines that
 * only say how far it is are dropped then.
 */
#include "engine/api/inside.h"

void api_line(struct http_req *r, bool *streaming, struct buf *line, bool droppable)
{
	buf_add_text(line, "\r\n");
	if (!*streaming)
		http_stream_begin(r, 200, "application/json");
	*streaming = true;
	if (buf_failed(line) == 0 && (!droppable || http_stream_room(r) >= line->len))
		http_stream_write(r, line->data, line->len);
}

void api_error_line(struct http_req *r, bool *streaming, const char *text)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(64 << 10);
	struct json_writer w;

	json_writer_init(&w, &line);
	json_begin_object(&w);
	json_key(&w, "errorDetail");
	json_begin_object(&w);
	json_member_str(&w, "message", text);
	json_end_object(&w);
	json_member_str(&w, "error", text);
	json_end_object(&w);
	api_line(r, streaming, &line, false);
}
