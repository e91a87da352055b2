/*
 * What a push takes from the store: blobs to read, the manifest, and the digest that an image has
 * in a repository from then on. Called by registry/ through image.h.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/manifest.h"
#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

int images_open_blob(struct images *s, const char *digest, int64_t *ret_size, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	struct stat st;

	if (!digest_valid(digest) || digest_algorithm_of(digest) != DIGEST_SHA256)
		return err_set(e, EINVAL, "\"%.80s\" is not the digest of a blob", digest);
	fd = openat(s->blobs_fd, digest_hex(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open the blob %s", digest);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EIO, "the blob %s is not a regular file", digest);
	*ret_size = st.st_size;
	return take_fd(fd);
}

int images_manifest(struct images *s, const struct image *img, struct manifest *ret, struct err *e)
{
	_cleanup_(mem_free) struct manifest_blob *layers =
		calloc(img->n_layers + 1, sizeof(*layers));
	_cleanup_(fd_close) int config = -1;
	struct manifest_parts parts = { .config = { .digest = img->id },
					.layers = layers,
					.n_layers = img->n_layers };

	if (!layers)
		return err_set(e, ENOMEM, "out of memory");
	config = images_open_blob(s, img->id, &parts.config.size, e);
	if (config < 0)
		return config;
	for (size_t i = 0; i < img->n_layers; i++)
		layers[i] = (struct manifest_blob){ img->layers[i].blob, img->layers[i].blob_size,
						    img->layers[i].media_type };
	return manifest_choose(s->blobs_fd, img->manifest, &parts, ret, e);
}

int images_add_digest(struct images *s, const char *id, const struct ref *repository,
		      const char *digest, struct err *e)
{
	struct stored *st = map_get(&s->by_id, digest_hex(id));
	struct ref ref = *repository;
	char text[REF_TEXT_MAX];

	if (!st)
		return err_set(e, ENOENT, "No such image: %s", id);
	ref.tag[0] = '\0';
	(void)str_copy(ref.digest, sizeof(ref.digest), digest);
	ref_format(&ref, text);
	return map_get(&s->by_name, text) ? 0 : record_add_digest(s, st, text, e);
}
