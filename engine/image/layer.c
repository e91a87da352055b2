/*
 * The pipeline of a layer: see layer.h.
 *
 * An uncompressed layer is hashed once: its blob digest is its diff id. After the tar reader's end
 * the rest of the stream is drained, because both digests cover it.
 */
#include "engine/image/layer.h"

#include "engine/image/tap.h"
#include "init/base/str.h"

static int check_promises(const struct layer_request *req, const struct layer_outcome *o,
			  struct err *e)
{
	if (req->size >= 0 && (uint64_t)req->size != o->size)
		return err_set(e, EINVAL, "the blob has %llu bytes, its descriptor says %lld",
			       (unsigned long long)o->size, (long long)req->size);
	if (!str_empty(req->digest) && !str_eq(req->digest, o->digest))
		return err_set(e, EINVAL, "the blob has the digest %s, expected %s", o->digest,
			       req->digest);
	if (req->diff_id[0] && !str_eq(req->diff_id, o->diff_id))
		return err_set(
			e, EINVAL,
			"the uncompressed layer has the digest %s, the image's config says %s",
			o->diff_id, req->diff_id);
	return 0;
}

static int finish(const struct layer_request *req, struct tap *blob, struct tap *plain,
		  struct layer_outcome *o, struct err *e)
{
	if (digest_finish(&blob->digester, o->digest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	if (!plain->hashing)
		(void)str_copy(o->diff_id, sizeof(o->diff_id), o->digest);
	else if (digest_finish(&plain->digester, o->diff_id) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	o->size = blob->bytes;
	o->tar_size = plain->bytes;
	return check_promises(req, o, e);
}

/* What cannot be unpacked may be something else than was promised: then that is what is wrong. */
static int blame(const struct layer_request *req, struct tap *blob, int r, struct err *e)
{
	char digest[DIGEST_TEXT_MAX];

	if ((r != -EINVAL && r != -EBADMSG) || str_empty(req->digest) ||
	    source_drain(&blob->source, NULL) < 0 || digest_finish(&blob->digester, digest) < 0 ||
	    str_eq(digest, req->digest))
		return r;
	return err_set(e, EINVAL, "the blob has the digest %s, expected %s", digest, req->digest);
}

int layer_unpack(const struct layer_request *req, struct layer_outcome *ret, struct err *e)
{
	_cleanup_(unpacker_free) struct unpacker *unpacker = NULL;
	struct extract_config cfg = { .root = req->root,
				      .notes_fd = req->notes_fd,
				      .limits = req->limits };
	struct layer_outcome o = { 0 };
	struct extract_result tree;
	struct tap blob, plain;
	int r;

	tap_init(&blob, req->from, true);
	blob.copy_fd = req->copy_fd;
	blob.max = req->limits->archive_bytes;
	blob.progress = req->progress;
	blob.data = req->data;
	r = unpacker_open(&blob.source, req->limits->memory / 2, &unpacker, e);
	if (r < 0)
		return blame(req, &blob, r, e);
	o.compression = unpacker_compression(unpacker);
	tap_init(&plain, unpacker_source(unpacker), o.compression != COMPRESSION_NONE);
	plain.max = req->limits->layer_bytes;
	plain.packed = o.compression != COMPRESSION_NONE ? &blob : NULL;
	plain.ratio = req->limits->ratio;
	plain.ratio_from = req->limits->ratio_from;
	r = extract_layer(&plain.source, &cfg, &tree, e);
	if (r == 0)
		r = source_drain(&plain.source, e);
	if (r < 0)
		return blame(req, &blob, r, e);
	r = finish(req, &blob, &plain, &o, e);
	if (r < 0)
		return r;
	o.bytes = tree.bytes;
	o.entries = tree.entries;
	*ret = o;
	return 0;
}
