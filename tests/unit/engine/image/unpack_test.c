/*
 * Whole image archives, honest and hostile, through unpack_archive in this process (threats.md part
 * C, rows 45 to 51).
 *
 * Each hostile case builds an archive that is wrong in one place; it runs from a file and from a
 * pipe, and both must give the same decision. Digest and size lies, documents that mean two things,
 * bombs, and archives that lack a part.
 */
#include "engine/image/unpack.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/engine/image/hostile.h"
#include "tests/unit/engine/image/imagetar.h"

struct run {
	struct plan plan;
	struct err err;
	int result;
	int job;
};

static void run_end(struct run *r)
{
	load_plan_free(&r->plan);
	fd_close(r->job);
	(void)tree_remove(AT_FDCWD, test_tmpdir(), NULL);
	(void)mkdir(test_tmpdir(), 0700);
}

static int archive_file(const struct buf *archive)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/archive", test_tmpdir());
	(void)file_replace(AT_FDCWD, path, archive->data, archive->len, 0600, false, NULL);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A pipe that a child process fills. */
static int archive_pipe(const struct buf *archive, pid_t *ret_pid)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		close(fds[0]);
		(void)file_write_all(fds[1], archive->data, archive->len, NULL);
		_exit(0);
	}
	close(fds[1]);
	return fds[0];
}

static void run(struct run *r, const struct buf *archive, bool pipe,
		const struct image_limits *limits)
{
	struct unpack_request req = { .layers = -1 };
	pid_t pid = 0;

	*r = (struct run){ .job = -1 };
	(void)dir_make(AT_FDCWD, test_tmpdir(), 0700, NULL);
	req.archive = pipe ? archive_pipe(archive, &pid) : archive_file(archive);
	if (limits)
		req.options.limits = *limits;
	image_limits_default(&req.options.limits);
	req.options.keep = true;
	r->job = req.job = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)dir_make(r->job, JOB_BLOBS, 0700, NULL);
	r->result = unpack_archive(&req, &r->plan, &r->err);
	fd_close(req.archive);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* ---- the hostile matrix ---- */

struct lie {
	const char *name;
	void (*make)(struct buf *b);
	int result;
	const char *says; /* part of the error */
};

#define CASE(ident) static void make_##ident(struct buf *b)

/* Text with one replacement; both of any length. */
static void put_changed(struct buf *out, const struct buf *in, const char *what, const char *by)
{
	const char *at = strstr(in->data, what);

	buf_add(out, in->data, (size_t)(at - in->data));
	buf_add_text(out, by);
	buf_add_text(out, at + strlen(what));
}

/* An OCI layout of one layer, with a word of the manifest, the index or the config replaced. The
 * digests above it are right. */
struct changes {
	const char *manifest, *manifest_by;
	const char *index, *index_by;
	const char *config, *config_by;
	bool wrong_layer, no_layer, no_config, no_manifest;
};

static void oci(struct buf *b, const struct changes *c)
{
	struct it_layer layer = it_simple("file", "content", IT_GZIP),
			other = it_simple("file", "CONTENT", IT_GZIP);
	struct buf raw = { 0 }, config = { 0 }, manifest = { 0 }, index = { 0 }, changed = { 0 };
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];

	it_config(&raw, &layer, 1, NULL, id);
	if (c->config)
		put_changed(&config, &raw, c->config, c->config_by);
	else
		buf_add(&config, raw.data, raw.len);
	digest_of(config.data, config.len, id);
	if (!c->no_config)
		it_blob(b, id, &config);
	buf_printf(&changed,
		   "{\"schemaVersion\":2,\"mediaType\":\"application/"
		   "vnd.oci.image.manifest.v1+json\",\"config\":{"
		   "\"mediaType\":\"application/"
		   "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
		   "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}]}",
		   id, config.len, layer.media_type, layer.digest, layer.blob.len);
	if (c->manifest)
		put_changed(&manifest, &changed, c->manifest, c->manifest_by);
	else
		buf_add(&manifest, changed.data, changed.len);
	digest_of(manifest.data, manifest.len, digest);
	if (!c->no_manifest)
		it_blob(b, digest, &manifest);
	buf_reset(&changed);
	buf_printf(&changed,
		   "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
		   "vnd.oci.image.manifest.v1+json\","
		   "\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"io.containerd.image.name\":"
		   "\"a:1\"}}]}",
		   digest, manifest.len);
	if (c->index)
		put_changed(&index, &changed, c->index, c->index_by);
	else
		buf_add(&index, changed.data, changed.len);
	it_member(b, "index.json", &index);
	if (!c->no_layer)
		it_blob(b, layer.digest, c->wrong_layer ? &other.blob : &layer.blob);
	it_layer_free(&layer);
	it_layer_free(&other);
	buf_free(&raw);
	buf_free(&config);
	buf_free(&manifest);
	buf_free(&index);
	buf_free(&changed);
}

