/*
 * Probing of block devices and the choice of the data disk.
 *
 * The superblock of ext4 is read here by offsets, because the choice must not depend on a mount.
 * Known signatures are named only so that a person recognises the disk; what decides is that every
 * byte of the first and the last MiB is zero.
 */
#include "init/boot/disk.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "init/base/util.h"

enum {
	MIB = 1 << 20,
	HEAD = 128 << 10, /* all signatures are in it, so a disk of ours costs no more to read */
	SUPER_AT = 1024,
	/* offsets in ext4's superblock */
	SB_BLOCKS_LO = 0x04,
	SB_LOG_BLOCK_SIZE = 0x18,
	SB_MAGIC = 0x38,
	SB_STATE = 0x3a,
	SB_INCOMPAT = 0x60,
	SB_RO_COMPAT = 0x64,
	SB_LABEL = 0x78,
	SB_BLOCKS_HI = 0x150,
	SB_ERROR_COUNT = 0x194,
	SB_PROJECT_QUOTA_INODE = 0x26c,
	/* their values */
	EXT_MAGIC = 0xef53,
	STATE_VALID = 1,
	STATE_ERROR = 2,
	INCOMPAT_RECOVER = 0x4,
	INCOMPAT_JOURNAL_DEV = 0x8,
	INCOMPAT_64BIT = 0x80,
	RO_COMPAT_QUOTA = 0x100,
	RO_COMPAT_PROJECT = 0x2000,
};

static uint16_t le16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const unsigned char *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static const struct {
	size_t offset;
	const char *bytes;
	size_t len;
	const char *what;
} signatures[] = {
	{ 510, "\x55\xaa", 2, "a partition table or a boot sector" },
	{ 512, "EFI PART", 8, "a partition table" },
	{ 0, "XFSB", 4, "an XFS file system" },
	{ 0, "LUKS\xba\xbe", 6, "an encrypted volume" },
	{ 0, "hsqs", 4, "a squashfs image" },
	{ 1024, "\xe2\xe1\xf5\xe0", 4, "an EROFS image" },
	{ 536, "LVM2 001", 8, "an LVM volume" },
	{ 4086, "SWAPSPACE2", 10, "swap space" },
	{ 4096, "\xfc\x4e\x2b\xa9", 4, "a RAID member" },
	{ 32769, "CD001", 5, "a CD image" },
	{ 65600, "_BHRfS_M", 8, "a btrfs file system" },
};

static const char *name_signature(const unsigned char *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++) {
		if (signatures[i].offset + signatures[i].len <= len &&
		    memcmp(head + signatures[i].offset, signatures[i].bytes, signatures[i].len) ==
			    0)
			return signatures[i].what;
	}
	return "unknown data";
}

static bool all_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* true when it is ext2, 3 or 4 */
static bool probe_ext(const unsigned char *head, size_t len, struct disk *d)
{
	const unsigned char *sb = head + SUPER_AT;
	uint32_t incompat, log_size;
	uint64_t blocks;

	if (len < SUPER_AT + 1024 || le16(sb + SB_MAGIC) != EXT_MAGIC)
		return false;
	incompat = le32(sb + SB_INCOMPAT);
	log_size = le32(sb + SB_LOG_BLOCK_SIZE);
	if (log_size > 6 || incompat & INCOMPAT_JOURNAL_DEV)
		return false;
	blocks = le32(sb + SB_BLOCKS_LO);
	if (incompat & INCOMPAT_64BIT)
		blocks |= (uint64_t)le32(sb + SB_BLOCKS_HI) << 32;
	if (__builtin_mul_overflow(blocks, UINT64_C(1024) << log_size, &d->fs_size))
		return false;
	memcpy(d->label, sb + SB_LABEL, DISK_LABEL_MAX - 1);
	d->label[DISK_LABEL_MAX - 1] = '\0';
	d->fs_clean = le16(sb + SB_STATE) == STATE_VALID && !(incompat & INCOMPAT_RECOVER) &&
		      le32(sb + SB_ERROR_COUNT) == 0;
	d->fs_quota = (le32(sb + SB_RO_COMPAT) & (RO_COMPAT_QUOTA | RO_COMPAT_PROJECT)) ==
			      (RO_COMPAT_QUOTA | RO_COMPAT_PROJECT) &&
		      le32(sb + SB_PROJECT_QUOTA_INODE) != 0;
	d->what = "an ext4 file system";
	d->content = str_eq(d->label, DISK_LABEL) ? DISK_DATA : DISK_FOREIGN;
	return true;
}

