/*
 * Image archives built in memory: layers, configs, docker-archives, OCI layouts; right ones, and
 * wrong ones on purpose.
 *
 * it_layer() turns a tar into a layer (plain, gzip, zstd or xz) with its digests; it_docker() and
 * it_oci() append the members of an archive that holds one image. Header-only, for the tests of
 * image/ and later of registry/.
 */
#ifndef SKERRY_TEST_IMAGETAR_H
#define SKERRY_TEST_IMAGETAR_H

#include <zlib.h>
#include <zstd.h>

#include "engine/data/digest.h"
#include "tests/unit/engine/image/tarball.h"

enum it_compression { IT_PLAIN, IT_GZIP, IT_ZSTD, IT_XZ };

struct it_layer {
	struct buf tar, blob;
	char diff_id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	const char *media_type;
};

static inline void it_le32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
				  (uint8_t)(v >> 24) };

	buf_add(b, bytes, 4);
}

static inline void it_crc(struct buf *b, size_t from)
{
	it_le32(b, (uint32_t)crc32(0, (const Bytef *)b->data + from, (uInt)(b->len - from)));
}

static inline void it_varint(struct buf *b, size_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_char(b, (char)(v | 0x80));
	buf_add_char(b, (char)v);
}

static inline void it_pad4(struct buf *b, size_t from)
{
	while ((b->len - from) % 4)
		buf_add(b, "", 1);
}

/* An .xz file whose LZMA2 chunks are stored as they are: our liblzma has no encoder. */
static inline UNUSED void it_xz(struct buf *b, const uint8_t *data, size_t len, char dict)
{
	const char header[] = { 2, 0, 0x21, 1, dict, 0, 0, 0 };
	size_t start, index, unpadded, at = 0, n;

	buf_add(b, "\xfd\x37zXZ\0\0\1", 8);
	it_crc(b, b->len - 2);
	start = b->len;
	buf_add(b, header, 8);
	it_crc(b, start);
	for (; at < len; at += n) {
		n = MIN(len - at, (size_t)65536);
		buf_add_char(b, at == 0 ? 1 : 2);
		buf_add_char(b, (char)((n - 1) >> 8));
		buf_add_char(b, (char)(n - 1));
		buf_add(b, data + at, n);
	}
	buf_add(b, "", 1);
	unpadded = b->len - start + 4;
	it_pad4(b, start);
	it_le32(b, (uint32_t)crc32(0, data, (uInt)len));
	index = b->len;
	buf_add(b, "\0\1", 2);
	it_varint(b, unpadded);
	it_varint(b, len);
	it_pad4(b, index);
	it_crc(b, index);
	start = b->len;
	n = (start - index) / 4 - 1;
	it_le32(b, 0);
	it_le32(b, (uint32_t)n);
	buf_add(b, "\0\1", 2);
	n = crc32(0, (const Bytef *)b->data + start + 4, 6);
	memcpy(b->data + start, &n, 4);
	buf_add(b, "YZ", 2);
}

static inline UNUSED void it_compress(struct buf *out, const void *data, size_t len,
				      enum it_compression how)
{
	size_t room = len + len / 8 + 65536, at = 0;
	uint8_t *p = malloc(room);
	z_stream z = { 0 };

	switch (how) {
	case IT_PLAIN:
		memcpy(p, data, len);
		at = len;
		break;
	case IT_GZIP:
		deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
		z.next_in = (Bytef *)(uintptr_t)data;
		z.avail_in = (unsigned)len;
		z.next_out = p;
		z.avail_out = (unsigned)room;
		deflate(&z, Z_FINISH);
		at = z.total_out;
		deflateEnd(&z);
		break;
	case IT_ZSTD:
		at = ZSTD_compress(p, room, data, len, 3);
		break;
	case IT_XZ:
		it_xz(out, data, len, 0x10);
		break;
	}
	buf_add(out, p, at);
	free(p);
}

/* Takes the tar over (without its end marks, which are added here). */
static inline UNUSED struct it_layer it_layer(struct buf *tar, enum it_compression how)
{
	static const char *const media[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.v1.tar",
	};
	struct it_layer l = { .media_type = media[how] };

	tb_end(tar);
	l.tar = *tar;
	*tar = (struct buf){ 0 };
	l.blob = BUF_INIT(64 << 20);
	it_compress(&l.blob, l.tar.data, l.tar.len, how);
	digest_of(l.tar.data, l.tar.len, l.diff_id);
	digest_of(l.blob.data, l.blob.len, l.digest);
	return l;
}

/* A layer with one file. */
static inline UNUSED struct it_layer it_simple(const char *name, const char *text,
					       enum it_compression how)
{
	struct buf tar = { 0 };

	tb_file(&tar, name, text);
	return it_layer(&tar, how);
}

static inline UNUSED void it_layer_free(struct it_layer *l)
{
	buf_free(&l->tar);
	buf_free(&l->blob);
}

