/*
 * Disks: what is on an image file, and which disk is chosen. Real file systems come from mke2fs
 * where the host has it; the rest is a made-up /sys/class/block in a folder.
 */
#include "init/boot/disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/spawn.h"
#include "init/base/str.h"
#include "init/boot/storage.h"
#include "tests/unit/test.h"

enum { MIB = 1 << 20 };

static char *image(const char *name, uint64_t size)
{
	char *path = str_printf("%s/%s", test_tmpdir(), name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	close(fd);
	return path;
}

static void poke(const char *path, uint64_t at, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (pwrite(fd, bytes, len, (off_t)at) != (ssize_t)len)
		abort();
	close(fd);
}

static struct disk probe(const char *path)
{
	struct disk d = { 0 };
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	disk_probe(fd, (uint64_t)st.st_size, &d);
	close(fd);
	return d;
}

TEST(zeros_are_blank)
{
	_cleanup_(mem_free) char *path = image("d", 100 * MIB);

	CHECK_INT(probe(path).content, DISK_BLANK);
}

TEST(one_byte_anywhere_in_the_first_or_last_mib_is_foreign)
{
	static const uint64_t places[] = {
		0, 510, 4096, MIB - 1, 99 * (uint64_t)MIB, 100 * (uint64_t)MIB - 1
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(mem_free) char *path = image("d", 100 * MIB);

		poke(path, places[i], "x", 1);
		CHECK_MSG(probe(path).content == DISK_FOREIGN, "a byte at %llu was overlooked",
			  (unsigned long long)places[i]);
	}
}

TEST(a_byte_in_the_middle_is_not_looked_at)
{
	_cleanup_(mem_free) char *path = image("d", 100 * MIB);

	poke(path, 50 * (uint64_t)MIB, "x", 1);
	CHECK_INT(probe(path).content, DISK_BLANK);
}

TEST(signatures_are_named)
{
	static const struct {
		uint64_t at;
		const char *bytes, *what;
	} cases[] = {
		{ 0, "XFSB", "an XFS file system" },
		{ 512, "EFI PART", "a partition table" },
		{ 510, "\x55\xaa", "a partition table or a boot sector" },
		{ 65600, "_BHRfS_M", "a btrfs file system" },
		{ 4086, "SWAPSPACE2", "swap space" },
		{ 7000, "hello", "unknown data" },
		{ 100 * (uint64_t)MIB - 512, "EFI PART", "unknown data at its end" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(mem_free) char *path = image("d", 100 * MIB);

		poke(path, cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
		CHECK_STR(probe(path).what, cases[i].what);
	}
}

TEST(tiny_and_empty_devices)
{
	_cleanup_(mem_free) char *none = image("none", 0), *small = image("small", 512);

	CHECK_INT(probe(none).content, DISK_UNREADABLE);
	CHECK_INT(probe(small).content, DISK_BLANK);
}

/* false when the host has no mke2fs */
static bool make_ext4(const char *path, const char *label)
{
	static const char script[] =
		"PATH=$PATH:/sbin:/usr/sbin; command -v mke2fs >/dev/null || exit 9; "
		"exec mke2fs -q -F -t ext4 -L \"$1\" \"$2\"";
	const char *argv[] = { "sh", "-c", script, "sh", label, path, NULL };
	const struct spawn s = { .path = "/bin/sh", .argv = argv };
	int status;

	if (spawn_run(&s, 60000, 4096, NULL, &status, NULL) < 0 || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 9))
		abort();
	return WEXITSTATUS(status) == 0;
}

TEST(our_label_and_others)
{
	_cleanup_(mem_free) char *ours = image("ours", 64 * MIB), *other = image("other", 64 * MIB);
	struct disk d;

	if (!make_ext4(ours, DISK_LABEL) || !make_ext4(other, "photos"))
		return;
	d = probe(ours);
	CHECK_INT(d.content, DISK_DATA);
	CHECK_STR(d.label, DISK_LABEL);
	CHECK_INT(d.fs_size, 64 * MIB);
	CHECK(d.fs_clean);
	d = probe(other);
	CHECK_INT(d.content, DISK_FOREIGN);
	CHECK_STR(d.label, "photos");
	CHECK_STR(d.what, "an ext4 file system");
}

TEST(a_crashed_file_system_is_not_clean)
{
	_cleanup_(mem_free) char *path = image("ours", 64 * MIB);

	if (!make_ext4(path, DISK_LABEL))
		return;
	poke(path, 1024 + 0x3a, "\x00\x00", 2); /* s_state: not unmounted */
	CHECK(!probe(path).fs_clean);
	poke(path, 1024 + 0x3a, "\x03\x00", 2); /* unmounted, with errors */
	CHECK(!probe(path).fs_clean);
	poke(path, 1024 + 0x3a, "\x01\x00", 2);
	CHECK(probe(path).fs_clean);
}

/* What an error tells people to do; false when it could not be done. */
static bool add_quota(const char *path)
{
	static const char script[] =
		"PATH=$PATH:/sbin:/usr/sbin; exec tune2fs -O quota,project -Q prjquota \"$1\"";
	const char *argv[] = { "sh", "-c", script, "sh", path, NULL };
	const struct spawn s = { .path = "/bin/sh", .argv = argv };
	int status;

	return spawn_run(&s, 60000, 4096, NULL, &status, NULL) == 0 && status == 0;
}

TEST(quota_by_project_is_seen)
{
	_cleanup_(mem_free) char *path = image("ours", 64 * MIB);

	if (!make_ext4(path, DISK_LABEL))
		return;
	CHECK(!probe(path).fs_quota); /* a disk of an earlier version */
	if (add_quota(path))
		CHECK(probe(path).fs_quota);
	poke(path, 1024 + 0x26c, "\x00\x00\x00\x00", 4); /* no inode for it */
	CHECK(!probe(path).fs_quota);
}

TEST(a_superblock_of_nonsense_is_foreign)
{
	_cleanup_(mem_free) char *path = image("ours", 64 * MIB);

	if (!make_ext4(path, DISK_LABEL))
		return;
	poke(path, 1024 + 0x18, "\xff\xff\xff\xff", 4); /* a block size of 2^4294967305 */
	CHECK_INT(probe(path).content, DISK_FOREIGN);
}

/* --- the list and the choice --- */

static void add(const char *name, const char *extra, uint64_t mib)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/sys/%s/%s", test_tmpdir(), name,
						   extra ? extra : ""),
				 *size = str_printf("%s/sys/%s/size", test_tmpdir(), name),
				 *dev = str_printf("%s/dev", test_tmpdir()), *text = NULL,
				 *node = NULL;

	dir_make(AT_FDCWD, dir, 0755, NULL);
	dir_make(AT_FDCWD, dev, 0755, NULL);
	text = str_printf("%llu\n", (unsigned long long)mib * 2048);
	file_replace(AT_FDCWD, size, text, strlen(text), 0444, false, NULL);
	node = str_printf("dev/%s", name);
	free(image(node, mib * MIB));
}