#define CHANGED(ident, ...)                               \
	CASE(ident)                                       \
	{                                                 \
		oci(b, &(struct changes){ __VA_ARGS__ }); \
	}

CHANGED(oci_fine, 0)
CHANGED(layer_blob_swapped, .wrong_layer = true)
CHANGED(layer_missing, .no_layer = true)
CHANGED(config_missing, .no_config = true)
CHANGED(manifest_missing, .no_manifest = true)
CHANGED(diff_id_lies, .config = "sha256:",
	.config_by = "sha256:0000000000000000000000000000000000000000000000000000000000000000\","
		     "\"sha256:")
CHANGED(both_layers_and_manifests,
	.manifest = "\"layers\":", .manifest_by = "\"manifests\":[],\"layers\":")
CHANGED(layers_in_capitals, .manifest = "\"layers\":", .manifest_by = "\"Layers\":[],\"layers\":")
CHANGED(layers_twice, .manifest = "\"layers\":", .manifest_by = "\"layers\":[],\"layers\":")
CHANGED(media_type_confusion, .manifest = "oci.image.manifest.v1+json",
	.manifest_by = "oci.image.index.v1+json")
CHANGED(descriptor_type_confusion, .index = "oci.image.manifest.v1+json",
	.index_by = "oci.image.index.v1+json")
CHANGED(schema_one, .manifest = "\"schemaVersion\":2", .manifest_by = "\"schemaVersion\":1")
CHANGED(layer_type_unknown, .manifest = "layer.v1.tar+gzip", .manifest_by = "layer.v1.iso")
CHANGED(config_type_unknown, .manifest = "oci.image.config.v1+json",
	.manifest_by = "wasm.config.v1+json")
CHANGED(digest_sha512, .manifest = "\"layers\":[{",
	.manifest_by =
		"\"layers\":[{\"mediaType\":\"application/"
		"vnd.oci.image.layer.v1.tar\",\"size\":1,\"digest\":\"sha512:"
		"0000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"0000000000000000000000000000000000000000000000000\"},{")
CHANGED(digest_md5, .index = "\"digest\":\"sha256:", .index_by = "\"digest\":\"md5:")
CHANGED(digest_upper, .index = "\"digest\":\"sha256:", .index_by = "\"digest\":\"SHA256:")
CHANGED(digest_path, .index = "\"digest\":\"sha256:", .index_by = "\"digest\":\"sha256:../../../")
CHANGED(digest_twice, .index = "\"size\"", .index_by = "\"digest\":\"sha256:00\",\"size\"")
CHANGED(size_lies, .index = "\"size\":", .index_by = "\"size\":1")
CHANGED(size_negative, .index = "\"size\":", .index_by = "\"size\":-")
CHANGED(size_text, .index = "\"size\":", .index_by = "\"size\":\"1\",\"y\":")
CHANGED(size_missing, .index = "\"size\":", .index_by = "\"length\":")
CHANGED(config_null, .manifest = "\"config\":{", .manifest_by = "\"config\":null,\"other\":{")
CHANGED(layers_null, .manifest = "\"layers\":[", .manifest_by = "\"layers\":null,\"other\":[")
CHANGED(layers_object, .manifest = "\"layers\":[{", .manifest_by = "\"layers\":{\"a\":[{")
CHANGED(index_empty, .index = "\"manifests\":[{", .index_by = "\"manifests\":[],\"other\":[{")
CHANGED(index_is_manifest, .index = "\"manifests\":[{", .index_by = "\"layers\":[{")
CHANGED(windows, .config = "\"os\":\"linux\"", .config_by = "\"os\":\"windows\"")
CHANGED(rootfs_type, .config = "\"type\":\"layers\"", .config_by = "\"type\":\"squashfs\"")
CHANGED(rootfs_missing, .config = "\"rootfs\":", .config_by = "\"root\":")
CHANGED(diff_ids_none, .config = "\"diff_ids\":[", .config_by = "\"diff_ids\":[],\"other\":[")
CHANGED(diff_ids_number, .config = "\"diff_ids\":[", .config_by = "\"diff_ids\":[1,")
CHANGED(config_array, .config = "{\"architecture\"", .config_by = "[{\"architecture\"")
CHANGED(name_bad, .index = "a:1", .index_by = "../../A")
CHANGED(name_empty, .index = "a:1", .index_by = "")
CHANGED(name_digest, .index = "a:1",
	.index_by = "a@sha256:0000000000000000000000000000000000000000000000000000000000000000")