/* The config document; `config` is the JSON object of that name. */
static inline UNUSED void it_config(struct buf *out, const struct it_layer *layers, size_t n,
				    const char *config, char ret_id[DIGEST_TEXT_MAX])
{
	buf_printf(
		out,
		"{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024-05-06T07:08:09Z\","
		"\"config\":%s,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
		config ? config : "{}");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", layers[i].diff_id);
	buf_add_text(out, "]},\"history\":[");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s{\"created_by\":\"step %zu\"}", i ? "," : "", i);
	buf_add_text(out, "]}");
	digest_of(out->data, out->len, ret_id);
}

static inline UNUSED void it_member(struct buf *out, const char *name, const struct buf *content)
{
	tb_add(out, (struct member){ .name = name, .data = content->data, .size = content->len });
}

static inline UNUSED void it_blob(struct buf *out, const char *digest, const struct buf *content)
{
	char name[96];

	snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(digest));
	it_member(out, name, content);
}

struct it_image {
	const struct it_layer *layers;
	size_t n_layers;
	const char *config; /* JSON object or NULL */
	const char *name; /* "a:1", or NULL */
};

/* A docker-archive with one image; manifest.json comes last, as `docker save` of old had it, or
 * first. */
static inline UNUSED void it_docker(struct buf *out, const struct it_image *img,
				    bool manifest_first, char ret_id[DIGEST_TEXT_MAX])
{
	struct buf config = { 0 }, manifest = { 0 };
	char name[128];

	it_config(&config, img->layers, img->n_layers, img->config, ret_id);
	buf_printf(&manifest, "[{\"Config\":\"%s.json\",\"RepoTags\":", digest_hex(ret_id));
	if (img->name)
		buf_printf(&manifest, "[\"%s\"]", img->name);
	else
		buf_add_text(&manifest, "null");
	buf_add_text(&manifest, ",\"Layers\":[");
	for (size_t i = 0; i < img->n_layers; i++)
		buf_printf(&manifest, "%s\"layer%zu/layer.tar\"", i ? "," : "", i);
	buf_add_text(&manifest, "]}]");
	if (manifest_first)
		it_member(out, "manifest.json", &manifest);
	for (size_t i = 0; i < img->n_layers; i++) {
		snprintf(name, sizeof(name), "layer%zu/layer.tar", i);
		it_member(out, name, &img->layers[i].blob);
	}
	snprintf(name, sizeof(name), "%s.json", digest_hex(ret_id));
	it_member(out, name, &config);
	if (!manifest_first)
		it_member(out, "manifest.json", &manifest);
	buf_free(&config);
	buf_free(&manifest);
}

/* An OCI image manifest of the image, as text; its blobs (config, layers) go to out. */
static inline UNUSED void it_manifest(struct buf *out, const struct it_image *img,
				      struct buf *manifest, char ret_id[DIGEST_TEXT_MAX])
{
	struct buf config = { 0 };

	it_config(&config, img->layers, img->n_layers, img->config, ret_id);
	buf_printf(manifest,
		   "{\"schemaVersion\":2,\"mediaType\":\"application/"
		   "vnd.oci.image.manifest.v1+json\",\"config\":{"
		   "\"mediaType\":\"application/"
		   "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
		   "\"layers\":[",
		   ret_id, config.len);
	for (size_t i = 0; i < img->n_layers; i++) {
		buf_printf(manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}",
			   i ? "," : "", img->layers[i].media_type, img->layers[i].digest,
			   img->layers[i].blob.len);
		it_blob(out, img->layers[i].digest, &img->layers[i].blob);
	}
	buf_add_text(manifest, "]}");
	it_blob(out, ret_id, &config);
	buf_free(&config);
}

/* An OCI layout with one image, its name in containerd's annotation. */
static inline UNUSED void it_oci(struct buf *out, const struct it_image *img,
				 char ret_id[DIGEST_TEXT_MAX])
{
	struct buf manifest = { 0 }, index = { 0 };
	char digest[DIGEST_TEXT_MAX];

	tb_file(out, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	it_manifest(out, img, &manifest, ret_id);
	digest_of(manifest.data, manifest.len, digest);
	it_blob(out, digest, &manifest);
	buf_printf(&index,
		   "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
		   "vnd.oci.image.manifest.v1+json\","
		   "\"digest\":\"%s\",\"size\":%zu",
		   digest, manifest.len);
	if (img->name)
		buf_printf(&index, ",\"annotations\":{\"io.containerd.image.name\":\"%s\"}",
			   img->name);
	buf_add_text(&index, "}]}");
	it_member(out, "index.json", &index);
	buf_free(&manifest);
	buf_free(&index);
}

/* A docker-archive of two plain layers: "base" and "top". */
static inline UNUSED void two_layers(struct buf *archive, const char *name, const char *config,
				     char id[DIGEST_TEXT_MAX])
{
	struct it_layer layers[] = { it_simple("base", "base text", IT_PLAIN),
				     it_simple("top", "top text", IT_GZIP) };

	*archive = BUF_INIT(64 << 20);
	it_docker(archive, &(struct it_image){ layers, 2, config, name }, false, id);
	tb_end(archive);
	it_layer_free(&layers[0]);
	it_layer_free(&layers[1]);
}

#endif
