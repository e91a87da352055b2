/*
 * gzip for rotated log files (logpack.h), in a process of its own: a shim has to stay small and
 * must not stand still for seconds.
 *
 * The file is read twice: its lines are counted for the header, then it is compressed. Started by
 * logfile.c after a rotation.
 */
#include "engine/shim/logpack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "engine/worker/sandbox.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum {
	CHUNK = 32 << 10,
	HEADER_MAX = 128, /* of what is read to find the comment */
	GZIP_FIXED = 10, /* bytes before the comment: there is no name and no extra field */
	GZIP_COMMENT = 1 << 4, /* the flag */
	GZIP_WINDOW = 15 + 16, /* zlib: gzip, not its own format */
	PACK_UID = 65534,
	PACK_MEMORY = 16 << 20,
};

static const char origin_form[] = "ino=%llu mtime=%lld lines=%llu";

int logpack_origin_read(int fd, struct logpack_origin *ret)
{
	unsigned long long ino, lines;
	char head[HEADER_MAX + 1];
	ssize_t n = pread(fd, head, HEADER_MAX, 0);
	long long mtime;

	if (n <= GZIP_FIXED || (unsigned char)head[0] != 0x1f || (unsigned char)head[1] != 0x8b ||
	    head[3] != GZIP_COMMENT)
		return -EINVAL;
	head[n] = '\0';
	if (sscanf(head + GZIP_FIXED, origin_form, &ino, &mtime, &lines) != 3)
		return -EINVAL;
	*ret = (struct logpack_origin){ .ino = ino, .mtime_ns = mtime, .lines = lines };
	return 0;
}

static int count_lines(int fd, uint64_t *ret_lines, struct err *e)
{
	char chunk[CHUNK];
	uint64_t lines = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += chunk[i] == '\n';
	if (n < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "reading the log file");
	*ret_lines = lines;
	return 0;
}

/* What deflate has to give, into the file. */
static int drain(z_stream *z, int to, int flush, struct err *e)
{
	unsigned char out[CHUNK];
	int r;

	do {
		z->next_out = out;
		z->avail_out = sizeof(out);
		if (deflate(z, flush) == Z_STREAM_ERROR)
			return err_set(e, EIO, "compressing the log file failed");
		r = file_write_all(to, out, sizeof(out) - z->avail_out, e);
		if (r < 0)
			return r;
	} while (z->avail_out == 0);
	return 0;
}

static int compress_all(z_stream *z, int from, int to, struct err *e)
{
	unsigned char in[CHUNK];
	ssize_t n;

	while ((n = read(from, in, sizeof(in))) > 0) {
		int r;

		z->next_in = in;
		z->avail_in = (uInt)n;
		r = drain(z, to, Z_NO_FLUSH, e);
		if (r < 0)
			return r;
	}
	if (n < 0)
		return err_errno(e, errno, "reading the log file");
	return drain(z, to, Z_FINISH, e);
}

int logpack_file(int from, int to, struct err *e)
{
	gz_header head = { .os = 3 /* Unix */ };
	char comment[HEADER_MAX];
	uint64_t lines = 0;
	struct stat st;
	z_stream z = { 0 };
	int r;

	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "the log file is not a regular file");
	r = count_lines(from, &lines, e);
	if (r < 0)
		return r;
	(void)snprintf(comment, sizeof(comment), origin_form, (unsigned long long)st.st_ino,
		       (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		       (unsigned long long)lines);
	head.comment = (Bytef *)comment;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return err_errno(e, ENOMEM, "compressing the log file");
	(void)deflateSetHeader(&z, &head);
	r = compress_all(&z, from, to, e);
	(void)deflateEnd(&z);
	if (r == 0 && fsync(to) < 0)
		r = err_errno(e, errno, "syncing the packed log file");
	return r;
}

int logpack_worker(int argc, char **argv)
{
	const struct worker_sandbox sandbox = {
		.drop_user = true,
		.uid = PACK_UID,
		.gid = PACK_UID,
		.confine_files = true,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES,
		.max_memory = worker_memory_limit(PACK_MEMORY),
		.death_signal = SIGKILL,
	};
	struct err e = { 0 };
	int r = worker_sandbox_apply(&sandbox, &e);

	(void)argc;
	(void)argv;
	if (r == 0)
		r = logpack_file(0, 1, &e);
	if (r < 0)
		log_error("%s", err_text(&e));
	return r < 0 ? 1 : 0;
}
