/*
 * Finding, listing and naming images in the index.
 *
 * Pure memory, but for images_tag, which writes one record. Called by container/, manifest/ and
 * api/ through image.h.
 */
#include <string.h>

#include "engine/data/ids.h"
#include "engine/image/store_priv.h"
#include "init/base/str.h"

/* ---- finding ---- */

/* The key of by_name: with a tag, or with a digest and no tag. */
static void name_key(const struct ref *from, char ret[REF_TEXT_MAX])
{
	struct ref ref = *from;

	if (ref.digest[0])
		ref.tag[0] = '\0';
	ref_add_default_tag(&ref);
	ref_format(&ref, ret);
}

static const struct stored *find_prefix(struct images *s, const char *text, struct err *e)
{
	const char *hex = str_starts(text, "sha256:") ? text + strlen("sha256:") : text;
	void *value = NULL;
	int r;

	if (!id_is_prefix(hex))
		return NULL;
	r = id_find(&s->by_id, hex, &value);
	if (r == -EINVAL)
		err_set(e, EINVAL, "the image id \"%s\" is ambiguous: several images start with it",
			hex);
	return r < 0 ? NULL : value;
}

const struct image *images_find(struct images *s, const char *text, struct err *e)
{
	char key[REF_TEXT_MAX];
	const struct stored *st = NULL;
	struct err ambiguous = { 0 };
	struct ref ref;

	if (digest_valid(text) || id_valid(text)) {
		st = find_prefix(s, text, NULL);
		if (!st)
			err_set(e, ENOENT, "No such image: %s", text);
		return st ? &st->image : NULL;
	}
	if (ref_parse(text, &ref, e) < 0) {
		st = str_starts(text, "sha256:") ? find_prefix(s, text, e) : NULL;
		return st ? &st->image : NULL;
	}
	name_key(&ref, key);
	st = map_get(&s->by_name, key);
	if (!st)
		st = find_prefix(s, text, &ambiguous);
	if (st)
		return &st->image;
	if (ambiguous.code) {
		err_set(e, ambiguous.code, "%s", err_text(&ambiguous));
		return NULL;
	}
	ref_add_default_tag(&ref);
	ref_format_familiar(&ref, key);
	err_set(e, ENOENT, "No such image: %s", key);
	return NULL;
}

/* ---- listing ---- */

static int newer_first(const void *a, const void *b)
{
	const struct image *x = &(*(struct stored *const *)a)->image,
			   *y = &(*(struct stored *const *)b)->image;

	if (x->created_ns != y->created_ns)
		return x->created_ns > y->created_ns ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int sort_images(struct images *s)
{
	struct stored **sorted;
	struct map_entry *m;
	size_t i = 0, n = 0;

	if (!s->unsorted)
		return 0;
	sorted = realloc(s->sorted, (map_len(&s->by_id) + 1) * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	while ((m = map_next(&s->by_id, &i)))
		sorted[n++] = m->value;
	qsort(sorted, n, sizeof(*sorted), newer_first);
	s->sorted = sorted;
	s->n_sorted = n;
	s->unsorted = false;
	return 0;
}

const struct image *images_next(struct images *s, size_t *pos)
{
	if (sort_images(s) < 0 || *pos >= s->n_sorted)
		return NULL;
	return &s->sorted[(*pos)++]->image;
}

size_t images_count(const struct images *s)
{
	return map_len(&s->by_id);
}

char **image_lower_dirs(const struct image *img)
{
	const struct stored *st = container_of(img, struct stored, image);
	char **dirs = calloc(img->n_layers + 2, sizeof(*dirs));

	if (!dirs)
		return NULL;
	if (st->empty && !(dirs[0] = str_dup(st->empty))) {
		free(dirs);
		return NULL;
	}
	for (size_t i = 0; i < img->n_layers; i++) {
		size_t layer = img->n_layers - 1 - i;

		dirs[i] = str_dup(img->layers[layer].dir);
		if (!dirs[i]) {
			strv_free(dirs);
			return NULL;
		}
		if (st->layers[layer]->opaque_root)
			break; /* a root that hides all below it: overlayfs would merge it */
	}
	return dirs;
}

void images_set_users(struct images *s, image_user_fn fn, void *data)
{
	s->user = fn;
	s->user_data = data;
}

/* ---- naming ---- */

int images_tag(struct images *s, const char *text, const char *name, struct err *e)
{
	_cleanup_(mem_free) char *old = NULL;
	char key[REF_TEXT_MAX];
	const struct image *img = images_find(s, text, e);
	struct ref ref;
	int r;

	if (!img)
		return e && e->code ? -e->code : -ENOENT;
	r = ref_parse(name, &ref, e);
	if (r < 0)
		return r;
	if (ref.digest[0])
		return err_set(e, EINVAL, "refusing to create a tag with a digest reference");
	name_key(&ref, key);
	return record_set_name(s, container_of(img, struct stored, image), key, &old, e);
}
