/*
 * Commit: what is asked of both sides, whose end counts, pause and unpause around it. This very
 * program stands in for the worker that reads the files; the image store is a puppet that keeps the
 * pipe.
 */
#include "engine/container/commit.h"

#include "engine/files/files.h"
#include "tests/unit/engine/container/world.h"

/* The path of the upper directory says how the worker is to behave: a file named so lies in it. */
static int fake_worker(struct worker_call *call, struct err *e)
{
	const char *op = "", *upper = "";
	char path[4096];

	json_get_text(call->request, "op", &op, NULL);
	json_get_text(call->request, "upper", &upper, NULL);
	if (!str_eq(op, "layer"))
		return err_set(e, EINVAL, "asked for %s", op);
	snprintf(path, sizeof(path), "%s/fail", upper);
	if (access(path, F_OK) == 0)
		return err_set(e, ENOSPC, "no space");
	snprintf(path, sizeof(path), "%s/broken", upper);
	if (access(path, F_OK) == 0)
		return err_set(e, EPIPE, "Broken pipe");
	return file_write_all(FILES_FD_OUT, "layer", 5, e);
}

__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
	if (argc == 3 && str_eq(argv[1], "worker"))
		_exit(worker_serve("files", fake_worker)); /* the leak check needs ptrace */
}

/* ---- the image store ---- */

static struct {
	struct image_op *op;
	int fd, cancelled, fails;
	char asked[512];
} store;

int images_make(struct images *s, int fd, const struct image_make *m, struct image_op *op,
		struct err *e)
{
	char *cmd, *env;

	(void)s;
	if (store.fails)
		return err_set(e, store.fails, "the store says no");
	cmd = strv_join(m->config->cmd, " ");
	env = strv_join(m->config->env, " ");
	snprintf(store.asked, sizeof(store.asked),
		 "%.12s name=%s author=%s comment=%s by=%s cmd=%s env=%s", m->parent, m->name,
		 m->author, m->comment, m->created_by, cmd, env ? env : "");
	store.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	store.op = op;
	free(cmd);
	free(env);
	return 0;
}

void image_op_cancel(struct image_op *op)
{
	store.cancelled += op == store.op;
	store.op = NULL;
	fd_close(take_fd(store.fd));
}

