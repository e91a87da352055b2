/*
 * Compose files over the API: what is stored, planned, applied, tried and taken back; and the files
 * that configs and secrets become.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/file.h"
#include "tests/unit/engine/manifest/puppets.h"

#define TEXT(more) ONE(more)

struct place_of_files {
	char dir[200], files[220], shop[240], trial[260];
};

static struct manifests *engine_up(struct place_of_files *at)
{
	struct manifests_config cfg = { .loop = w.loop, .dir = at->dir, .files_dir = at->files };
	struct manifests *m = NULL;
	struct err e = { 0 };

	cfg.remap = (struct remap){ getuid(), 65536 };
	MUST(manifests_new(&cfg, &m, &e) == 0);
	manifests_start(m);
	manifests_scan(m);
	return m;
}

static struct manifests *world_with_engine(struct place_of_files *at)
{
	world_up(NULL);
	has_image("img:1", "sha256:1");
	MUST(str_format(at->dir, sizeof(at->dir), "%s/compose", test_tmpdir()) == 0);
	MUST(str_format(at->files, sizeof(at->files), "%s/state", test_tmpdir()) == 0);
	MUST(str_format(at->shop, sizeof(at->shop), "%s/shop.yaml", at->dir) == 0);
	MUST(str_format(at->trial, sizeof(at->trial), "%s/trial-shop.yaml.json", at->files) == 0);
	MUST(mkdir(at->dir, 0755) == 0);
	return engine_up(at);
}

static void engine_down(struct manifests *m)
{
	manifests_free(m);
	world_down();
}

/* Puts shop.yaml; the plan is in `plan`. */
static int put(struct manifests *m, const char *text, bool dry_run, int64_t trial, struct buf *plan,
	       struct err *e)
{
	const struct manifest_put want = { .name = "shop",
					   .text = text,
					   .len = strlen(text),
					   .dry_run = dry_run,
					   .trial = trial };
	struct json_writer jw;

	buf_reset(plan);
	json_writer_init(&jw, plan);
	return manifests_put(m, &want, &jw, e);
}

static bool file_says(const char *path, const char *want)
{
	_cleanup_(mem_free) char *text = NULL;

	if (file_read(AT_FDCWD, path, 1 << 20, &text, NULL, NULL) < 0)
		return want == NULL;
	return str_eq(text, want);
}

static void all_ends(void)
{
	while (w.running)
		container_ends(0);
}

TEST(a_file_is_stored_and_applied)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_MSG(put(m, TEXT(""), false, 0, &plan, &e) == 1, "%s", err_text(&e));
	CHECK(file_says(at.shop, TEXT("")));
	all_ends();
	was_asked("create shop-a-1, start shop-a-1");
	CHECK(strstr(buf_text(&plan), "\"services\":[{\"service\":\"a\",\"container\":\"shop-a-1\","
				      "\"action\":\"create\"}],\"removed\":[]"));
	/* the same again changes nothing */
	CHECK_INT(put(m, TEXT(""), false, 0, &plan, &e), 0);
	CHECK(strstr(buf_text(&plan), "\"action\":\"keep\""));
	was_asked("");
	engine_down(m);
}

TEST(a_dry_run_only_plans)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_INT(put(m, TEXT(""), true, 0, &plan, &e), 0);
	CHECK(file_says(at.shop, NULL));
	was_asked("");
	CHECK_INT(put(m, TEXT(""), false, 0, &plan, &e), 1);
	all_ends();
	was_asked("create shop-a-1, start shop-a-1");
	CHECK_INT(put(m,
		      TEXT("    hostname: h${H}\n") "  b: {image: i, network_mode: none, "
						    "depends_on: {a: {condition: service_started, "
						    "restart: true}}}\n",
		      true, 0, &plan, &e),
		  0);
	CHECK(strstr(buf_text(&plan), "\"container\":\"shop-a-1\",\"action\":\"recreate\"}"));
	CHECK(strstr(buf_text(&plan), "\"container\":\"shop-b-1\",\"action\":\"create\"}"));
	CHECK(strstr(buf_text(&plan), "The \\\"H\\\" variable is not set"));
	CHECK_INT(
		put(m, "services: {c: {image: 'img:1', network_mode: none}}\n", true, 0, &plan, &e),
		0);
	CHECK(strstr(buf_text(&plan), "\"removed\":[\"shop-a-1\"]"));
	CHECK(file_says(at.shop, TEXT("")));
	was_asked("");
	engine_down(m);
}