CHANGED(other_platform, .index = "\"annotations\"",
	.index_by = "\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"},\"annotations\"")

CASE(index_too_deep)
{
	struct buf index = { 0 };

	buf_add_text(&index, "{\"manifests\":");
	for (int i = 0; i < 40; i++)
		buf_add_char(&index, '[');
	for (int i = 0; i < 40; i++)
		buf_add_char(&index, ']');
	buf_add_char(&index, '}');
	it_member(b, "index.json", &index);
	buf_free(&index);
}
CASE(index_too_long)
{
	struct buf index = { 0 };

	buf_add_text(&index, "{\"manifests\":[");
	for (int i = 0; i < 3000000; i++)
		buf_add_text(&index, "1,");
	buf_add_text(&index, "1]}");
	it_member(b, "index.json", &index);
	buf_free(&index);
}
CASE(index_truncated)
{
	tb_file(b, "index.json", "{\"manifests\":[");
}
CASE(index_twice)
{
	tb_file(b, "index.json", "{\"schemaVersion\":2,\"manifests\":[]}");
	make_oci_fine(b);
}
CASE(manifest_link_loop)
{
	tb_symlink(b, "manifest.json", "a");
	tb_symlink(b, "a", "manifest.json");
}
CASE(manifest_link_outside)
{
	tb_symlink(b, "manifest.json", "../../../../etc/passwd");
}
CASE(no_documents)
{
	tb_file(b, "README", "hello");
}
CASE(device_in_archive)
{
	tb_add(b, (struct member){ .type = '3', .name = "x", .major = 1 });
}
CASE(path_escapes)
{
	tb_file(b, "../manifest.json", "[]");
}
CASE(docker_empty)
{
	tb_file(b, "manifest.json", "[]");
}
CASE(docker_object)
{
	tb_file(b, "manifest.json", "{}");
}
CASE(docker_config_missing)
{
	tb_file(b, "manifest.json", "[{\"Config\":\"x.json\",\"Layers\":[]}]");
}
CASE(docker_config_null)
{
	tb_file(b, "manifest.json", "[{\"Config\":null,\"Layers\":[]}]");
}
CASE(docker_config_path)
{
	tb_file(b, "manifest.json", "[{\"Config\":\"../../../etc/passwd\",\"Layers\":[]}]");
}
CASE(docker_layer_path)
{
	tb_file(b, "manifest.json", "[{\"Config\":\"x\",\"Layers\":[\"/etc/passwd\"]}]");
}
CASE(docker_name_bad)
{
	struct buf config = { 0 };
	char id[DIGEST_TEXT_MAX];

	it_config(&config, NULL, 0, NULL, id);
	it_member(b, "c.json", &config);
	tb_file(b, "manifest.json",
		"[{\"Config\":\"c.json\",\"Layers\":[],\"RepoTags\":[\"../x\"]}]");
	buf_free(&config);
}
CASE(docker_config_name_lies)
{
	struct buf config = { 0 };
	char id[DIGEST_TEXT_MAX];

	it_config(&config, NULL, 0, NULL, id);
	it_member(b, "0000000000000000000000000000000000000000000000000000000000000000.json",
		  &config);
	tb_file(b, "manifest.json",
		"[{\"Config\":\"0000000000000000000000000000000000000000000000000000000000000000."
		"json\",\"Layers\":[]}]");
	buf_free(&config);
}
CASE(docker_layer_count)
{
	struct it_layer layer = it_simple("f", "x", IT_PLAIN);
	struct buf config = { 0 };
	char id[DIGEST_TEXT_MAX];

	it_config(&config, &layer, 1, NULL, id);
	it_member(b, "c.json", &config);
	it_member(b, "l.tar", &layer.blob);
	tb_file(b, "manifest.json", "[{\"Config\":\"c.json\",\"Layers\":[\"l.tar\",\"l.tar\"]}]");
	buf_free(&config);
	it_layer_free(&layer);
}
CASE(layer_escapes)
{
	struct it_layer layer = it_simple("../../evil", "x", IT_PLAIN);
	char id[DIGEST_TEXT_MAX];

	it_docker(b, &(struct it_image){ &layer, 1, NULL, "a" }, true, id);
	it_layer_free(&layer);
}
CASE(layer_bomb)
{
	struct buf tar = BUF_INIT(200 << 20);
	size_t size = 80 << 20;
	char *zeros = calloc(1, size), id[DIGEST_TEXT_MAX];
	struct it_layer layer;

	tb_add(&tar, (struct member){ .name = "zeros", .data = zeros, .size = size });
	layer = it_layer(&tar, IT_GZIP);
	it_docker(b, &(struct it_image){ &layer, 1, NULL, "a" }, true, id);
	it_layer_free(&layer);
	free(zeros);
}

