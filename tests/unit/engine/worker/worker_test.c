/*
 * Workers end to end: this test program starts itself again as `skerryd worker NAME`; the
 * constructor below plays the role table.
 */
#include "engine/worker/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

/* --- the roles --- */

/* three progress messages, then the request's "say" and the length of the input */
static int run_echo(struct worker_call *call, struct err *e)
{
	_cleanup_(mem_free) char *input = NULL;
	const char *say = "nothing";
	struct json_writer w;
	size_t len = 0;

	if (json_get_text(call->request, "say", &say, e) < 0 ||
	    file_read_fd(0, 64 << 20, &input, &len, e) < 0)
		return -EINVAL;
	for (int i = 1; i <= 3; i++) {
		char text[32];

		snprintf(text, sizeof(text), "{\"step\":%d}", i);
		worker_progress(call, text, strlen(text));
	}
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	json_member_str(&w, "said", say);
	json_member_i64(&w, "input", (int64_t)len);
	json_end_object(&w);
	return 0;
}

static int run_fail(struct worker_call *call, struct err *e)
{
	(void)call;
	return err_set(e, ENOSPC, "no room for \"%s\"", "it");
}

static int run_big(struct worker_call *call, struct err *e)
{
	_cleanup_(mem_free) char *text = calloc(1, 300001);
	struct json_writer w;

	(void)e;
	memset(text, 'x', 300000);
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	json_member_str(&w, "text", text);
	json_end_object(&w);
	return 0;
}

static int run_hang(struct worker_call *call, struct err *e)
{
	(void)e;
	worker_progress(call, "{\"pid\":1}", 9);
	while (pause() < 0)
		;
	return 0;
}

static int run_die(struct worker_call *call, struct err *e)
{
	(void)call;
	(void)e;
	signal(SIGSEGV, SIG_DFL);
	raise(SIGKILL);
	return 0;
}

/* what a worker that was taken over may send instead of its result */
static int run_rogue(struct worker_call *call, struct err *e)
{
	const char *how = "";
	int pipes[2];

	if (json_get_text(call->request, "how", &how, e) < 0)
		return -EINVAL;
	if (str_eq(how, "garbage"))
		msg_send(WORKER_CHANNEL, "garbage", 7, NULL, 0, NULL);
	if (str_eq(how, "not-json"))
		msg_send(WORKER_CHANNEL, "result\n{", 8, NULL, 0, NULL);
	if (str_eq(how, "request"))
		worker_send(WORKER_CHANNEL, WORKER_REQUEST, "{}", 2, NULL);
	if (str_eq(how, "twice"))
		worker_send(WORKER_CHANNEL, WORKER_RESULT, "{}", 2, NULL);
	if (str_eq(how, "pipe") && pipe(pipes) == 0)
		msg_send(WORKER_CHANNEL, "result\n", 7, pipes, 1, NULL);
	if (str_eq(how, "silent"))
		_exit(0);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct worker_call *call, struct err *e);
} roles[] = {
	{ "echo", run_echo }, { "fail", run_fail }, { "big", run_big },
	{ "hang", run_hang }, { "die", run_die },   { "rogue", run_rogue },
};

__attribute__((constructor)) static void role_main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[0], "skerryd") != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (str_eq(argv[2], roles[i].name))
			_exit(worker_serve(argv[2], roles[i].run));
	}
	_exit(99);
}

/* --- the engine's side --- */

struct job {
	struct worker w;
	struct loop *loop;
	int code, done, progress, rooms;
	char why[ERR_TEXT_MAX];
	char said[64];
	int64_t input, last_step;
	size_t text_len;
	bool cancel_on_progress;
};

static void on_progress(struct worker *w, yyjson_val *body)
{
	struct job *j = container_of(w, struct job, w);

	j->progress++;
	json_get_i64(body, "step", &j->last_step, NULL);
	if (j->cancel_on_progress)
		worker_cancel(w);
}

static void on_room(struct worker *w)
{
	container_of(w, struct job, w)->rooms++;
}

static void on_done(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct job *j = container_of(w, struct job, w);
	const char *said = "", *text = "";

	j->done++;
	j->code = code;
	(void)str_copy(j->why, sizeof(j->why), err_text(why));
	if (result) {
		json_get_text(result, "said", &said, NULL);
		json_get_i64(result, "input", &j->input, NULL);
		json_get_text(result, "text", &text, NULL);
		(void)str_copy(j->said, sizeof(j->said), said);
		j->text_len = strlen(text);
	}
}

static int job_start(struct job *j, const struct worker_spec *spec)
{
	struct err e = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (loop_new(&j->loop, &e) < 0)
		return -1;
	j->w.on_progress = on_progress;
	j->w.on_room = on_room;
	j->w.on_done = on_done;
	r = worker_start(j->loop, &j->w, spec, &e);
	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return r;
}

