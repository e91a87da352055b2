/*
 * `skerryd store-check [--recover] DIR`: is what a store has on disk in order?
 *
 * An auditor of its own: it reads the folders with nothing of the index's code, changes nothing and
 * trusts no name. Two kinds of findings: a violation is what no moment of no operation may leave
 * behind, a power cut included (a record whose image is not all there, a blob with another digest,
 * a layer without its record or of another chain); a left-over is what a cut may leave and the next
 * start sweeps (a blob or layer that no image names, work in tmp/). With --recover the store is
 * opened first as the engine does it, and then left-overs are violations too. DIR is an images
 * folder that no engine has open, or one whose engine is idle.
 *
 * Prints a line per image, name and finding; exit status 0: in order, 1: not, 2: cannot look.
 * Called by main.c, for people and for tests/system.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/document.h"
#include "engine/image/plan.h"
#include "engine/image/store_priv.h"
#include "engine/state/state.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { CHECK_ENTRIES_MAX = 1 << 20 };

/* What is there, and whether an image that was read names it. */
struct found_blob {
	int64_t size;
	bool used;
};

struct found_layer {
	char diff_id[DIGEST_TEXT_MAX], blob[DIGEST_TEXT_MAX];
	bool used;
};

struct check {
	int dir;
	bool recovered; /* left-overs are violations */
	struct map blobs; /* hex -> struct found_blob */
	struct map layers; /* hex -> struct found_layer */
	struct map images; /* hex -> itself */
	size_t names, violations, leftovers;
};