#define ROW(ident, result_, says_)                                                     \
	{                                                                              \
		.name = #ident, .make = make_##ident, .result = result_, .says = says_ \
	}

static const struct lie lies[] = {
	ROW(oci_fine, 0, ""),
	ROW(layer_blob_swapped, -EINVAL, "the blob has"),
	ROW(layer_missing, -ENOENT, "the archive has no \"blobs/sha256/"),
	ROW(config_missing, -ENOENT, "the archive has no \"blobs/sha256/"),
	ROW(manifest_missing, -ENOENT, "the archive has no \"blobs/sha256/"),
	ROW(diff_id_lies, -EINVAL, "rootfs.diff_ids has 2 entries, the image has 1 layers"),
	ROW(both_layers_and_manifests, -EINVAL, "a manifest and an index at once"),
	ROW(layers_in_capitals, -EINVAL, "the key \"Layers\" must be written \"layers\""),
	ROW(layers_twice, -EINVAL, "the key \"layers\" stands twice"),
	ROW(media_type_confusion, -EINVAL, "its mediaType is"),
	ROW(descriptor_type_confusion, -EINVAL, "its mediaType is"),
	ROW(schema_one, -EINVAL, "schemaVersion is 1"),
	ROW(layer_type_unknown, -EINVAL, "not a media type of a layer"),
	ROW(config_type_unknown, -EINVAL, "not a media type of an image's config"),
	ROW(digest_sha512, -EINVAL, "is not supported, sha256 is"),
	ROW(digest_md5, -EINVAL, "digest"),
	ROW(digest_upper, -EINVAL, "digest"),
	ROW(digest_path, -EINVAL, "digest"),
	ROW(digest_twice, -EINVAL, "the key \"digest\" stands twice"),
	ROW(size_lies, -EINVAL, "its descriptor says 1"),
	ROW(size_negative, -EINVAL, "size"),
	ROW(size_text, -EINVAL, "size"),
	ROW(size_missing, -EINVAL, "size: missing"),
	ROW(config_null, -EINVAL, "config: missing"),
	ROW(layers_null, -EINVAL, "layers: missing"),
	ROW(layers_object, -EINVAL, ""),
	ROW(index_empty, -EINVAL, "the archive holds no image"),
	ROW(index_is_manifest, -EINVAL, "it must be an index"),
	ROW(windows, -EINVAL, "only linux images run here"),
	ROW(rootfs_type, -EINVAL, "rootfs must be"),
	ROW(rootfs_missing, -EINVAL, "rootfs must be"),
	ROW(diff_ids_none, -EINVAL, "rootfs.diff_ids has 0 entries"),
	ROW(diff_ids_number, -EINVAL, "diff_ids"),
	ROW(config_array, -EINVAL, ""),
	ROW(name_bad, -EINVAL, "invalid reference format"),
	ROW(name_empty, -EINVAL, "invalid reference format"),
	ROW(name_digest, -EINVAL, "must not hold a digest"),
	ROW(other_platform, -ENOENT, "there is linux/s390x"),
	ROW(index_too_deep, -EINVAL, "nested deeper than 32"),
	ROW(index_too_long, -EFBIG, "longer than the 4194304 bytes"),
	ROW(index_truncated, -EINVAL, "index.json"),
	ROW(index_twice, -EINVAL, "the archive holds it twice"),
	ROW(manifest_link_loop, -EINVAL, "not an image archive"),
	ROW(manifest_link_outside, -EINVAL, "not an image archive"),
	ROW(no_documents, -EINVAL, "neither manifest.json nor index.json"),
	ROW(device_in_archive, -EINVAL, "holds only files, directories and links"),
	ROW(path_escapes, -EINVAL, "\"..\""),
	ROW(docker_empty, -EINVAL, "the archive holds no image"),
	ROW(docker_object, -EINVAL, "expected an array, found object"),
	ROW(docker_config_missing, -ENOENT, "the archive has no \"x.json\""),
	ROW(docker_config_null, -EINVAL, "Config: missing"),
	ROW(docker_config_path, -ENOENT, "the archive has no"),
	ROW(docker_layer_path, -ENOENT, "the archive has no"),
	ROW(docker_name_bad, -EINVAL, "invalid reference format"),
	ROW(docker_config_name_lies, -EINVAL, "its content has the digest"),
	ROW(docker_layer_count, -EINVAL, "rootfs.diff_ids has 1 entries, the image has 2 layers"),
	ROW(layer_escapes, -EINVAL, "entry 1 \"../../evil\""),
	ROW(layer_bomb, -EFBIG, "grows by more than 250 times"),
};