TEST(a_bad_file_changes_nothing)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *want = NULL;
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_INT(put(m, TEXT(""), false, 0, &plan, &e), 1);
	all_ends();
	w.asked[0] = '\0';
	CHECK_INT(put(m, TEXT("    imagee: x\n"), false, 60, &plan, &e), -EINVAL);
	want = str_printf("%s:5: services.a.imagee: unknown key; did you mean 'image'?", at.shop);
	CHECK_STR(err_text(&e), want);
	CHECK(file_says(at.shop, TEXT("")) && file_says(at.trial, NULL));
	was_asked("");
	engine_down(m);
}

TEST(names_that_are_no_file)
{
	static const char *const names[] = {
		"", ".", "..", ".hidden", "a/b", "../x", "a b", "a\n"
	};
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct manifest_put want = { .name = names[i],
						   .text = TEXT(""),
						   .len = strlen(TEXT("")) };
		struct json_writer jw;
		struct err e = { 0 };

		json_writer_init(&jw, &plan);
		CHECK_INT(manifests_put(m, &want, &jw, &e), -EINVAL);
		CHECK(strstr(err_text(&e), "cannot name a file"));
	}
	engine_down(m);
}

TEST(a_trial_goes_back_by_itself)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_INT(put(m, TEXT(""), false, 0, &plan, &e), 1);
	all_ends();
	w.asked[0] = '\0';
	CHECK_MSG(put(m, TEXT("    hostname: h\n"), false, 60, &plan, &e) == 0, "%s", err_text(&e));
	all_ends();
	was_asked("create shop-a-1, stop shop-a-1.old-00000000, start shop-a-1");
	CHECK(file_says(at.shop, TEXT("    hostname: h\n")));
	/* another try goes back to the same version */
	CHECK_INT(put(m, TEXT("    hostname: k\n"), false, 60, &plan, &e), 0);
	all_ends();
	fires(&list_first(&m->trials, struct trial, link)->timer);
	all_ends();
	CHECK(file_says(at.shop, TEXT("")) && file_says(at.trial, NULL));
	CHECK(list_empty(&m->trials));
	engine_down(m);
}

TEST(a_trial_that_is_confirmed_stays)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_INT(put(m, TEXT(""), false, 60, &plan, &e), 1);
	all_ends();
	CHECK_INT(manifests_confirm(m, "nope", &e), -ENOENT);
	CHECK_INT(manifests_confirm(m, "shop", &e), 0);
	CHECK(file_says(at.shop, TEXT("")) && file_says(at.trial, NULL));
	CHECK(list_empty(&m->trials));
	CHECK_INT(manifests_confirm(m, "shop", &e), -ENOENT);
	CHECK_STR(err_text(&e), "no version of shop is on trial");
	/* one that is put for good ends a trial too */
	CHECK_INT(put(m, TEXT("    hostname: h\n"), false, 60, &plan, &e), 0);
	all_ends();
	CHECK(!file_says(at.trial, NULL));
	CHECK_INT(put(m, TEXT("    hostname: k\n"), false, 0, &plan, &e), 0);
	all_ends();
	CHECK(list_empty(&m->trials) && file_says(at.trial, NULL));
	engine_down(m);
}

