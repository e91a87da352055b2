/*
 * The boot report: a small fixed table of phases, a keyed list of warnings, and their JSON.
 *
 * boot.json lies in /run, so replacing it costs no disk write. Texts may quote names from disks and
 * DHCP servers, hence the escaping.
 */
#include "init/boot/report.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { JSON_MAX = 64 << 10, WARNING_MAX = 400 };

void report_free(struct report *r)
{
	for (size_t i = 0; i < r->n_warnings; i++)
		free(r->warnings[i].text);
	free(r->previous);
	free(r->data);
	*r = (struct report){ 0 };
}

void report_phase(struct report *r, const char *name, int64_t start_ms, int64_t end_ms, bool failed)
{
	if (r->n_phases == REPORT_PHASES_MAX)
		return;
	r->phases[r->n_phases++] = (struct report_phase){
		.name = name,
		.start_ms = start_ms,
		.duration_ms = end_ms - start_ms,
		.failed = failed,
	};
	report_write(r);
}

static struct report_warning *find(struct report *r, const char *key)
{
	for (size_t i = 0; i < r->n_warnings; i++) {
		if (str_eq(r->warnings[i].key, key))
			return &r->warnings[i];
	}
	return NULL;
}

void report_warn(struct report *r, const char *key, const char *fmt, ...)
{
	struct report_warning *w = find(r, key);
	char text[WARNING_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)!vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w && str_eq(w->text, text))
		return;
	log_warn("%s", text);
	if (!w) {
		if (r->n_warnings == REPORT_WARNINGS_MAX)
			return;
		w = &r->warnings[r->n_warnings];
		if (str_copy(w->key, sizeof(w->key), key) < 0)
			return;
		w->text = NULL;
		r->n_warnings++;
	}
	if (str_set(&w->text, text) == 0)
		report_write(r);
}

bool report_clear(struct report *r, const char *key)
{
	struct report_warning *w = find(r, key);
	size_t after;

	if (!w)
		return false;
	free(w->text);
	after = (size_t)(r->warnings + r->n_warnings - (w + 1));
	memmove(w, w + 1, after * sizeof(*w));
	r->n_warnings--;
	report_write(r);
	return true;
}

void report_publish(struct report *r, const char *path)
{
	r->path = path;
	report_write(r);
}

void report_write(const struct report *r)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(JSON_MAX);
	struct err e = { 0 };

	if (!r->path)
		return;
	if (report_json(r, &json) < 0 ||
	    file_replace(AT_FDCWD, r->path, json.data, json.len, 0644, false, &e) < 0)
		log_warn("cannot write %s: %s", r->path, err_text(&e));
}

int json_text(struct buf *out, const char *text)
{
	buf_add_char(out, '"');
	while (*text) {
		unsigned char c = (unsigned char)*text;
		size_t n = c < 0x80 ? 1 : str_utf8_len(text, strlen(text));

		if (n == 0) {
			buf_add_text(out, "\xef\xbf\xbd");
			n = 1;
		} else if (c == '"' || c == '\\') {
			buf_printf(out, "\\%c", c);
		} else if (c < 0x20 || c == 0x7f) {
			buf_printf(out, "\\u%04x", c);
		} else {
			buf_add(out, text, n);
		}
		text += n;
	}
	buf_add_char(out, '"');
	return buf_failed(out);
}

static void add_member(struct buf *out, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(out, ",\"%s\":", name);
	json_text(out, value);
}

int report_json(const struct report *r, struct buf *out)
{
	buf_add_text(out, "{\"phases\":[");
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct report_phase *p = &r->phases[i];

		buf_printf(out,
			   "%s{\"name\":\"%s\",\"start_ms\":%" PRId64 ",\"duration_ms\":%" PRId64
			   ",\"ok\":%s}",
			   i ? "," : "", p->name, p->start_ms, p->duration_ms,
			   p->failed ? "false" : "true");
	}
	buf_add_text(out, "],\"warnings\":[");
	for (size_t i = 0; i < r->n_warnings; i++) {
		if (i)
			buf_add_char(out, ',');
		json_text(out, r->warnings[i].text);
	}
	buf_add_char(out, ']');
	add_member(out, "data", r->data);
	add_member(out, "previous_boot", r->previous);
	buf_add_text(out, "}\n");
	return buf_failed(out);
}

int report_line(const struct report *r, struct buf *out)
{
	const struct report_phase *last = NULL;

	for (size_t i = 0; i < r->n_phases; i++) {
		last = &r->phases[i];
		buf_printf(out, "%s %" PRId64 " ms%s, ", last->name, last->duration_ms,
			   last->failed ? " (failed)" : "");
	}
	if (last)
		buf_printf(out, "done %" PRId64 " ms after the kernel's start",
			   last->start_ms + last->duration_ms);
	return buf_failed(out);
}