static void check_lie(const struct lie *lie, bool pipe)
{
	struct buf archive = BUF_INIT(256 << 20);
	struct run r;

	lie->make(&archive);
	tb_end(&archive);
	run(&r, &archive, pipe, NULL);
	buf_free(&archive);
	if (r.result != lie->result || !strstr(err_text(&r.err), lie->says))
		test_fail(__FILE__, __LINE__, "%s (%s): %d instead of %d: %s", lie->name,
			  pipe ? "pipe" : "file", r.result, lie->result, err_text(&r.err));
	run_end(&r);
}

TEST(hostile_archives)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		check_lie(&lies[i], false);
		check_lie(&lies[i], true);
	}
}

/* ---- limits and forms ---- */

TEST(limits_of_archives)
{
	static const struct {
		struct image_limits limits;
		const char *says;
	} cases[] = {
		{ { .archive_entries = 3 }, "more than 3 entries" },
		{ { .archive_bytes = 2000 }, "more than the 2000 bytes allowed" },
		{ { .layers = 1 }, "more than 1 layers" },
		{ { .layer_bytes = 600 }, "more than the 600 bytes allowed" },
		{ { .layer_entries = 1 }, "more than 1 entries" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf tar = { 0 }, archive = BUF_INIT(1 << 20);
		struct it_layer layers[2];
		char id[DIGEST_TEXT_MAX];
		struct run r;

		tb_file(&tar, "a", "x");
		tb_file(&tar, "b", "x");
		layers[0] = it_layer(&tar, IT_PLAIN);
		layers[1] = it_simple("c", "x", IT_PLAIN);
		it_docker(&archive, &(struct it_image){ layers, 2, NULL, "a" }, true, id);
		tb_end(&archive);
		run(&r, &archive, i % 2, &cases[i].limits);
		CHECK_MSG(r.result == -EFBIG && strstr(err_text(&r.err), cases[i].says),
			  "case %zu: %d %s", i, r.result, err_text(&r.err));
		buf_free(&archive);
		it_layer_free(&layers[0]);
		it_layer_free(&layers[1]);
		run_end(&r);
	}
}

TEST(all_compressions_from_file_and_pipe)
{
	for (int how = IT_PLAIN; how <= IT_XZ; how++) {
		struct it_layer layer = it_simple("file", "content", how);
		struct buf plain = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20);
		char id[DIGEST_TEXT_MAX];

		it_oci(&plain, &(struct it_image){ &layer, 1, NULL, "a" }, id);
		tb_end(&plain);
		it_compress(&packed, plain.data, plain.len, how);
		for (int pipe = 0; pipe < 2; pipe++) {
			struct run r;

			run(&r, &packed, pipe, NULL);
			CHECK_MSG(r.result == 0, "%d %d: %s", how, pipe, err_text(&r.err));
			CHECK_STR(r.plan.images[0].id, id);
			CHECK_STR(r.plan.images[0].names[0], "docker.io/library/a:latest");
			CHECK_INT(r.plan.images[0].layers[0].bytes, 7);
			run_end(&r);
		}
		buf_free(&plain);
		buf_free(&packed);
		it_layer_free(&layer);
	}
}