struct world {
	struct disk *disks;
	size_t n;
};

static struct world list(void)
{
	_cleanup_(mem_free) char *sys = str_printf("%s/sys", test_tmpdir()),
				 *dev = str_printf("%s/dev", test_tmpdir());
	struct world w = { 0 };

	if (disk_list(sys, dev, &w.disks, &w.n, NULL) < 0)
		abort();
	return w;
}

TEST(the_list_is_ordered_and_leaves_out_what_holds_no_data)
{
	struct world w;

	add("vdaa", NULL, 64);
	add("vdb", NULL, 64);
	add("vda", "vda1", 64);
	add("loop0", NULL, 64);
	add("sr0", NULL, 64);
	add("vdc", NULL, 0);
	w = list();
	CHECK_INT(w.n, 3);
	CHECK_STR(w.disks[0].name, "vda");
	CHECK_STR(w.disks[1].name, "vdb");
	CHECK_STR(w.disks[2].name, "vdaa");
	free(w.disks);
}

TEST(a_disk_with_partitions_is_never_blank)
{
	_cleanup_(mem_free) char *part = str_printf("%s/sys/vda/vda1", test_tmpdir()),
				 *file = str_printf("%s/partition", part);
	const struct disk *d;
	struct world w;
	char note[300];

	add("vda", "vda1", 128);
	file_replace(AT_FDCWD, file, "1\n", 2, 0444, false, NULL);
	w = list();
	CHECK_INT(disk_choose(w.disks, w.n, "auto", &d, note, sizeof(note)), DISK_NONE);
	CHECK_STR(note, "/dev/vda holds partitions and is left alone");
	free(w.disks);
}

static struct disk blank(const char *name)
{
	struct disk d = { .size = 1024 * (uint64_t)MIB, .content = DISK_BLANK, .what = "nothing" };

	snprintf(d.name, sizeof(d.name), "%s", name);
	return d;
}

static struct disk with(const char *name, enum disk_content content, const char *what,
			const char *label)
{
	struct disk d = blank(name);

	d.content = content;
	d.what = what;
	snprintf(d.label, sizeof(d.label), "%s", label);
	return d;
}