TEST(a_trial_outlives_the_engine)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	CHECK_INT(put(m, TEXT(""), false, 60, &plan, &e), 1); /* there was no file */
	all_ends();
	manifests_free(m);
	m = engine_up(&at);
	CHECK(!list_empty(&m->trials));
	CHECK(file_says(at.shop, TEXT("")));
	w.asked[0] = '\0';
	fires(&list_first(&m->trials, struct trial, link)->timer);
	CHECK(file_says(at.shop, NULL) && file_says(at.trial, NULL));
	all_ends();
	was_asked("stop shop-a-1, remove shop-a-1");
	engine_down(m);
}

TEST(a_file_is_removed)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20), shown = BUF_INIT(1 << 20);
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct json_writer jw;
	struct err e = { 0 };

	CHECK_INT(manifests_remove(m, "shop", &e), -ENOENT);
	CHECK_STR(err_text(&e), "no such manifest: shop");
	CHECK_INT(put(m, TEXT(""), false, 60, &plan, &e), 1);
	all_ends();
	json_writer_init(&jw, &shown);
	CHECK_INT(manifests_show(m, "shop", &jw, &e), 0);
	CHECK(strstr(buf_text(&shown), "\"content\":\"services:\\n"));
	CHECK(strstr(buf_text(&shown), "\"state\":\"running\""));
	CHECK(!strstr(buf_text(&shown), "\"trial_until\":null"));
	w.asked[0] = '\0';
	CHECK_INT(manifests_remove(m, "shop", &e), 0);
	all_ends();
	was_asked("stop shop-a-1, remove shop-a-1");
	CHECK(file_says(at.shop, NULL) && file_says(at.trial, NULL));
	engine_down(m);
}

TEST(a_file_beside_it_that_changes_is_a_change)
{
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *env = NULL;
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	struct err e = { 0 };

	env = str_printf("%s/.env", at.dir);
	CHECK_INT(put(m, TEXT("    hostname: ${H-none}\n"), false, 0, &plan, &e), 1);
	all_ends();
	w.asked[0] = '\0';
	manifests_scan(m);
	was_asked("");
	CHECK_INT(file_replace(AT_FDCWD, env, "H=other\n", 8, 0600, false, &e), 0);
	manifests_scan(m);
	all_ends();
	was_asked("create shop-a-1, stop shop-a-1.old-00000000, start shop-a-1");
	/* a mistake there is told, and the mended file is taken */
	CHECK_INT(file_replace(AT_FDCWD, env, "=\n", 2, 0600, false, &e), 0);
	manifests_scan(m);
	CHECK(strstr(list_first(&m->projects, struct project, link)->error, "expected KEY=value"));
	CHECK_INT(file_replace(AT_FDCWD, env, "H=other\n", 8, 0600, false, &e), 0);
	manifests_scan(m);
	CHECK(!list_first(&m->projects, struct project, link)->error);
	engine_down(m);
}

TEST(secrets_are_files_as_long_as_somebody_needs_them)
{
	static const char text[] =
		TEXT("    secrets: [{source: s, mode: 0440}]\nsecrets: {s: {content: hush}}\n");
	_cleanup_(buf_free) struct buf plan = BUF_INIT(1 << 20);
	_cleanup_(mem_free) char *path = NULL;
	struct place_of_files at;
	struct manifests *m = world_with_engine(&at);
	const struct compose_file *f;
	struct err e = { 0 };
	struct stat st;

	CHECK_MSG(put(m, text, false, 0, &plan, &e) == 1, "%s", err_text(&e));
	all_ends();
	f = &list_first(&m->projects, struct project, link)->want->services[0].files[0];
	path = str_dup(f->path);
	CHECK(str_starts(path, at.files) && file_says(path, "hush"));
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0440);
	/* what somebody broke is made anew before the next start */
	CHECK_INT(truncate(path, 0), 0);
	w.made[0].state = CONTAINER_EXITED;
	w.made[0].ran = false;
	service_step(&list_first(&m->projects, struct project, link)->runs[0]);
	all_ends();
	CHECK(file_says(path, "hush"));
	CHECK_INT(manifests_remove(m, "shop", &e), 0);
	all_ends();
	manifests_scan(m);
	CHECK(file_says(path, NULL));
	engine_down(m);
}