static void job_finish(struct job *j)
{
	while (!j->done && loop_once(j->loop, 10000) > 0)
		;
	loop_free(j->loop);
}

static bool nobody_left(void)
{
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

TEST(request_progress_result)
{
	struct worker_spec spec = { .name = "echo", .request = "{\"say\":\"hello\"}" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	CHECK(worker_running(&j.w));
	job_finish(&j);
	CHECK_MSG(j.code == 0, "%s", j.why);
	CHECK_INT(j.done, 1);
	CHECK_INT(j.progress, 3);
	CHECK_INT(j.last_step, 3);
	CHECK_STR(j.said, "hello");
	CHECK_INT(j.input, 0);
	CHECK(!worker_running(&j.w));
	CHECK(nobody_left());
}

TEST(input_from_a_descriptor)
{
	_cleanup_(fd_close) int fd = open(test_tmpdir(), O_RDWR | O_TMPFILE, 0600);
	struct worker_spec spec = { .name = "echo", .input_fd = fd };
	struct job j = { 0 };

	CHECK_INT(write(fd, "12345", 5), 5);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_MSG(j.code == 0, "%s", j.why);
	CHECK_INT(j.input, 5);
}

TEST(streamed_input_with_back_pressure)
{
	enum { TOTAL = 3 << 20 };
	_cleanup_(mem_free) char *data = calloc(1, TOTAL);
	struct worker_spec spec = { .name = "echo", .stream_input = true };
	struct job j = { 0 };
	size_t sent = 0;

	CHECK_INT(job_start(&j, &spec), 0);
	while (sent < TOTAL) {
		ssize_t n = worker_write(&j.w, data + sent, TOTAL - sent);
		int rooms = j.rooms;

		CHECK(n >= 0);
		sent += (size_t)n;
		while (sent < TOTAL && j.rooms == rooms)
			CHECK(loop_once(j.loop, 10000) > 0);
	}
	worker_end_input(&j.w);
	CHECK_INT(worker_write(&j.w, data, 1), -EPIPE);
	job_finish(&j);
	CHECK_MSG(j.code == 0, "%s", j.why);
	CHECK_INT(j.input, TOTAL);
	CHECK(j.rooms > 0);
}

TEST(errors_come_with_code_and_text)
{
	struct worker_spec spec = { .name = "fail" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_INT(j.code, -ENOSPC);
	CHECK_STR(j.why, "no room for \"it\"");
}

TEST(long_results_travel_sealed)
{
	struct worker_spec spec = { .name = "big" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_MSG(j.code == 0, "%s", j.why);
	CHECK_INT(j.text_len, 300000);
}

TEST(death_is_an_error)
{
	struct worker_spec spec = { .name = "die" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_INT(j.code, -EIO);
	CHECK_STR(j.why, "the worker die ended with signal 9 (KILL)");
	CHECK_INT(j.done, 1);
}

TEST(unknown_role)
{
	struct worker_spec spec = { .name = "nonsense" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_INT(j.code, -EIO);
	CHECK_STR(j.why, "the worker nonsense ended with exit status 99");
}

TEST(rogues_are_refused)
{
	static const char *const ways[] = { "garbage", "not-json", "request",
					    "twice",   "pipe",	   "silent" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_(mem_free) char *request = str_printf("{\"how\":\"%s\"}", ways[i]);
		struct worker_spec spec = { .name = "rogue", .request = request };
		struct job j = { 0 };

		CHECK_INT(job_start(&j, &spec), 0);
		job_finish(&j);
		CHECK_MSG(j.code == (str_eq(ways[i], "silent") ? -EIO : -EBADMSG), "%s: %d %s",
			  ways[i], j.code, j.why);
		CHECK_INT(j.done, 1);
	}
	CHECK(nobody_left());
}

TEST(timeout_stops_it)
{
	struct worker_spec spec = { .name = "hang", .timeout_ms = 300 };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	job_finish(&j);
	CHECK_INT(j.code, -ETIMEDOUT);
	CHECK_STR(j.why, "the worker hang took longer than 300 ms and was stopped");
}

TEST(cancel_is_silent)
{
	struct worker_spec spec = { .name = "hang" };
	struct job j = { 0 };

	CHECK_INT(job_start(&j, &spec), 0);
	worker_cancel(&j.w);
	worker_cancel(&j.w);
	CHECK_INT(loop_once(j.loop, 0), 0);
	loop_free(j.loop);
	CHECK_INT(j.done, 0);
	CHECK(nobody_left());
	/* and from inside of its own progress */
	j = (struct job){ .cancel_on_progress = true };
	CHECK_INT(job_start(&j, &spec), 0);
	while (j.progress == 0)
		CHECK(loop_once(j.loop, 10000) > 0);
	CHECK_INT(loop_once(j.loop, 0), 0);
	loop_free(j.loop);
	CHECK_INT(j.done, 0);
	CHECK(nobody_left());
}
