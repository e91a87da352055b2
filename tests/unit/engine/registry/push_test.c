/*
 * Pushing, as far as no registry is needed: what is refused, in which words, and when.
 *
 * The exchange itself is tested against real registries: tests/system/test_push.py.
 */
#include "engine/registry/push.h"

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

struct seen {
	struct registry_push op;
	char lines[1024];
	bool done;
	int result;
	struct err err;
};

static void on_progress(struct registry_push *op, const struct push_progress *line)
{
	struct seen *s = container_of(op, struct seen, op);
	size_t at = strlen(s->lines);

	snprintf(s->lines + at, sizeof(s->lines) - at, "%s\n", line->status ? line->status : "-");
}

static void on_pushed(struct registry_push *op, const char *name)
{
	(void)op;
	test_fail(__FILE__, __LINE__, "%s was pushed to nowhere", name);
}

static void on_done(struct registry_push *op, int r, const struct err *e)
{
	struct seen *s = container_of(op, struct seen, op);

	s->done = true;
	s->result = r;
	s->err = *e;
}

struct bench {
	struct rig rig;
	struct registry *reg;
	struct seen seen;
};

static int bench_new(struct bench *b)
{
	struct err e = { 0 };
	int r;

	*b = (struct bench){ 0 };
	if (rig_new(&b->rig) < 0)
		return -1;
	r = registry_new(&(struct registry_config){ .loop = b->rig.loop,
						    .images = b->rig.images,
						    .no_sandbox = RIG_NO_SANDBOX },
			 &b->reg, &e);
	if (r < 0)
		test_fail(__FILE__, __LINE__, "registry_new: %s", err_text(&e));
	return r;
}

static void bench_free(struct bench *b)
{
	registry_free(b->reg);
	rig_free(&b->rig);
}

static void load(struct bench *b, const char *name)
{
	char id[DIGEST_TEXT_MAX];
	struct buf archive;
	struct rig_op o;

	two_layers(&archive, name, NULL, id);
	CHECK_MSG(rig_load(&b->rig, &archive, &o) == 0, "%s", err_text(&o.err));
	buf_free(&archive);
}

static int start(struct bench *b, const char *name, const char *tag,
		 const struct image_platform *platform)
{
	b->seen = (struct seen){
		.op = { .progress = on_progress, .pushed = on_pushed, .done = on_done }
	};
	return registry_push(b->reg, name, tag, platform, NULL, &b->seen.op, &b->seen.err);
}

TEST(refused_before_the_first_line)
{
	static const struct {
		const char *name, *tag, *words;
		int r;
	} rows[] = {
		{ "UPPER", "1", "invalid reference format", -EINVAL },
		{ "a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL,
		  "cannot push a digest reference", -EINVAL },
		{ "a", "b c", "invalid tag format", -EINVAL },
		{ "a", "../b", "invalid tag format", -EINVAL },
	};
	struct bench b;

	CHECK(bench_new(&b) == 0);
	load(&b, "a:1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(start(&b, rows[i].name, rows[i].tag, NULL), rows[i].r);
		CHECK_MSG(strstr(err_text(&b.seen.err), rows[i].words), "%s: %s", rows[i].name,
			  err_text(&b.seen.err));
	}
	CHECK_INT(start(&b, "a", "1", &(struct image_platform){ .architecture = "riscv64" }),
		  -ENOENT);
	CHECK(strstr(err_text(&b.seen.err), "does not provide the specified platform"));
	bench_free(&b);
}

TEST(layers_that_were_not_kept_are_said_at_once)
{
	struct bench b;

	CHECK(bench_new(&b) == 0);
	registry_free(b.reg);
	b.reg = NULL;
	images_free(b.rig.images);
	b.rig.cfg.keep_blobs = IMAGE_KEEP_NO;
	CHECK(rig_open(&b.rig) == 0);
	CHECK(registry_new(&(struct registry_config){ .loop = b.rig.loop,
						      .images = b.rig.images,
						      .no_sandbox = RIG_NO_SANDBOX },
			   &b.reg, NULL) == 0);
	load(&b, "a:1");
	CHECK_INT(start(&b, "a", "1", NULL), -EOPNOTSUPP);
	CHECK_MSG(strstr(err_text(&b.seen.err), "cannot be pushed"), "%s", err_text(&b.seen.err));
	bench_free(&b);
}

TEST(no_such_image_comes_behind_the_first_line)
{
	static const struct {
		const char *name, *tag, *lines, *words;
	} rows[] = {
		{ "none", "1", "The push refers to repository [docker.io/library/none]\n",
		  "An image does not exist locally with the tag: none" },
		{ "h.example:5000/x", NULL, "The push refers to repository [h.example:5000/x]\n",
		  "An image does not exist locally with the tag: h.example:5000/x" },
		{ "a", "2", "The push refers to repository [docker.io/library/a]\n",
		  "tag does not exist: a:2" },
		{ "a:2", NULL, "The push refers to repository [docker.io/library/a]\n",
		  "tag does not exist: a:2" },
	};
	struct bench b;

	CHECK(bench_new(&b) == 0);
	load(&b, "a:1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(start(&b, rows[i].name, rows[i].tag, NULL), 0);
		CHECK(!b.seen.done && !b.seen.lines[0]);
		while (!b.seen.done && loop_once(b.rig.loop, 60000) > 0)
			;
		CHECK_INT(b.seen.result, -ENOENT);
		CHECK_STR(b.seen.lines, rows[i].lines);
		CHECK_STR(err_text(&b.seen.err), rows[i].words);
		CHECK(!b.seen.op.job);
	}
	bench_free(&b);
}

TEST(taken_back_before_it_began)
{
	struct bench b;

	CHECK(bench_new(&b) == 0);
	load(&b, "a:1");
	CHECK_INT(start(&b, "a", "1", NULL), 0);
	registry_push_cancel(&b.seen.op);
	CHECK(!b.seen.op.job);
	registry_push_cancel(&b.seen.op);
	(void)loop_once(b.rig.loop, 0);
	CHECK(!b.seen.done && !b.seen.lines[0]);
	bench_free(&b);
}