TEST(the_label_wins_over_a_blank_disk)
{
	const struct disk disks[] = { blank("vda"),
				      with("vdb", DISK_DATA, "an ext4 file system", DISK_LABEL) };
	const struct disk *d;
	char note[300];

	CHECK_INT(disk_choose(disks, 2, "auto", &d, note, sizeof(note)), DISK_USE);
	CHECK_STR(d->name, "vdb");
	CHECK_STR(note, "");
}

TEST(the_first_blank_disk_is_taken)
{
	struct disk disks[] = { with("vda", DISK_FOREIGN, "an XFS file system", ""), blank("vdb"),
				blank("vdc") };
	const struct disk *d;
	char note[300];

	CHECK_INT(disk_choose(disks, 3, "auto", &d, note, sizeof(note)), DISK_FORMAT);
	CHECK_STR(d->name, "vdb");
	disks[1].held = true;
	CHECK_INT(disk_choose(disks, 3, "auto", &d, note, sizeof(note)), DISK_FORMAT);
	CHECK_STR(d->name, "vdc");
	disks[2].partition = true;
	CHECK_INT(disk_choose(disks, 3, "auto", &d, note, sizeof(note)), DISK_NONE);
	CHECK_STR(note, "/dev/vda holds an XFS file system, /dev/vdb is blank but in use: they are "
			"left alone");
}

TEST(small_and_read_only_disks_are_not_taken)
{
	struct disk disks[] = { blank("vda"), blank("vdb") };
	const struct disk *d;
	char note[300];

	disks[0].size = 10 * MIB;
	disks[1].read_only = true;
	CHECK_INT(disk_choose(disks, 2, "auto", &d, note, sizeof(note)), DISK_NONE);
	CHECK(d == NULL);
	CHECK_INT(disk_choose(disks, 2, "/dev/vda", &d, note, sizeof(note)), DISK_REFUSED);
	CHECK_STR(note, "/dev/vda is blank but too small, and is left alone");
}

TEST(foreign_disks_are_named)
{
	const struct disk disks[] = { with("sda", DISK_FOREIGN, "an ext4 file system", "photos") };
	const struct disk *d;
	char note[300];

	CHECK_INT(disk_choose(disks, 1, "auto", &d, note, sizeof(note)), DISK_NONE);
	CHECK_STR(note, "/dev/sda holds an ext4 file system labelled \"photos\" and is left alone");
	CHECK_INT(disk_choose(disks, 1, "/dev/sda", &d, note, sizeof(note)), DISK_REFUSED);
	CHECK_STR(note, "/dev/sda holds an ext4 file system labelled \"photos\", not a file system "
			"labelled "
			"SKERRY-DATA, and is left alone");
	CHECK_INT(disk_choose(disks, 1, "/dev/sdb", &d, note, sizeof(note)), DISK_REFUSED);
	CHECK_STR(note, "there is no disk /dev/sdb");
	CHECK(d == NULL);
}

TEST(two_labels_are_told)
{
	const struct disk disks[] = { with("vda", DISK_DATA, "", DISK_LABEL),
				      with("vdb", DISK_DATA, "", DISK_LABEL) };
	const struct disk *d;
	char note[300];

	CHECK_INT(disk_choose(disks, 2, "auto", &d, note, sizeof(note)), DISK_USE);
	CHECK_STR(d->name, "vda");
	CHECK(strstr(note, "/dev/vda and /dev/vdb are both labelled"));
	CHECK_INT(disk_choose(disks, 2, "/dev/vdb", &d, note, sizeof(note)), DISK_USE);
	CHECK_STR(d->name, "vdb");
}

TEST(none_is_none)
{
	const struct disk disks[] = { blank("vda") };
	const struct disk *d;
	char note[300];

	CHECK_INT(disk_choose(disks, 1, "none", &d, note, sizeof(note)), DISK_NONE);
	CHECK_STR(note, "");
}

TEST(exit_codes_of_the_check)
{
	CHECK_INT(fsck_result(0, false), FSCK_OK);
	CHECK_INT(fsck_result(1 << 8, false), FSCK_REPAIRED);
	CHECK_INT(fsck_result(3 << 8, false), FSCK_REPAIRED);
	CHECK_INT(fsck_result(4 << 8, false), FSCK_AGAIN);
	CHECK_INT(fsck_result(4 << 8, true), FSCK_FAILED);
	CHECK_INT(fsck_result(8 << 8, true), FSCK_FAILED);
	CHECK_INT(fsck_result(9, false), FSCK_AGAIN); /* killed */
	CHECK_INT(fsck_result(-1, true), FSCK_FAILED); /* did not run */
}