/* bytes read, short only at the end of the device; -errno */
static ssize_t read_at(int fd, unsigned char *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buf + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void disk_probe(int fd, uint64_t size, struct disk *d)
{
	_cleanup_(mem_free) unsigned char *buf = malloc(MIB);
	ssize_t n;

	d->content = DISK_UNREADABLE;
	d->what = "nothing that can be read";
	if (!buf || size == 0)
		return;
	n = read_at(fd, buf, (size_t)MIN(size, (uint64_t)HEAD), 0);
	if (n <= 0 || probe_ext(buf, (size_t)n, d))
		return;
	d->content = DISK_FOREIGN;
	if (!all_zero(buf, (size_t)n)) {
		d->what = name_signature(buf, (size_t)n);
		return;
	}
	n = read_at(fd, buf, (size_t)MIN(size, (uint64_t)MIB), 0);
	if (n < 0 || !all_zero(buf, (size_t)n)) {
		d->what = "unknown data";
		return;
	}
	if (size > MIB) {
		uint64_t tail = MIN(size - MIB, (uint64_t)MIB);

		n = read_at(fd, buf, (size_t)tail, size - tail);
		if (n < 0 || (uint64_t)n != tail) {
			d->content = DISK_UNREADABLE;
			return;
		}
		if (!all_zero(buf, (size_t)n)) {
			d->what = "unknown data at its end";
			return;
		}
	}
	d->content = DISK_BLANK;
	d->what = "nothing";
}

/* a number in a small sysfs file; `otherwise` when it is not there */
static uint64_t sys_number(int dir, const char *name, uint64_t otherwise)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t v;

	if (file_read(dir, name, 64, &text, NULL, NULL) < 0 || str_to_u64(str_trim(text), &v) < 0)
		return otherwise;
	return v;
}

struct has {
	int dir;
	const char *prefix; /* NULL: any entry counts */
	bool found;
};

static int has_entry(int dirfd, const char *name, void *data, struct err *e)
{
	struct has *h = data;
	char path[300];

	(void)e;
	if (!h->prefix) {
		h->found = true;
		return 0;
	}
	if (str_starts(name, h->prefix) &&
	    str_format(path, sizeof(path), "%s/partition", name) == 0 &&
	    faccessat(dirfd, path, F_OK, 0) == 0)
		h->found = true;
	return 0;
}

static bool has(int dir, const char *path, const char *prefix)
{
	struct has h = { .prefix = prefix };

	(void)dir_each(dir, path, 1024, has_entry, &h, NULL);
	return h.found;
}

int disk_read(const char *sys_block, const char *dev, const char *name, struct disk *d,
	      struct err *e)
{
	_cleanup_(fd_close) int dir = -1, fd = -1;
	char path[160];

	*d = (struct disk){ .what = "nothing that can be read" };
	if (str_copy(d->name, sizeof(d->name), name) < 0 || strchr(name, '/') ||
	    str_format(path, sizeof(path), "%s/%s", sys_block, name) < 0)
		return err_set(e, EINVAL, "\"%.40s\" is not the name of a disk", name);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "there is no disk %s", name);
	d->size = sys_number(dir, "size", 0) * 512;
	d->partition = faccessat(dir, "partition", F_OK, 0) == 0;
	d->has_partitions = has(dir, ".", name);
	d->held = has(dir, "holders", NULL);
	d->read_only = sys_number(dir, "ro", 0) != 0;
	if (str_format(path, sizeof(path), "%s/%s", dev, name) < 0)
		return err_set(e, EINVAL, "the name of disk %s is too long", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		disk_probe(fd, d->size, d);
	if (d->has_partitions && d->content == DISK_BLANK) {
		d->content = DISK_FOREIGN;
		d->what = "partitions";
	}
	return 0;
}

struct list_state {
	const char *sys_block, *dev;
	struct disk *disks;
	size_t n;
};

/* memory, loops and readers hold no data of the machine's */
static bool is_candidate(const char *name)
{
	static const char *const not_ours[] = { "loop", "ram", "zram", "sr",
						"fd",	"mtd", "nbd",  "md" };

	for (size_t i = 0; i < ARRAY_SIZE(not_ours); i++) {
		size_t len = strlen(not_ours[i]);

		if (strncmp(name, not_ours[i], len) == 0 && name[len] >= '0' && name[len] <= '9')
			return false;
	}
	return strlen(name) < DISK_NAME_MAX;
}

static int list_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct list_state *s = data;
	struct disk *grown;

	(void)dirfd;
	if (!is_candidate(name) || s->n == DISKS_MAX)
		return 0;
	grown = reallocarray(s->disks, s->n + 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ENOMEM, "out of memory for the list of disks");
	s->disks = grown;
	if (disk_read(s->sys_block, s->dev, name, &s->disks[s->n], NULL) == 0 &&
	    s->disks[s->n].size > 0)
		s->n++;
	return 0;
}