/* What comes through the pipe up to its end. */
static const char *read_layer(void)
{
	static char text[64];
	size_t len = 0;
	ssize_t n;

	while ((n = read(store.fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static void stored(int r, const char *text)
{
	struct image_change change = { .type = IMAGE_MADE, .id = (char *)"sha256:77" };
	struct image_op *op = store.op;
	struct err e = { 0 };

	if (r < 0)
		err_set(&e, -r, "%s", text);
	op->changes = &change;
	op->n_changes = r == 0;
	store.op = NULL;
	fd_close(take_fd(store.fd));
	op->done(op, r, &e);
}

/* ---- the caller ---- */

struct asked {
	struct container_commit op;
	int n, r;
	size_t changes;
	char id[80], text[ERR_TEXT_MAX];
};

static void note_stored(struct container_commit *m, const struct image_change *changes, size_t n)
{
	(void)changes;
	container_of(m, struct asked, op)->changes = n;
}

static void note_done(struct container_commit *m, int r, const char *id, const struct err *e)
{
	struct asked *a = container_of(m, struct asked, op);

	a->n++;
	a->r = r;
	snprintf(a->id, sizeof(a->id), "%s", id ? id : "-");
	snprintf(a->text, sizeof(a->text), "%s", r < 0 ? err_text(e) : "");
}

#define UNTIL(cond)                                          \
	({                                                   \
		for (int i_ = 0; i_ < 5000 && !(cond); i_++) \
			loop_once(w.loop, 2);                \
		(cond);                                      \
	})

#define WORLD()                                                                                  \
	struct asked a = { .op = { .stored = note_stored, .done = note_done } };                 \
	struct commit_request q = {                                                              \
		.pause = true, .author = "me", .comment = "why", .name = "new:1", .asked = "box" \
	};                                                                                       \
	struct err e = { 0 };                                                                    \
	struct container *c;                                                                     \
	memset(&store, 0, sizeof(store));                                                        \
	store.fd = -1;                                                                           \
	world_open();                                                                            \
	world_engine("boot-1");                                                                  \
	c = make("{\"Image\":\"img\",\"Env\":[\"A=1\"]}")

static void behave(struct container *c, const char *how)
{
	char *path = str_printf("%s/containers/%s/upper/%s", w.dir, container_id(c), how);

	CHECK(file_replace(AT_FDCWD, path, "", 0, 0600, false, NULL) == 0);
	free(path);
}

TEST(a_stopped_container)
{
	static const char *const changes[] = { "ENV B=$A", "CMD [\"run\"]", NULL };
	WORLD();

	q.changes = changes;
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(str_starts(
		store.asked,
		"sha256:11111 name=new:1 author=me comment=why by=/bin/sleep 9 cmd=run env="));
	CHECK(str_ends(store.asked, " A=1 B=1"));
	CHECK(UNTIL(!a.op.reading));
	CHECK_STR(read_layer(), "layer");
	CHECK_INT(a.n, 0);
	stored(0, NULL);
	CHECK_INT(a.n, 1);
	CHECK_INT(a.r, 0);
	CHECK_STR(a.id, "sha256:77");
	CHECK_INT(a.changes, 1);
	CHECK(strstr(w.actions, "commit ") != NULL);
	CHECK_INT(w.n_pauses, 0);
	world_close();
}

TEST(a_config_in_the_request)
{
	static const char json[] = "{\"Cmd\":[\"other\"],\"Env\":[\"C=3\"],\"Hostname\":\"h\"}";
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	WORLD();

	q.config = yyjson_doc_get_root(doc);
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(strstr(store.asked, "cmd=other env=C=3 PATH=") && str_ends(store.asked, " A=1"));
	CHECK(UNTIL(!a.op.reading));
	stored(0, NULL);
	CHECK_INT(a.n, 1);
	yyjson_doc_free(doc);
	world_close();
}

TEST(what_is_wrong_is_told_at_once)
{
	static const char *const changes[] = { "RUN x", NULL };
	WORLD();

	q.changes = changes;
	CHECK_INT(container_commit(c, &q, &a.op, &e), -EINVAL);
	a = (struct asked){ .op = { .stored = note_stored, .done = note_done } };
	q.changes = NULL;
	q.name = "UP";
	CHECK_INT(container_commit(c, &q, &a.op, &e), -EINVAL);
	a = (struct asked){ .op = { .stored = note_stored, .done = note_done } };
	q.name = "";
	store.fails = ENOSPC;
	CHECK_INT(container_commit(c, &q, &a.op, &e), -ENOSPC);
	world_settle();
	CHECK_INT(a.n, 0);
	world_close();
}

TEST(files_that_cannot_be_read)
{
	WORLD();

	behave(c, "fail");
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(UNTIL(a.n == 1));
	CHECK_INT(a.r, -ENOSPC);
	CHECK_STR(a.text, "no space");
	CHECK_INT(store.cancelled, 1);
	CHECK(!strstr(w.actions, "commit "));
	world_close();
}

/* The store's word counts, whether it comes before or after the broken pipe. */
TEST(a_layer_that_the_store_refuses)
{
	for (int late = 0; late < 2; late++) {
		WORLD();

		behave(c, "broken");
		CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
		if (late)
			CHECK(UNTIL(!a.op.reading));
		CHECK_INT(a.n, 0);
		stored(-EFBIG, "too large");
		CHECK(UNTIL(a.n == 1));
		CHECK_INT(a.r, -EFBIG);
		CHECK_STR(a.text, "too large");
		CHECK_STR(a.id, "-");
		CHECK_INT(store.cancelled, 0);
		world_settle();
		world_close();
	}
}

/* Its process cannot be entered here, so this is how a failure thaws it. */
TEST(a_running_container_is_paused_and_runs_on)
{
	CALLER(start);
	WORLD();

	container_start(c, &start.op);
	CHECK(UNTIL(w.n_spawned == 1));
	shim_comes_up();
	CHECK(UNTIL(start.n == 1));
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(UNTIL(w.n_pauses == 1));
	CHECK(!store.op);
	shim_paused(0);
	CHECK(UNTIL(w.n_pauses == 2)); /* thawed, as the worker could not begin */
	CHECK_INT(a.n, 0);
	shim_paused(0);
	CHECK(UNTIL(a.n == 1));
	CHECK_INT(a.r, -EBUSY);
	CHECK_INT(store.cancelled, 1);
	CHECK_STR(container_state_name(c), "running");
	/* one that cannot be paused */
	a = (struct asked){ .op = { .stored = note_stored, .done = note_done } };
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(UNTIL(w.n_pauses == 3));
	shim_paused(EIO);
	CHECK(UNTIL(a.n == 1));
	CHECK_INT(a.r, -EIO);
	/* without a pause */
	a = (struct asked){ .op = { .stored = note_stored, .done = note_done } };
	q.pause = false;
	CHECK_INT(container_commit(c, &q, &a.op, &e), 0);
	CHECK(UNTIL(a.n == 1));
	CHECK_INT(w.n_pauses, 3);
	world_close();
}
