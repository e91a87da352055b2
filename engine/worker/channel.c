/*
 * The messages between engine and worker, both directions.
 *
 * First line "kind", then the body's JSON: one packet when it fits, else the body in a memfd that
 * is sealed, so that the receiver can read it without waiting and nobody changes it meanwhile. A
 * descriptor that is no sealed memfd (a pipe would block the engine) is refused.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/worker/worker.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static const char *const kind_names[] = {
	[WORKER_REQUEST] = "request",
	[WORKER_PROGRESS] = "progress",
	[WORKER_RESULT] = "result",
	[WORKER_ERROR] = "error",
};

static int sealed_copy(const char *json, size_t len, struct err *e)
{
	_cleanup_(fd_close) int fd =
		memfd_create("worker-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot make a memory file");
	r = file_write_all(fd, json, len, e);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return err_errno(e, errno, "cannot seal a memory file");
	return take_fd(fd);
}

int worker_send(int channel, enum worker_kind kind, const char *json, size_t len, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(MSG_SIZE_MAX);
	_cleanup_(fd_close) int fd = -1;

	if (len > WORKER_BODY_MAX)
		return err_set(e, EMSGSIZE, "a worker's message has at most %d bytes",
			       WORKER_BODY_MAX);
	buf_printf(&text, "%s\n", kind_names[kind]);
	if (buf_add(&text, json, len) == 0)
		return msg_send(channel, text.data, text.len, NULL, 0, e);
	if (buf_failed(&text) != -EMSGSIZE)
		return err_set(e, ENOMEM, "out of memory for a worker's message");
	fd = sealed_copy(json, len, e);
	return fd < 0 ? fd : msg_send(channel, text.data, text.len, &fd, 1, e);
}

static int read_sealed(int fd, char **ret_json, size_t *ret_len, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return err_set(e, EBADMSG,
			       "a message came in a descriptor that is no sealed memory file");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "cannot read a message");
	return file_read_fd(fd, WORKER_BODY_MAX, ret_json, ret_len, e);
}

static int kind_of(const char *name, enum worker_kind *ret_kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
		if (str_eq(name, kind_names[i])) {
			*ret_kind = (enum worker_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Takes one packet apart: its kind, and the body in new memory. */
static int decode(char *packet, const int *fds, size_t n_fds, enum worker_kind *ret_kind,
		  char **ret_json, size_t *ret_len, struct err *e)
{
	char *body = strchr(packet, '\n');

	if (body)
		*body++ = '\0';
	if (!body || n_fds > 1 || kind_of(packet, ret_kind) < 0)
		return err_set(e, EBADMSG, "a message without a known kind");
	if (n_fds == 1)
		return read_sealed(fds[0], ret_json, ret_len, e);
	*ret_json = str_dup(body);
	if (!*ret_json)
		return err_set(e, ENOMEM, "out of memory for a message");
	*ret_len = strlen(body);
	return 0;
}

int worker_receive(int channel, enum worker_kind *ret_kind, yyjson_doc **ret_doc, struct err *e)
{
	_cleanup_(mem_free) char *packet = malloc(MSG_SIZE_MAX + 1), *json = NULL;
	int fds[MSG_FDS_MAX], r;
	size_t n_fds = 0, len;
	ssize_t n;

	if (!packet)
		return err_set(e, ENOMEM, "out of memory for a message");
	n = msg_recv(channel, packet, MSG_SIZE_MAX + 1, fds, &n_fds, e);
	if (n <= 0)
		return (int)n;
	r = decode(packet, fds, n_fds, ret_kind, &json, &len, e);
	for (size_t i = 0; i < n_fds; i++)
		fd_close(fds[i]);
	if (r == 0)
		r = json_parse_object(json, len, ret_doc, NULL, e);
	if (r == -EINVAL || r == -EFBIG)
		return err_set(e, EBADMSG, "a worker's message is damaged");
	return r < 0 ? r : 1;
}