__attribute__((format(printf, 3, 4))) static void tell(struct check *c, bool leftover,
						       const char *fmt, ...)
{
	bool harmless = leftover && !c->recovered;
	va_list ap;

	*(harmless ? &c->leftovers : &c->violations) += 1;
	printf("%s: ", harmless ? "left-over" : "violation");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static bool is_hex_name(const char *name)
{
	return strlen(name) == DIGEST_HEX_LEN && name[strspn(name, "0123456789abcdef")] == '\0';
}

/* ---- blobs ---- */

static int check_blob(int dirfd, const char *name, void *data, struct err *e)
{
	_cleanup_(fd_close) int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_(mem_free) struct found_blob *b = calloc(1, sizeof(*b));
	char digest[DIGEST_TEXT_MAX] = "";
	struct check *c = data;
	struct stat st;

	if (!is_hex_name(name) || fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		tell(c, false, "blobs/sha256/%s is no blob", name);
		return 0;
	}
	if (digest_of_fd(fd, digest, NULL, e) < 0)
		return err_wrap(e, "blobs/sha256/%s", name);
	if (!str_eq(digest_hex(digest), name))
		tell(c, false, "blobs/sha256/%s has the digest %s", name, digest);
	if (!b)
		return err_set(e, ENOMEM, "out of memory");
	b->size = st.st_size;
	if (map_put(&c->blobs, name, b, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	take_ptr(b);
	return 0;
}

/* Says that an image needs it; false when it is not there. */
static bool use_blob(struct check *c, const char *digest)
{
	struct found_blob *b = map_get(&c->blobs, digest_hex(digest));

	if (b)
		b->used = true;
	return b;
}

/* ---- layers ---- */

/* A layer's folder holds its tree and its record, and nothing else. */
static int check_member(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	if (str_eq(name, LAYER_TREE) || str_eq(name, LAYER_RECORD))
		return 0;
	(void)data;
	return err_set(e, EBADMSG, "it holds %.200s", name);
}

static int read_layer(struct check *c, int dirfd, const char *hex, struct found_layer *l,
		      struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	const char *chain = "", *diff_id = "", *blob = "";
	int64_t size = -1;
	struct found_blob *kept;
	yyjson_val *root = NULL;
	char path[128];
	struct stat st;
	size_t len = 0;
	int r;

	(void)str_format(path, sizeof(path), "%s/" LAYER_RECORD, hex);
	if ((r = dir_each(dirfd, hex, 16, check_member, NULL, e)) < 0 ||
	    (r = file_read(dirfd, path, IMAGE_RECORD_MAX, &text, &len, e)) < 0 ||
	    (r = json_parse_object(text, len, &doc, &root, e)) < 0 ||
	    (r = json_need_text(root, "chain_id", &chain, e)) < 0 ||
	    (r = json_need_text(root, "diff_id", &diff_id, e)) < 0 ||
	    (r = json_need_text(root, "blob", &blob, e)) < 0 ||
	    (r = json_get_i64(root, "blob_size", &size, e)) < 0 ||
	    (r = digest_check(chain, e)) < 0 || (r = digest_check(diff_id, e)) < 0 ||
	    (r = digest_check(blob, e)) < 0)
		return r;
	if (!str_eq(digest_hex(chain), hex))
		return err_set(e, EBADMSG, "its record is that of %s", chain);
	(void)str_format(path, sizeof(path), "%s/" LAYER_TREE, hex);
	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, EBADMSG, "its tree is missing");
	kept = map_get(&c->blobs, digest_hex(blob));
	if (kept && kept->size != size)
		return err_set(e, EBADMSG, "its record says %lld bytes, its archive has %lld",
			       (long long)size, (long long)kept->size);
	(void)str_copy(l->diff_id, sizeof(l->diff_id), diff_id);
	(void)str_copy(l->blob, sizeof(l->blob), blob);
	return 0;
}

static int check_layer(int dirfd, const char *name, void *data, struct err *e)
{
	_cleanup_(mem_free) struct found_layer *l = calloc(1, sizeof(*l));
	struct check *c = data;
	struct err why = { 0 };

	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	if (!is_hex_name(name)) {
		tell(c, false, "layers/%s is no layer", name);
		return 0;
	}
	if (read_layer(c, dirfd, name, l, &why) < 0) {
		tell(c, false, "the layer %s: %s", name, err_text(&why));
		return 0;
	}
	if (map_put(&c->layers, name, l, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	take_ptr(l);
	return 0;
}

/* ---- images ---- */

static int check_manifest(struct check *c, const char *id, const char *manifest, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	struct descriptor config;
	char path[128];
	size_t len = 0;
	int r = digest_check(manifest, e);

	if (r < 0)
		return r;
	if (!use_blob(c, manifest))
		return err_set(e, ENOENT, "its manifest %s is missing", manifest);
	(void)str_format(path, sizeof(path), "blobs/sha256/%s", digest_hex(manifest));
	if ((r = file_read(c->dir, path, IMAGE_DOCUMENT_MAX, &text, &len, e)) < 0 ||
	    (r = document_parse(text, len, &doc, e)) < 0 ||
	    (r = descriptor_read(json_member(yyjson_doc_get_root(doc), "config"), &config, e)) < 0)
		return r;
	return str_eq(config.digest, id) ? 0
					 : err_set(e, EBADMSG, "its manifest %s is that of %s",
						   manifest, config.digest);
}

static int check_chain(struct check *c, yyjson_val *config, struct err *e)
{
	_cleanup_(strv_free) char **ids = NULL;
	char chain[DIGEST_TEXT_MAX] = "", next[DIGEST_TEXT_MAX];
	int r = json_get_strv(json_member(config, "rootfs"), "diff_ids", &ids, e);

	for (size_t i = 0; r == 0 && i < strv_len(ids); i++) {
		struct found_layer *l;

		r = digest_check(ids[i], e);
		if (r == 0 && chain_id(chain, ids[i], next) < 0)
			r = err_set(e, EIO, "cannot compute a chain id");
		if (r < 0)
			return r;
		(void)str_copy(chain, sizeof(chain), next);
		l = map_get(&c->layers, digest_hex(chain));
		if (!l)
			return err_set(e, ENOENT, "its layer %zu (%s) is missing", i, chain);
		if (!str_eq(l->diff_id, ids[i]))
			return err_set(e, EBADMSG, "its layer %zu (%s) is %s, expected %s", i,
				       chain, l->diff_id, ids[i]);
		l->used = true;
		(void)use_blob(c, l->blob); /* a store in memory keeps none */
	}
	return r;
}

static int check_config(struct check *c, const char *id, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	struct image parsed = { 0 };
	char path[128];
	size_t len = 0;
	int r;

	if (!use_blob(c, id))
		return err_set(e, ENOENT, "its config is missing");
	(void)str_format(path, sizeof(path), "blobs/sha256/%s", digest_hex(id));
	if ((r = file_read(c->dir, path, IMAGE_DOCUMENT_MAX, &text, &len, e)) < 0)
		return r;
	r = config_read(&parsed, text, len, e);
	config_free(&parsed);
	if (r < 0 || (r = json_parse_object(text, len, &doc, NULL, e)) < 0)
		return r;
	return check_chain(c, yyjson_doc_get_root(doc), e);
}

static int check_image(struct check *c, const char *hex, yyjson_val *root, struct err *e)
{
	_cleanup_(strv_free) char **digests = NULL;
	const char *id = "", *manifest = NULL;
	struct ref ref;
	int r;

	if ((r = json_need_text(root, "image", &id, e)) < 0 ||
	    (r = json_get_text(root, "manifest", &manifest, e)) < 0 ||
	    (r = json_get_strv(root, "digests", &digests, e)) < 0 || (r = digest_check(id, e)) < 0)
		return r;
	if (!str_eq(digest_hex(id), hex))
		return err_set(e, EBADMSG, "it is the record of %s", id);
	for (size_t i = 0; i < strv_len(digests); i++)
		if ((r = ref_parse(digests[i], &ref, e)) < 0)
			return r;
	if ((r = check_config(c, id, e)) < 0 ||
	    (manifest && (r = check_manifest(c, id, manifest, e)) < 0))
		return r;
	if (map_put(&c->images, hex, c, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	printf("image %s\n", id);
	return 0;
}

static int check_name(struct check *c, const char *file, yyjson_val *root, struct err *e)
{
	char expected[NAME_MAX + 1], clean[REF_TEXT_MAX];
	const char *name = "", *id = "";
	struct ref ref;
	int r;

	if ((r = json_need_text(root, "name", &name, e)) < 0 ||
	    (r = json_need_text(root, "image", &id, e)) < 0 || (r = ref_parse(name, &ref, e)) < 0 ||
	    (r = digest_check(id, e)) < 0)
		return r;
	ref_format(&ref, clean);
	if (!str_eq(clean, name) || record_name_file(expected, name) < 0 || !str_eq(expected, file))
		return err_set(e, EBADMSG, "it is the record of %.200s", name);
	if (!map_has(&c->images, digest_hex(id)))
		return err_set(e, ENOENT, "it names the image %s, which is not in order", id);
	c->names++;
	printf("name %s %s\n", name, id);
	return 0;
}

/* In byte order: images ("i-") before names ("n-", "x-"). */
static int check_record(int dirfd, const char *file, void *data, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	char hex[NAME_MAX + 1];
	struct check *c = data;
	struct err why = { 0 };
	yyjson_val *root = NULL;
	size_t len = 0;
	int r;

	(void)e;
	if (str_starts(file, FILE_TEMP_PREFIX)) {
		tell(c, true, "refs/%s: a write that was cut", file);
		return 0;
	}
	r = file_read(dirfd, file, IMAGE_RECORD_MAX, &text, &len, &why);
	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, &why);
	(void)str_format(hex, sizeof(hex), "%.64s", file + strnlen(file, 2));
	if (r == 0 && str_starts(file, "i-") && str_eq(file + 2 + strlen(hex), STATE_SUFFIX))
		r = check_image(c, hex, root, &why);
	else if (r == 0 && (str_starts(file, "n-") || str_starts(file, "x-")))
		r = check_name(c, file, root, &why);
	else if (r == 0)
		r = err_set(&why, EBADMSG, "its file name is none of ours");
	if (r < 0)
		tell(c, false, "refs/%s: %s", file, err_text(&why));
	return 0;
}

/* ---- all ---- */

static int check_tmp(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)e;
	tell(data, true, "tmp/%s: work that was cut", name);
	return 0;
}

static int check_top(int dirfd, const char *name, void *data, struct err *e)
{
	static char *const known[] = { "blobs", "refs", "layers", "tmp", STORE_EMPTY, NULL };

	(void)dirfd;
	(void)e;
	if (!strv_has(known, name))
		tell(data, false, "%s is no part of a store", name);
	return 0;
}

static void check_orphans(struct check *c)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&c->blobs, &i)))
		if (!((const struct found_blob *)m->value)->used)
			tell(c, true, "the blob %s belongs to no image", m->key);
	for (i = 0; (m = map_next(&c->layers, &i));)
		if (!((const struct found_layer *)m->value)->used)
			tell(c, true, "the layer %s belongs to no image", m->key);
}

