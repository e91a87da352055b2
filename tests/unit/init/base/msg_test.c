/* Messages: boundaries, descriptors, limits, long socket paths. */
#include "init/base/msg.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"
#include "tests/unit/test.h"

TEST(pair_keeps_boundaries_and_passes_descriptors)
{
	int pair[2], pipes[2], fds[MSG_FDS_MAX];
	size_t n_fds = 0;
	char buf[64];

	CHECK_INT(msg_pair(pair, NULL), 0);
	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_INT(msg_recv(pair[0], buf, sizeof(buf), NULL, NULL, NULL), -EAGAIN);
	CHECK_INT(msg_send(pair[0], "one", 3, &pipes[1], 1, NULL), 0);
	CHECK_INT(msg_send(pair[0], "two", 3, NULL, 0, NULL), 0);
	CHECK_INT(msg_recv(pair[1], buf, sizeof(buf), fds, &n_fds, NULL), 3);
	CHECK_STR(buf, "one");
	CHECK_INT(n_fds, 1);
	CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	CHECK_INT(write(fds[0], "x", 1), 1);
	close(fds[0]);
	CHECK_INT(msg_recv(pair[1], buf, sizeof(buf), fds, &n_fds, NULL), 3);
	CHECK_STR(buf, "two");
	CHECK_INT(n_fds, 0);
	close(pair[0]);
	CHECK_INT(msg_recv(pair[1], buf, sizeof(buf), NULL, NULL, NULL), 0);
	CHECK_INT(msg_send(pair[1], "x", 1, NULL, 0, NULL), -EPIPE);
	close(pair[1]);
	close(pipes[0]);
	close(pipes[1]);
}

TEST(cut_and_unwanted_are_dropped)
{
	int pair[2], pipes[2], fds[9];
	char buf[8];

	CHECK_INT(msg_pair(pair, NULL), 0);
	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	for (int i = 0; i < 9; i++)
		fds[i] = pipes[1];
	CHECK_INT(msg_send(pair[0], "12345678", 8, fds, 8, NULL), 0);
	CHECK_INT(msg_recv(pair[1], buf, sizeof(buf), NULL, NULL, NULL), -EMSGSIZE);
	CHECK_INT(msg_send(pair[0], "1234567", 7, fds, 8, NULL), 0);
	CHECK_INT(msg_recv(pair[1], buf, sizeof(buf), NULL, NULL, NULL), 7);
	CHECK_INT(msg_send(pair[0], "x", 1, fds, 9, NULL), -EMSGSIZE);
	CHECK_INT(msg_send(pair[0], "", 0, NULL, 0, NULL), -EMSGSIZE);
	/* all received copies were closed: with ours the pipe has no writer left */
	close(pipes[1]);
	CHECK_INT(read(pipes[0], buf, 1), 0);
	close(pipes[0]);
	close(pair[0]);
	close(pair[1]);
}

TEST(full_queue_is_eagain)
{
	_cleanup_(mem_free) char *big = calloc(1, MSG_SIZE_MAX + 1);
	int pair[2], r = 0, n = 0;

	CHECK_INT(msg_pair(pair, NULL), 0);
	CHECK_INT(msg_send(pair[0], big, MSG_SIZE_MAX + 1, NULL, 0, NULL), -EMSGSIZE);
	while (r == 0 && n++ < 1000)
		r = msg_send(pair[0], big, MSG_SIZE_MAX, NULL, 0, NULL);
	CHECK_INT(r, -EAGAIN);
	CHECK(n > 1);
	close(pair[0]);
	close(pair[1]);
}

TEST(listen_on_a_long_path)
{
	_cleanup_(fd_close) int listener = -1, client = -1, server = -1;
	_cleanup_(mem_free) char *dir = NULL, *path = NULL;
	struct err e = { 0 };
	char buf[16];
	struct stat st;
	uid_t uid = 12345;

	dir = str_printf("%s/%080d/%080d", test_tmpdir(), 1, 2);
	path = str_printf("%s/sock", dir);
	CHECK_INT(dir_make(AT_FDCWD, dir, 0755, &e), 0);
	CHECK_INT(msg_connect(path, &e), -ENOENT);
	listener = msg_listen(path, &e);
	CHECK_MSG(listener >= 0, "%s", err_text(&e));
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(msg_accept(listener, NULL), -EAGAIN);
	client = msg_connect(path, &e);
	CHECK_MSG(client >= 0, "%s", err_text(&e));
	server = msg_accept(listener, &uid);
	CHECK(server >= 0);
	CHECK_INT(uid, getuid());
	CHECK_INT(msg_send(client, "hi", 2, NULL, 0, &e), 0);
	CHECK_INT(msg_recv(server, buf, sizeof(buf), NULL, NULL, &e), 2);
	/* an old socket is replaced, something else is not */
	fd_close(listener);
	listener = msg_listen(path, &e);
	CHECK_MSG(listener >= 0, "%s", err_text(&e));
	CHECK_INT(unlink(path), 0);
	CHECK_INT(file_replace(AT_FDCWD, path, "x", 1, 0600, false, &e), 0);
	CHECK_INT(msg_listen(path, &e), -EEXIST);
}
