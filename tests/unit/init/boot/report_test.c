/* boot.json: its text, warnings that come and go, the file. */
#include "init/boot/report.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static void quiet(void)
{
	log_set_level((enum log_level)0);
}

TEST(json_of_phases_and_warnings)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct report r = { 0 };

	quiet();
	report_phase(&r, "early", 400, 412, false);
	report_phase(&r, "storage", 412, 500, true);
	report_warn(&r, "data", "no data disk: /dev/vda holds \"%s\"", "a\nb");
	r.previous = str_dup("previous boot: fine");
	CHECK_INT(report_json(&r, &out), 0);
	CHECK_STR(
		out.data,
		"{\"phases\":[{\"name\":\"early\",\"start_ms\":400,\"duration_ms\":12,\"ok\":true},"
		"{\"name\":\"storage\",\"start_ms\":412,\"duration_ms\":88,\"ok\":false}],"
		"\"warnings\":[\"no data disk: /dev/vda holds \\\"a\\u000ab\\\"\"],"
		"\"previous_boot\":\"previous boot: fine\"}\n");
	report_free(&r);
}

TEST(a_warning_is_kept_once_and_taken_back)
{
	struct report r = { 0 };

	quiet();
	report_warn(&r, "a", "first");
	report_warn(&r, "b", "second");
	report_warn(&r, "a", "first");
	CHECK_INT(r.n_warnings, 2);
	report_warn(&r, "a", "changed");
	CHECK_INT(r.n_warnings, 2);
	CHECK_STR(r.warnings[0].text, "changed");
	CHECK(report_clear(&r, "a"));
	CHECK(!report_clear(&r, "a"));
	CHECK_INT(r.n_warnings, 1);
	CHECK_STR(r.warnings[0].text, "second");
	report_free(&r);
}

TEST(warnings_are_bounded)
{
	struct report r = { 0 };
	char key[16];

	quiet();
	for (int i = 0; i < 2 * REPORT_WARNINGS_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		report_warn(&r, key, "text %d", i);
	}
	CHECK_INT(r.n_warnings, REPORT_WARNINGS_MAX);
	report_free(&r);
}

TEST(the_file_follows_each_change)
{
	_cleanup_(mem_free) char *path = str_printf("%s/boot.json", test_tmpdir()), *text = NULL;
	struct report r = { 0 };

	quiet();
	report_publish(&r, path);
	report_warn(&r, "x", "broken \xff text");
	CHECK_INT(file_read(AT_FDCWD, path, 4096, &text, NULL, NULL), 0);
	CHECK_STR(text, "{\"phases\":[],\"warnings\":[\"broken \xef\xbf\xbd text\"]}\n");
	report_free(&r);
}

TEST(one_line_for_people)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct report r = { 0 };

	report_phase(&r, "early", 400, 412, false);
	report_phase(&r, "storage", 412, 500, true);
	CHECK_INT(report_line(&r, &out), 0);
	CHECK_STR(out.data,
		  "early 12 ms, storage 88 ms (failed), done 500 ms after the kernel's start");
	report_free(&r);
}
