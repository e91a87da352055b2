/*
 * What an exec needs of a config: it comes back as it was written, and nothing that is cut, longer
 * or of another layout is believed.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/runtime/kept.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static struct sock_filter code[] = { { 0x20, 0, 0, 4 }, { 0x06, 0, 0, 0x7fff0000 } };

static const struct kept some = {
	.ns = { [NS_PID] = true, [NS_MOUNT] = true },
	.has_oom_score = true,
	.oom_score_adj = -7,
	.personality = 8,
	.filter = { .filter = code, .len = 2, .flags = 4 },
};

static char *path(void)
{
	return str_printf("%s/exec.kept", test_tmpdir());
}

TEST(comes_back)
{
	_cleanup_(kept_clear) struct kept k = { 0 };
	_cleanup_(mem_free) char *at = path();

	kept_write(at, &some);
	CHECK(kept_read(at, &k));
	CHECK(memcmp(k.ns, some.ns, sizeof(k.ns)) == 0);
	CHECK(k.has_oom_score && k.oom_score_adj == -7 && k.personality == 8);
	CHECK(k.filter.len == 2 && k.filter.flags == 4);
	CHECK(memcmp(k.filter.filter, code, sizeof(code)) == 0);
}

TEST(without_filter)
{
	_cleanup_(kept_clear) struct kept k = { 0 };
	_cleanup_(mem_free) char *at = path();

	kept_write(at, &(struct kept){ .personality = ~0UL });
	CHECK(kept_read(at, &k));
	CHECK(k.filter.len == 0 && !k.has_oom_score && k.personality == ~0UL && !k.ns[NS_PID]);
}

TEST(from_a_plan)
{
	static const char config[] =
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
		"\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"oomScoreAdj\":5},"
		"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"ipc\"}],"
		"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}}}";
	_cleanup_(plan_free) struct plan *plan = NULL;
	_cleanup_(kept_clear) struct kept k = { 0 };
	struct err e = { 0 };

	CHECK(plan_parse(config, strlen(config), &plan, &e) == 0);
	CHECK(kept_from_plan(plan, NULL, &k, &e) == 0);
	CHECK(k.ns[NS_MOUNT] && k.ns[NS_IPC] && !k.ns[NS_PID]);
	CHECK(k.has_oom_score && k.oom_score_adj == 5 && k.filter.len > 0);
}

TEST(a_description_is_taken_apart_once_and_then_known_by_its_text)
{
	static const char good[] = "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
				   "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\"},"
				   "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
				   "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\","
				   "\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"syscalls\":["
				   "{\"names\":[\"%s\"],\"action\":\"%s\"}]}}}";
	static const struct {
		const char *name, *action;
		int r;
		bool known;
	} rows[] = {
		{ "read", "SCMP_ACT_ALLOW", 0, false },	  { "read", "SCMP_ACT_ALLOW", 0, true },
		{ "write", "SCMP_ACT_ALLOW", 0, false },  { "read", "SCMP_ACT_X", -EINVAL, false },
		{ "read", "SCMP_ACT_X", -EINVAL, false }, /* what is wrong is never kept */
	};
	_cleanup_(mem_free) char *cache = str_printf("%s/programs", test_tmpdir());
	_cleanup_(kept_clear) struct kept first = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(mem_free) char *text = str_printf(good, rows[i].name, rows[i].action);
		_cleanup_(plan_free) struct plan *plan = NULL;
		_cleanup_(kept_clear) struct kept k = { 0 };
		struct err e = { 0 };

		CHECK_INT(plan_parse_cached(text, strlen(text), cache, &plan, &e), rows[i].r);
		if (rows[i].r < 0)
			continue;
		CHECK_INT(plan->program.len > 0, rows[i].known);
		CHECK(kept_from_plan(plan, cache, &k, &e) == 0);
		CHECK(k.filter.len > 0 && k.filter.flags == 2);
		if (i == 0) {
			first = k;
			k = (struct kept){ 0 };
		} else if (rows[i].known) {
			CHECK_INT(k.filter.len, first.filter.len);
			CHECK(memcmp(k.filter.filter, first.filter.filter,
				     first.filter.len * sizeof(*first.filter.filter)) == 0);
		}
	}
}

TEST(what_is_damaged_is_not_believed)
{
	_cleanup_(mem_free) char *at = path(), *text = NULL;
	struct kept k = { 0 };
	size_t len;

	unlink(at);
	CHECK(!kept_read(at, &k));
	kept_write(at, &some);
	CHECK(file_read(AT_FDCWD, at, 4096, &text, &len, NULL) == 0);
	for (size_t n = 0; n < len; n++) {
		CHECK(file_replace(AT_FDCWD, at, text, n, 0600, false, NULL) == 0);
		CHECK(!kept_read(at, &k));
	}
	text[0]++;
	CHECK(file_replace(AT_FDCWD, at, text, len, 0600, false, NULL) == 0);
	CHECK(!kept_read(at, &k));
}