TEST(the_platform_is_chosen_from_a_nested_index)
{
	struct it_layer layers[] = { it_simple("f", "amd64", IT_PLAIN),
				     it_simple("f", "arm64", IT_PLAIN) };
	static const char *const names[] = { "amd64", "arm64" };
	struct buf archive = BUF_INIT(1 << 20), inner = { 0 }, index = { 0 };
	char id[2][DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	struct run r;

	buf_add_text(
		&inner,
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
		"vnd.oci.image.manifest.v1+json\","
		"\"digest\":\"sha256:"
		"0000000000000000000000000000000000000000000000000000000000000000\",\"size\":5,"
		"\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"},"
		"\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}}");
	for (int i = 1; i >= 0; i--) {
		struct buf manifest = { 0 };

		it_manifest(&archive, &(struct it_image){ &layers[i], 1, NULL, NULL }, &manifest,
			    id[i]);
		digest_of(manifest.data, manifest.len, digest);
		it_blob(&archive, digest, &manifest);
		buf_printf(&inner,
			   ",{\"mediaType\":\"application/"
			   "vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
			   "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}",
			   digest, manifest.len, names[i]);
		buf_free(&manifest);
	}
	buf_add_text(&inner, "]}");
	digest_of(inner.data, inner.len, digest);
	it_blob(&archive, digest, &inner);
	buf_printf(&index,
		   "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
		   "vnd.oci.image.index.v1+json\",\"digest\":\"%s\","
		   "\"size\":%zu,\"annotations\":{\"org.opencontainers.image.ref.name\":\"example."
		   "com/a:1\"}}]}",
		   digest, inner.len);
	it_member(&archive, "index.json", &index);
	tb_end(&archive);
	run(&r, &archive, false, NULL);
	CHECK_MSG(r.result == 0, "%s", err_text(&r.err));
	CHECK_INT(r.plan.n_images, 1);
	CHECK_STR(r.plan.images[0].id, id[str_eq(platform_architecture(), "arm64")]);
	CHECK_STR(r.plan.images[0].names[0], "example.com/a:1");
	buf_free(&archive);
	buf_free(&inner);
	buf_free(&index);
	it_layer_free(&layers[0]);
	it_layer_free(&layers[1]);
	run_end(&r);
}

TEST(an_archive_that_is_not_wanted_is_not_unpacked)
{
	struct it_layer layer = it_simple("../escape", "x", IT_PLAIN); /* not looked at */
	struct buf archive = BUF_INIT(1 << 20);
	char id[DIGEST_TEXT_MAX];
	struct unpack_request req = { .layers = -1,
				      .options = { .wanted = "docker.io/library/other:1" } };
	struct plan plan = { 0 };
	struct err e = { 0 };
	struct stat st;

	it_docker(&archive, &(struct it_image){ &layer, 1, NULL, "b:2" }, false, id);
	tb_end(&archive);
	image_limits_default(&req.options.limits);
	req.job = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir_make(req.job, JOB_BLOBS, 0700, NULL) == 0);
	req.archive = archive_file(&archive);
	CHECK_MSG(unpack_archive(&req, &plan, &e) == 0, "%s", err_text(&e));
	CHECK(plan.names_only);
	CHECK_STR(plan.images[0].names[0], "docker.io/library/b:2");
	CHECK(fstatat(req.job, "l0", &st, 0) < 0);
	load_plan_free(&plan);
	buf_free(&archive);
	it_layer_free(&layer);
	fd_close(req.archive);
	fd_close(req.job);
}