static int check_all(struct check *c, struct err *e)
{
	static const struct {
		const char *folder;
		int (*fn)(int dirfd, const char *name, void *data, struct err *e);
	} steps[] = {
		{ ".", check_top },	  { "blobs/sha256", check_blob }, { "layers", check_layer },
		{ "refs", check_record }, { "tmp", check_tmp },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_(fd_close) int fd =
			openat(c->dir, steps[i].folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int r;

		if (fd < 0 && errno == ENOENT) {
			tell(c, true, "%s is missing", steps[i].folder); /* a start makes it */
			continue;
		}
		if (fd < 0)
			return err_errno(e, errno, "cannot open %s", steps[i].folder);
		r = dir_each(fd, ".", CHECK_ENTRIES_MAX, steps[i].fn, c, e);
		if (r < 0)
			return r;
	}
	check_orphans(c);
	return 0;
}

/* What the engine does at its start, up to the end of the sweeper's work. */
static int recover(const char *dir, struct err *e)
{
	_cleanup_(loop_free) struct loop *loop = NULL;
	struct images *s = NULL;
	int r = loop_new(&loop, e);

	if (r == 0)
		r = images_new(&(const struct images_config){ .dir = dir, .loop = loop }, &s, e);
	if (r < 0)
		return r;
	while (worker_running(&s->sweeper))
		(void)loop_once(loop, -1);
	images_free(s);
	return 0;
}

static void free_values(struct map *m)
{
	struct map_entry *entry;
	size_t i = 0;

	while ((entry = map_next(m, &i)))
		free(entry->value);
	map_free(m);
}

int image_check(const char *dir, bool with_recovery, size_t *ret_violations, struct err *e)
{
	struct check c = { .recovered = with_recovery };
	int r = with_recovery ? recover(dir, e) : 0;

	if (r < 0)
		return r;
	c.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dir < 0)
		return err_errno(e, errno, "cannot open %s", dir);
	r = check_all(&c, e);
	printf("%zu images, %zu names, %zu layers, %zu blobs: %zu violations, %zu left-overs\n",
	       map_len(&c.images), c.names, map_len(&c.layers), map_len(&c.blobs), c.violations,
	       c.leftovers);
	fd_close(c.dir);
	free_values(&c.blobs);
	free_values(&c.layers);
	map_free(&c.images);
	*ret_violations = c.violations;
	return r;
}

int image_check_main(int argc, char **argv)
{
	bool with_recovery = argc > 1 && str_eq(argv[1], "--recover");
	const char *dir = argc == 2 + with_recovery ? argv[1 + with_recovery] : NULL;
	struct err e = { 0 };
	size_t violations;

	if (!dir) {
		fprintf(stderr, "usage: skerryd store-check [--recover] DIR\n");
		return 2;
	}
	if (image_check(dir, with_recovery, &violations, &e) < 0) {
		log_error("%s", err_text(&e));
		return 2;
	}
	return violations > 0;
}
