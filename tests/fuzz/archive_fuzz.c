/*
 * The archive reader: any bytes as a layer (decompression, tar, writing) and as an image archive
 * (documents, plan, layers).
 *
 * The first byte chooses which. Everything happens in a fresh folder of /dev/shm that is removed
 * afterwards; whatever comes of it, nothing beside the layer's root may appear.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine/image/layer.h"
#include "engine/image/unpack.h"
#include "init/base/file.h"

static const char zero_digest[] =
	"sha256:0000000000000000000000000000000000000000000000000000000000000000";

struct bytes {
	struct source source;
	const uint8_t *data;
	size_t len;
};

static ssize_t bytes_read(struct source *source, const void **ret_block, struct err *e)
{
	struct bytes *b = container_of(source, struct bytes, source);
	size_t n = b->len < 1000 ? b->len : 1000;

	(void)e;
	*ret_block = b->data;
	b->data += n;
	b->len -= n;
	return (ssize_t)n;
}

static void limits_for_fuzzing(struct image_limits *l)
{
	*l = (struct image_limits){ .archive_bytes = 1 << 20,
				    .layer_bytes = 4 << 20,
				    .layer_entries = 200,
				    .archive_entries = 200,
				    .memory = 8 << 20 };
	image_limits_default(l);
}

static void as_layer(int dir, const uint8_t *data, size_t len)
{
	struct bytes from = { .source = { .read = bytes_read }, .data = data, .len = len };
	struct image_limits limits;
	struct layer_outcome out;
	struct layer_request req = { .from = &from.source,
				     .copy_fd = -1,
				     .size = -1,
				     .diff_id = zero_digest,
				     .limits = &limits };
	struct err e = { 0 };

	limits_for_fuzzing(&limits);
	req.root = openat(dir, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	req.notes_fd = openat(dir, "notes", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	FUZZ_CHECK(req.root >= 0 && req.notes_fd >= 0);
	FUZZ_CHECK(layer_unpack(&req, &out, &e) < 0); /* nobody can give the right digest */
	FUZZ_CHECK(e.code > 0 && e.text[0]);
	close(req.root);
	close(req.notes_fd);
}

static void as_archive(int dir, const uint8_t *data, size_t len)
{
	struct unpack_request req = { .job = dir, .layers = -1, .options = { .keep = true } };
	_cleanup_(load_plan_free) struct plan plan = { 0 };
	struct err e = { 0 };
	int r;

	limits_for_fuzzing(&req.options.limits);
	req.archive = memfd_create("archive", MFD_CLOEXEC);
	FUZZ_CHECK(req.archive >= 0 && write(req.archive, data, len) == (ssize_t)len);
	r = unpack_archive(&req, &plan, &e);
	FUZZ_CHECK(r == 0 || (e.code > 0 && e.text[0]));
	FUZZ_CHECK(r < 0 || plan.n_images > 0);
	close(req.archive);
}

static int only_ours(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)data;
	(void)e;
	return strcmp(name, "job") == 0 ? 0 : -EEXIST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char top[] = "/dev/shm/skerry-fuzz-XXXXXX";
	int fd, dir;

	if (len < 1)
		return 0;
	umask(077);
	FUZZ_CHECK(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(dir_make(fd, "job/fs", 0700, NULL) == 0 &&
		   dir_make(fd, "job/blobs", 0700, NULL) == 0);
	dir = openat(fd, "job", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data[0] == 'L')
		as_layer(dir, data + 1, len - 1);
	else
		as_archive(dir, data + 1, len - 1);
	FUZZ_CHECK(dir_each(fd, ".", 10, only_ours, NULL, NULL) == 0);
	close(dir);
	close(fd);
	FUZZ_CHECK(tree_remove(AT_FDCWD, top, NULL) == 0);
	return 0;
}
