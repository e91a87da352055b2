/*
 * refs/: one small document per image and per name, and the index of names.
 *
 * Names are escaped so that a file name says what it is for
 * (n-docker.io%2flibrary%2fnginx%3alatest.json) and cannot be anything else; the document repeats
 * the name, and both must agree. Written durably by engine/state; the record is the last thing
 * written for an image and the first one removed. Called by store.c at start, by commit.c, query.c
 * and remove.c.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/image/store_priv.h"
#include "engine/state/state.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { ESCAPED_MAX = 200 }; /* longer names are filed by their hash: NAME_MAX is 255 */

int record_name_file(char file[NAME_MAX + 1], const char *name)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4 * REF_TEXT_MAX);
	char digest[DIGEST_TEXT_MAX];

	for (const char *p = name; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("._-", *p))
			buf_add_char(&b, *p);
		else
			buf_printf(&b, "%%%02x", (unsigned char)*p);
	}
	if (buf_failed(&b))
		return buf_failed(&b);
	if (b.len <= ESCAPED_MAX)
		return str_format(file, NAME_MAX + 1, "n-%s" STATE_SUFFIX, buf_text(&b));
	if (digest_of(name, strlen(name), digest) < 0)
		return -EIO;
	return str_format(file, NAME_MAX + 1, "x-%s" STATE_SUFFIX, digest_hex(digest));
}

static void image_file(char file[NAME_MAX + 1], const struct stored *st)
{
	(void)str_format(file, NAME_MAX + 1, "i-%s" STATE_SUFFIX, digest_hex(st->image.id));
}

/* ---- familiar names ---- */

static int familiar_list(char *const *names, char ***ret)
{
	_cleanup_(strv_free) char **list = NULL;
	char text[REF_TEXT_MAX];
	struct ref ref;

	for (size_t i = 0; i < strv_len(names); i++) {
		if (ref_parse(names[i], &ref, NULL) < 0)
			continue;
		ref_format_familiar(&ref, text);
		if (strv_add(&list, text) < 0)
			return -ENOMEM;
	}
	strv_free(*ret);
	*ret = take_ptr(list);
	return 0;
}

int record_familiar(struct stored *st)
{
	int r = familiar_list(st->names, &st->image.tags);

	return r < 0 ? r : familiar_list(st->digest_names, &st->image.digests);
}

static void list_remove_text(char **list, const char *text)
{
	size_t n = strv_len(list);

	for (size_t i = 0; i < n; i++) {
		if (!str_eq(list[i], text))
			continue;
		free(list[i]);
		memmove(&list[i], &list[i + 1], (n - i) * sizeof(*list));
		return;
	}
}

/* ---- writing ---- */

static void write_source(const struct image_source *source, struct json_writer *w)
{
	if (!source->path)
		return;
	json_key(w, "source");
	json_begin_object(w);
	json_member_str(w, "path", source->path);
	json_member_i64(w, "size", source->size);
	json_member_i64(w, "mtime", source->mtime_ns);
	json_member_i64(w, "inode", source->inode);
	json_end_object(w);
}

static int read_source(struct image_source *source, yyjson_val *root, struct err *e)
{
	yyjson_val *object = NULL;
	int r = json_get_object(root, "source", &object, e);

	if (r < 0 || !object)
		return r;
	if ((r = json_get_copy(object, "path", &source->path, e)) < 0 ||
	    (r = json_get_i64(object, "size", &source->size, e)) < 0 ||
	    (r = json_get_i64(object, "mtime", &source->mtime_ns, e)) < 0)
		return r;
	return json_get_i64(object, "inode", &source->inode, e);
}

int record_write_image(struct images *s, const struct stored *st, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(IMAGE_RECORD_MAX);
	char file[NAME_MAX + 1];
	struct json_writer w;

	image_file(file, st);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "image", st->image.id);
	json_member_str(&w, "manifest", st->image.manifest);
	json_member_i64(&w, "loaded", st->image.loaded_ns);
	json_key(&w, "digests");
	json_strv(&w, st->digest_names);
	write_source(&st->source, &w);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_set(e, -buf_failed(&b), "cannot write the record of %s", st->image.id);
	return state_write(s->refs_fd, file, b.data, b.len, e);
}

int record_remove_image(struct images *s, const struct stored *st, struct err *e)
{
	char file[NAME_MAX + 1];

	image_file(file, st);
	return state_remove(s->refs_fd, file, e);
}

static int write_name(struct images *s, const struct stored *st, const char *name, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(IMAGE_RECORD_MAX);
	char file[NAME_MAX + 1];
	struct json_writer w;

	if (record_name_file(file, name) < 0)
		return err_set(e, EINVAL, "the name \"%.200s\" cannot be stored", name);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "name", name);
	json_member_str(&w, "image", st->image.id);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_set(e, -buf_failed(&b), "cannot write the record of %.200s", name);
	return state_write(s->refs_fd, file, b.data, b.len, e);
}

int record_set_name(struct images *s, struct stored *st, const char *name, char **ret_old,
		    struct err *e)
{
	struct stored *old = map_get(&s->by_name, name);
	int r;