/* vda, vdb, ..., vdz, vdaa: shorter names first */
static int by_name(const void *a, const void *b)
{
	const struct disk *x = a, *y = b;
	size_t lx = strlen(x->name), ly = strlen(y->name);

	return lx != ly ? (lx < ly ? -1 : 1) : strcmp(x->name, y->name);
}

int disk_list(const char *sys_block, const char *dev, struct disk **ret_disks, size_t *ret_n,
	      struct err *e)
{
	struct list_state s = { .sys_block = sys_block, .dev = dev };
	int r = dir_each(AT_FDCWD, sys_block, 4096, list_one, &s, e);

	if (r < 0) {
		free(s.disks);
		return r;
	}
	if (s.n)
		qsort(s.disks, s.n, sizeof(*s.disks), by_name);
	*ret_disks = s.disks;
	*ret_n = s.n;
	return 0;
}

static bool may_take(const struct disk *d)
{
	return d->content == DISK_BLANK && !d->has_partitions && !d->held && !d->read_only &&
	       d->size >= (uint64_t)DISK_BLANK_MIN_MIB * MIB;
}

static enum disk_verdict choose_named(const struct disk *disks, size_t n, const char *name,
				      const struct disk **ret_disk, char *note, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		const struct disk *d = &disks[i];

		if (!str_eq(d->name, name))
			continue;
		*ret_disk = d;
		if (d->content == DISK_DATA)
			return DISK_USE;
		if (may_take(d))
			return DISK_FORMAT;
		snprintf(note, size,
			 "/dev/%s holds %s%s%s%s, not a file system labelled " DISK_LABEL
			 ", and is left alone",
			 name, d->what, d->label[0] ? " labelled \"" : "", d->label,
			 d->label[0] ? "\"" : "");
		if (d->content == DISK_BLANK)
			snprintf(note, size, "/dev/%s is blank but %s, and is left alone", name,
				 d->read_only ? "read-only"
				 : d->held    ? "in use"
					      : "too small");
		return DISK_REFUSED;
	}
	snprintf(note, size, "there is no disk /dev/%s", name);
	return DISK_REFUSED;
}

/* "vda (an XFS file system), vdb (...)": the whole disks that were left alone */
static void describe_others(const struct disk *disks, size_t n, char *note, size_t size)
{
	size_t at = 0;
	int len;

	note[0] = '\0';
	for (size_t i = 0; i < n && at < size; i++) {
		const struct disk *d = &disks[i];

		if (d->partition)
			continue;
		len = snprintf(note + at, size - at, "%s/dev/%s holds %s%s%s%s", at ? ", " : "",
			       d->name, d->what, d->label[0] ? " labelled \"" : "", d->label,
			       d->label[0] ? "\"" : "");
		if (d->content == DISK_BLANK)
			len = snprintf(note + at, size - at, "%s/dev/%s is blank but %s",
				       at ? ", " : "", d->name,
				       d->read_only ? "read-only"
				       : d->held    ? "in use"
						    : "too small");
		at += len > 0 ? (size_t)len : 0;
	}
	if (note[0] && at + 24 < size)
		snprintf(note + at, size - at, "%s",
			 strchr(note, ',') ? ": they are left alone" : " and is left alone");
}

static enum disk_verdict choose_auto(const struct disk *disks, size_t n,
				     const struct disk **ret_disk, char *note, size_t size)
{
	const struct disk *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (disks[i].content != DISK_DATA || disks[i].held)
			continue;
		if (!found)
			found = &disks[i];
		else
			snprintf(note, size,
				 "/dev/%s and /dev/%s are both labelled " DISK_LABEL
				 "; the first is used (storage.data can name one)",
				 found->name, disks[i].name);
	}
	if (found) {
		*ret_disk = found;
		return DISK_USE;
	}
	for (size_t i = 0; i < n; i++) {
		if (!disks[i].partition && may_take(&disks[i])) {
			*ret_disk = &disks[i];
			return DISK_FORMAT;
		}
	}
	describe_others(disks, n, note, size);
	return DISK_NONE;
}

enum disk_verdict disk_choose(const struct disk *disks, size_t n, const char *choice,
			      const struct disk **ret_disk, char *note, size_t size)
{
	*ret_disk = NULL;
	note[0] = '\0';
	if (str_eq(choice, "none"))
		return DISK_NONE;
	if (str_starts(choice, "/dev/"))
		return choose_named(disks, n, choice + strlen("/dev/"), ret_disk, note, size);
	return choose_auto(disks, n, ret_disk, note, size);
}
