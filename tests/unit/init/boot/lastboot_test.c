/* The note of the last end, and what pstore holds. */
#include "init/boot/lastboot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"
#include "tests/unit/test.h"

TEST(a_first_boot_says_nothing)
{
	_cleanup_(mem_free) char *path = str_printf("%s/last", test_tmpdir());

	CHECK(lastboot_sentence(path, NULL) == NULL);
}

TEST(each_end_has_its_sentence)
{
	static const struct {
		const char *state, *text, *want;
	} cases[] = {
		{ "running", "",
		  "previous boot: it ended without a shutdown: power lost, a reset or a crash" },
		{ "reboot", "power button",
		  "previous boot: it was restarted in order (power button)" },
		{ "poweroff", "", "previous boot: it was switched off in order" },
		{ "nonsense", "x", "previous boot: its note cannot be read" },
	};
	_cleanup_(mem_free) char *path = str_printf("%s/last", test_tmpdir());

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(mem_free) char *got = NULL;

		CHECK_INT(lastboot_note(path, cases[i].state, cases[i].text, NULL), 0);
		got = lastboot_sentence(path, NULL);
		CHECK_STR(got, cases[i].want);
	}
}

TEST(a_panic_wins)
{
	_cleanup_(mem_free) char *path = str_printf("%s/last", test_tmpdir()), *got = NULL;

	CHECK_INT(lastboot_note(path, "running", "", NULL), 0);
	got = lastboot_sentence(path, "Attempted to kill init!");
	CHECK_STR(got, "previous boot: the kernel panicked: Attempted to kill init!");
}

static void put(const char *dir, const char *name, const char *text)
{
	_cleanup_(mem_free) char *path = str_printf("%s/%s", dir, name);

	file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, NULL);
}

TEST(pstore_is_copied_and_emptied)
{
	_cleanup_(mem_free) char *from = str_printf("%s/from", test_tmpdir()),
				 *to = str_printf("%s/to", test_tmpdir()), *panic = NULL,
				 *copy = str_printf("%s/dmesg-efi-1", to),
				 *old = str_printf("%s/old", to),
				 *gone = str_printf("%s/dmesg-efi-1", from);
	struct err e = { 0 };

	mkdir(from, 0700);
	mkdir(to, 0700);
	put(to, "old", "of an earlier boot");
	put(from, "dmesg-efi-1",
	    "Panic#1 Part1\n<0>[ 1.0] Kernel panic - not syncing: sysrq triggered crash\n<4> "
	    "more\n");
	put(from, "console-ramoops-0", "words\n");
	CHECK_MSG(pstore_collect(from, to, &panic, &e) == 2, "%s", err_text(&e));
	CHECK_STR(panic, "sysrq triggered crash");
	CHECK_INT(access(copy, F_OK), 0);
	CHECK(access(gone, F_OK) < 0);
	CHECK(access(old, F_OK) < 0);
}

TEST(an_empty_pstore_keeps_the_old_copies)
{
	_cleanup_(mem_free) char *from = str_printf("%s/from", test_tmpdir()),
				 *to = str_printf("%s/to", test_tmpdir()), *panic = NULL,
				 *old = str_printf("%s/old", to);

	mkdir(from, 0700);
	mkdir(to, 0700);
	put(to, "old", "of an earlier boot");
	CHECK_INT(pstore_collect(from, to, &panic, NULL), 0);
	CHECK(panic == NULL);
	CHECK_INT(access(old, F_OK), 0);
}