	*ret_old = NULL;
	if (old == st)
		return 0;
	r = write_name(s, st, name, e);
	if (r < 0)
		return r;
	if (map_put(&s->by_name, name, st, NULL) < 0 || strv_add(&st->names, name) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (old) {
		list_remove_text(old->names, name);
		*ret_old = str_dup(old->image.id);
	}
	if (record_familiar(st) < 0 || (old && record_familiar(old) < 0))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

int record_remove_name(struct images *s, struct stored *st, const char *name, struct err *e)
{
	char file[NAME_MAX + 1];
	int r;

	if (record_name_file(file, name) < 0)
		return err_set(e, EINVAL, "the name \"%.200s\" cannot be stored", name);
	r = state_remove(s->refs_fd, file, e);
	if (r < 0)
		return r;
	if (map_get(&s->by_name, name) == st)
		map_remove(&s->by_name, name);
	list_remove_text(st->names, name);
	return record_familiar(st) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int record_add_digest(struct images *s, struct stored *st, const char *name, struct err *e)
{
	int r;

	if (strv_add(&st->digest_names, name) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = record_write_image(s, st, e);
	if (r == 0 && map_put(&s->by_name, name, st, NULL) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r < 0) {
		list_remove_text(st->digest_names, name);
		return r;
	}
	return record_familiar(st) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int record_remove_digest(struct images *s, struct stored *st, const char *name, struct err *e)
{
	int r;

	list_remove_text(st->digest_names, name);
	r = record_write_image(s, st, e);
	if (r < 0) {
		(void)strv_add(&st->digest_names, name);
		return r;
	}
	if (map_get(&s->by_name, name) == st)
		map_remove(&s->by_name, name);
	return record_familiar(st) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- reading ---- */

static int read_image(struct images *s, const char *hex, yyjson_val *root, struct err *e)
{
	_cleanup_(stored_free) struct stored *st = NULL;
	const char *id = "", *manifest = NULL;
	int r;

	if ((r = json_get_text(root, "image", &id, e)) < 0 ||
	    (r = json_get_text(root, "manifest", &manifest, e)) < 0)
		return r;
	if (!digest_valid(id) || !str_eq(digest_hex(id), hex) ||
	    (manifest && !digest_valid(manifest)))
		return err_set(e, EBADMSG,
			       "it does not fit its file name, or a digest in it is none");
	r = store_read_image(s, id, &st, e);
	if (r < 0)
		return r;
	if ((r = json_get_i64(root, "loaded", &st->image.loaded_ns, e)) < 0 ||
	    (r = json_get_strv(root, "digests", &st->digest_names, e)) < 0 ||
	    (r = read_source(&st->source, root, e)) < 0)
		return r;
	st->image.manifest = str_dup(manifest);
	if ((manifest && !st->image.manifest) || record_familiar(st) < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < strv_len(st->digest_names); i++)
		if (map_put(&s->by_name, st->digest_names[i], st, NULL) < 0)
			return err_set(e, ENOMEM, "out of memory");
	r = store_add(s, st, e);
	if (r == 0)
		take_ptr(st);
	return r;
}

static int read_name(struct images *s, const char *stem, yyjson_val *root, struct err *e)
{
	const char *id = "", *name = "";
	char file[NAME_MAX + 1], clean[REF_TEXT_MAX];
	struct stored *st;
	struct ref ref;
	int r;

	if ((r = json_get_text(root, "name", &name, e)) < 0 ||
	    (r = json_get_text(root, "image", &id, e)) < 0 || (r = ref_parse(name, &ref, e)) < 0)
		return r;
	ref_format(&ref, clean);
	if (!str_eq(clean, name) || record_name_file(file, name) < 0 ||
	    strncmp(file, stem, strlen(stem)) != 0 || !str_eq(file + strlen(stem), STATE_SUFFIX))
		return err_set(e, EBADMSG, "it does not fit its file name");
	st = digest_valid(id) ? map_get(&s->by_id, digest_hex(id)) : NULL;
	if (!st)
		return err_set(e, EBADMSG, "it names the image %.80s, which is not here", id);
	if (map_put(&s->by_name, name, st, NULL) < 0 || strv_add(&st->names, name) < 0 ||
	    record_familiar(st) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static void put_aside(struct images *s, const char *stem, const char *why)
{
	char from[NAME_MAX + 1], to[NAME_MAX + 1];

	s->damaged = true;
	log_error("images: refs/%s%s is put aside as %s%s%s: %s", stem, STATE_SUFFIX, stem,
		  STATE_SUFFIX, STATE_BAD_SUFFIX, why);
	if (str_format(from, sizeof(from), "%s%s", stem, STATE_SUFFIX) < 0 ||
	    str_format(to, sizeof(to), "%s%s", from, STATE_BAD_SUFFIX) < 0 ||
	    renameat(s->refs_fd, from, s->refs_fd, to) < 0)
		log_error("images: refs/%s cannot be put aside", stem);
}

/* Images come before names: "i-" sorts before "n-" and "x-". */
static int read_record(const char *stem, yyjson_val *root, void *data, struct err *e)
{
	struct images *s = data;
	struct err why = { 0 };
	int r;

	if (str_starts(stem, "i-"))
		r = read_image(s, stem + 2, root, &why);
	else if (str_starts(stem, "n-") || str_starts(stem, "x-"))
		r = read_name(s, stem, root, &why);
	else
		r = err_set(&why, EBADMSG, "its file name is none of ours");
	if (r == -ENOMEM)
		return err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		put_aside(s, stem, err_text(&why));
	return 0;
}

static int note_bad(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)e;
	*(size_t *)data += str_ends(name, STATE_BAD_SUFFIX);
	return 0;
}

static size_t count_bad(struct images *s)
{
	size_t n = 0;

	(void)dir_each(s->refs_fd, ".", STATE_FILES_MAX, note_bad, &n, NULL);
	return n;
}

int record_read_all(struct images *s, struct err *e)
{
	size_t before = count_bad(s);
	int r = state_each(s->refs_fd, ".", IMAGE_RECORD_MAX, read_record, s, e);

	if (count_bad(s) != before)
		s->damaged = true; /* engine/state put one aside by itself */
	return r;
}
