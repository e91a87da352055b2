/*
 * When operations on a container's files begin, and what a start has to wait for. This very program
 * stands in for the worker: it reads its input to the end and then answers.
 */
#include "engine/container/files.h"

#include "tests/unit/engine/container/world.h"

static int fake_worker(struct worker_call *call, struct err *e)
{
	const char *path = NULL;
	char c;

	(void)e;
	json_get_text(call->request, "path", &path, NULL);
	if (str_eq(path, "L2ZhaWw=")) /* "/fail" */
		return err_set(e, ENOSPC, "no space");
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}

__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
	if (argc == 3 && str_eq(argv[1], "worker"))
		_exit(worker_serve("files", fake_worker)); /* the leak check needs ptrace */
}

struct put {
	struct files_op op;
	int n, r;
	char text[ERR_TEXT_MAX];
};

static void put_done(struct files_op *op, int r, const struct err *e)
{
	struct put *p = container_of(op, struct put, op);

	p->n++;
	p->r = r;
	snprintf(p->text, sizeof(p->text), "%s", r < 0 ? err_text(e) : "");
}

#define PUT(name) struct put name = { .op.done = put_done }

static void begin_put(struct container *c, struct put *p, const char *path)
{
	const struct files_request q = { .kind = FILES_PUT, .path = path, .asked = "box" };
	struct err e = { 0 };

	if (container_files_start(c, &q, &p->op, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	world_settle();
}

#define UNTIL(cond)                                          \
	({                                                   \
		for (int i_ = 0; i_ < 5000 && !(cond); i_++) \
			loop_once(w.loop, 2);                \
		(cond);                                      \
	})

#define WORLD()       \
	world_open(); \
	world_engine("boot-1")

#define MAKE "{\"Image\":\"img\",\"HostConfig\":{\"Binds\":[\"vol:/data\"]}}"

TEST(a_start_waits_for_what_writes_to_the_stopped_container)
{
	struct container *c;
	PUT(p);
	CALLER(start);
	WORLD();

	c = make(MAKE);
	begin_put(c, &p, "/tmp");
	CHECK(worker_running(&p.op.worker));
	container_start(c, &start.op);
	world_settle();
	CHECK_INT(w.n_spawned, 0);
	CHECK_STR(container_state_name(c), "created");
	container_files_end_input(&p.op);
	CHECK(UNTIL(p.n == 1));
	CHECK_INT(p.r, 0);
	CHECK(UNTIL(w.n_spawned == 1));
	shim_comes_up();
	CHECK(UNTIL(start.n == 1));
	CHECK_INT(start.r, 0);
	world_close();
}

TEST(a_client_that_leaves_lets_the_start_go_on)
{
	struct container *c;
	PUT(p);
	CALLER(start);
	WORLD();

	c = make(MAKE);
	begin_put(c, &p, "/tmp");
	container_start(c, &start.op);
	world_settle();
	CHECK_INT(w.n_spawned, 0);
	container_files_cancel(&p.op);
	CHECK(UNTIL(w.n_spawned == 1));
	CHECK_INT(p.n, 0);
	world_close();
}

TEST(the_patience_of_a_start_has_an_end)
{
	struct container *c;
	PUT(p);
	CALLER(start);
	WORLD();

	c = make(MAKE);
	begin_put(c, &p, "/tmp");
	container_start(c, &start.op);
	world_settle();
	CHECK(timer_armed(&c->files_timer) && w.n_spawned == 0);
	timer_set(w.loop, &c->files_timer, 0);
	CHECK(UNTIL(w.n_spawned == 1 && p.n == 1));
	CHECK_INT(p.r, -ECANCELED);
	world_close();
}

TEST(an_operation_waits_for_the_end_of_a_start)
{
	struct container *c;
	PUT(p);
	CALLER(start);
	WORLD();

	c = make(MAKE);
	container_start(c, &start.op);
	world_settle();
	CHECK_INT(w.n_spawned, 1);
	begin_put(c, &p, "/tmp");
	CHECK(!worker_running(&p.op.worker));
	CHECK_INT((int)container_files_write(&p.op, "abc", 3), 0);
	shim_never_runs(127, "no such program");
	CHECK(UNTIL(worker_running(&p.op.worker))); /* stopped again: as a stopped one */
	CHECK_INT((int)container_files_write(&p.op, "abc", 3), 3);
	container_files_end_input(&p.op);
	CHECK(UNTIL(p.n == 1));
	CHECK_INT(p.r, 0);
	world_close();
}

TEST(errors_of_the_worker_come_through)
{
	struct container *c;
	PUT(p);
	WORLD();

	c = make(MAKE);
	begin_put(c, &p, "/fail");
	CHECK(UNTIL(p.n == 1));
	CHECK_INT(p.r, -ENOSPC);
	CHECK_STR(p.text, "no space");
	CHECK_INT((int)container_files_write(&p.op, "abc", 3), 3); /* taken and dropped */
	world_close();
}

TEST(a_process_that_is_not_the_containers_is_not_entered)
{
	struct container *c;
	PUT(p);
	CALLER(start);
	WORLD();

	c = make(MAKE);
	container_start(c, &start.op);
	world_settle();
	shim_comes_up(); /* with a number that belongs to somebody else, or nobody */
	world_settle();
	begin_put(c, &p, "/tmp");
	CHECK(UNTIL(p.n == 1));
	CHECK_INT(p.r, -EBUSY);
	world_close();
}

/* More than the engine deletes by itself: the removal takes a while. */
static void fill(const struct container *c)
{
	for (int i = 0; i < 100; i++) {
		_cleanup_(mem_free) char *dir = container_path(c, "upper"),
					 *path = str_printf("%s/%d", dir, i);

		CHECK_INT(dir_make(AT_FDCWD, path, 0700, NULL), 0);
	}
}

TEST(removal_ends_what_runs)
{
	struct container *c;
	PUT(p);
	PUT(q);
	CALLER(remove);
	WORLD();

	c = make(MAKE);
	fill(c);
	begin_put(c, &p, "/tmp");
	container_remove(c, false, false, &remove.op);
	CHECK(UNTIL(p.n == 1));
	CHECK_INT(p.r, -EBUSY);
	begin_put(c, &q, "/tmp");
	CHECK(UNTIL(q.n == 1));
	CHECK_INT(q.r, -EBUSY);
	CHECK(UNTIL(remove.n == 1));
	world_close();
}

TEST(there_is_a_bound)
{
	static struct put puts[FILES_JOBS_MAX + 1];
	const struct files_request q = { .kind = FILES_PUT, .path = "/", .asked = "box" };
	struct container *c;
	struct err e = { 0 };
	WORLD();

	c = make(MAKE);
	for (size_t i = 0; i < FILES_JOBS_MAX; i++) {
		puts[i].op.done = put_done;
		CHECK_INT(container_files_start(c, &q, &puts[i].op, &e), 0);
	}
	CHECK_INT(container_files_start(c, &q, &puts[FILES_JOBS_MAX].op, &e), -EAGAIN);
	for (size_t i = 0; i < FILES_JOBS_MAX; i++)
		container_files_cancel(&puts[i].op);
	CHECK_INT(container_files_start(c, &q, &puts[0].op, &e), 0);
	container_files_cancel(&puts[0].op);
	world_close();
}
