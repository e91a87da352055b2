/*
 * Storage: wait for disks, choose, check, make, mount, grow; then the folders of /var and /etc.
 *
 * The programs of e2fsprogs run here in the foreground: nothing else can start without /var, and
 * how long a check takes is up to the disk. Their output goes to the log line by line.
 */
#include "init/boot/storage.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

#define RESIZE_FS \
	_IOW('f', 16, uint64_t) /* ext4's, Documentation/filesystems/ext4: EXT4_IOC_RESIZE_FS */
#define SYS_BLOCK "/sys/class/block"
#define ETC_STATE "/var/lib/skerry/etc"
#define FSCK_LOG "/var/log/skerry/e2fsck.log"
#define ETC_MEMORY "/run/skerry/etc"
/* layers lie here, set-user-id programs and all: they work in a container's own mount, not on
 * the host */
#define VAR_ATTRS (MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID)

enum {
	POLL_MS = 50,
	OUTPUT_MAX = 16 << 10,
	OUTPUT_LINES_MAX = 20,
	MAKE_MS = 600000,
	GROW_MIN = 16 << 20,
	LOW_SPACE = 4 << 20,
	NOTE_MAX = 300,
};

/* --- finding --- */

static int count_entry(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)name;
	(void)e;
	(*(int *)data)++;
	return 0;
}

/* controllers that look for their disks in the background; virtio has its disks at once */
static bool has_slow_controller(void)
{
	int n = 0;

	(void)dir_each(AT_FDCWD, "/sys/class/scsi_host", 1024, count_entry, &n, NULL);
	(void)dir_each(AT_FDCWD, "/sys/class/nvme", 1024, count_entry, &n, NULL);
	return n > 0;
}

/* how long it makes sense to look again, ms since the kernel's start */
static int64_t patience(const char *choice, enum disk_verdict verdict, const struct disk *d)
{
	if (str_starts(choice, "/dev/"))
		return verdict == DISK_REFUSED && !d ? STORAGE_WAIT_NAMED_MS : 0;
	if (!str_eq(choice, "auto") || verdict == DISK_USE)
		return 0;
	if (verdict == DISK_FORMAT && str_starts(d->name, "vd"))
		return 0;
	return has_slow_controller() ? STORAGE_WAIT_AUTO_MS : 0;
}

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static enum disk_verdict find_disk(const char *choice, struct disk *ret_disk, char *note,
				   size_t size)
{
	for (;;) {
		_cleanup_(mem_free) struct disk *disks = NULL;
		const struct disk *d = NULL;
		enum disk_verdict verdict;
		struct err e = { 0 };
		size_t n = 0;

		if (!str_eq(choice, "none") && disk_list(SYS_BLOCK, "/dev", &disks, &n, &e) < 0)
			log_warn("cannot list disks: %s", err_text(&e));
		verdict = disk_choose(disks, n, choice, &d, note, size);
		if (clock_mono_ms() >= patience(choice, verdict, d)) {
			if (d)
				*ret_disk = *d;
			return verdict;
		}
		pause_ms(POLL_MS);
	}
}

/* --- programs --- */

static void log_output(const char *program, char *output)
{
	char *at = output, *line;

	for (int i = 0; i < OUTPUT_LINES_MAX && (line = strsep(&at, "\n"));) {
		line = str_trim(line);
		if (!*line)
			continue;
		log_notice("%s: %s", program, line);
		i++;
	}
}

/* Runs it and returns its wait status, -1 when it could not run. Its output goes to the log, or
 * to *ret_output when that is not NULL. */
static int run(const char *const *argv, int timeout_ms, char **ret_output)
{
	const struct spawn s = { .path = argv[0], .argv = argv };
	_cleanup_(mem_free) char *output = NULL;
	struct err e = { 0 };
	int status;

	if (spawn_run(&s, timeout_ms, OUTPUT_MAX, &output, &status, &e) < 0) {
		log_warn("%s", err_text(&e));
		return -1;
	}
	if (ret_output)
		*ret_output = take_ptr(output);
	else if (output)
		log_output(strrchr(argv[0], '/') + 1, output);
	return status;
}

static int make_file_system(const char *device)
{
	const char *argv[] = {
		"/sbin/mke2fs",
		"-q",
		"-F",
		"-t",
		"ext4",
		"-b",
		"4096",
		"-m",
		"1",
		"-L",
		DISK_LABEL,
		"-O", /* project quota: volumes with a size */
		"quota,project",
		"-E",
		"lazy_itable_init=1,lazy_journal_init=1,nodiscard,quotatype=prjquota",
		device,
		NULL
	};
	int status;

	log_notice("making a file system on the blank disk %s", device);
	status = run(argv, MAKE_MS, NULL);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

enum fsck_result fsck_result(int status, bool second)
{
	int code;

	if (status == -1 || !WIFEXITED(status))
		return second ? FSCK_FAILED : FSCK_AGAIN;
	code = WEXITSTATUS(status);
	if (code == 0)
		return FSCK_OK;
	if ((code & ~3) == 0) /* repaired; 2 asks for a restart, which only mounted ones need */
		return FSCK_REPAIRED;
	return second ? FSCK_FAILED : FSCK_AGAIN;
}

/* Gives what a forced repair said in *ret_report (NULL when there was none): it is long, and
 * kept beside the log. */
static enum fsck_result check_file_system(const char *device, char **ret_report)
{
	const char *preen[] = { "/sbin/e2fsck", "-p", device, NULL };
	const char *force[] = { "/sbin/e2fsck", "-y", "-f", device, NULL };
	enum fsck_result r = fsck_result(run(preen, 0, NULL), false);

	if (r != FSCK_AGAIN)
		return r;
	log_warn("%s is damaged; repairing it", device);
	free(*ret_report);
	*ret_report = NULL;
	return fsck_result(run(force, 0, ret_report), true);
}

/* Says that and how a damaged disk was repaired. */
static void tell_repair(const char *device, const char *text, struct report *report)
{
	struct err e = { 0 };

	report_warn(report, "disk-repair",
		    "the data disk %s was damaged and has been repaired; what was lost may be in "
		    "/var/lost+found, "
		    "and " FSCK_LOG " tells what was done",
		    device);
	if (dir_make(AT_FDCWD, "/var/log/skerry", 0700, &e) < 0 ||
	    file_replace(AT_FDCWD, FSCK_LOG, text, strlen(text), 0600, false, &e) < 0)
		log_warn("%s", err_text(&e));
}

/* --- mounting --- */

/* What has quota by project gets its limits in force by the option alone; what has none is refused
 * with it. */
static int mount_ext4(const char *device, bool read_only, bool replay, bool quota, struct err *e)
{
	const char *options[] = { "errors=remount-ro", quota ? "prjquota" : NULL, NULL };
	uint64_t attrs = VAR_ATTRS | (read_only ? MOUNT_ATTR_RDONLY : 0);
	const char *ro[] = { "ro", replay ? NULL : "norecovery", NULL };

	return mount_at("ext4", device, STORAGE_VAR, read_only ? ro : options, attrs, e);
}

static int mount_memory(struct err *e)
{
	const char *options[] = { "mode=0755", "size=50%", "nr_inodes=200k", NULL };

	return mount_at("tmpfs", "var", STORAGE_VAR, options, VAR_ATTRS, e);
}

/* The last resort before memory: read what can be read. */
static int mount_damaged(const char *device, struct report *report, struct storage *s)
{
	struct err e = { 0 };

	if (mount_ext4(device, true, true, false, NULL) < 0 &&
	    mount_ext4(device, true, false, false, &e) < 0) {
		report_warn(report, "data",
			    "the data disk %s cannot be mounted (%s); it is left as it is, /var is "
			    "in memory",
			    device, err_text(&e));
		return -EIO;
	}
	s->read_only = true;
	report_warn(report, "data",
		    "the data disk %s is damaged beyond repair; /var is read-only. Save what you "
		    "need and replace it",
		    device);
	return 0;
}

/* The mounted file system grows by the kernel's own call: a mounted device cannot be opened for
 * writing, which is what resize2fs would do. */
static void grow(const struct disk *d, const char *device)
{
	_cleanup_(fd_close) int fd = -1;
	struct statvfs st;
	uint64_t blocks;

	if (d->size < d->fs_size + GROW_MIN)
		return;
	fd = open(STORAGE_VAR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstatvfs(fd, &st) < 0 || st.f_bsize == 0) {
		log_warn("the file system on %s could not grow: %s", device, strerror(errno));
		return;
	}
	blocks = d->size / st.f_bsize;
	if (ioctl(fd, RESIZE_FS, &blocks) < 0)
		log_warn("the file system on %s could not grow: %s", device, strerror(errno));
	else
		log_notice("%s has grown from %llu to %llu MiB, and its file system with it",
			   device, (unsigned long long)(d->fs_size >> 20),
			   (unsigned long long)(d->size >> 20));
}

/* Checks if need be, and mounts for writing. */
static enum fsck_result check_and_mount(const struct disk *d, struct storage *s, char **ret_report)
{
	enum fsck_result check = FSCK_OK;
	bool quota = s->fresh || d->fs_quota;
	struct err e = { 0 };

	if (!s->fresh && !d->fs_clean)
		check = check_file_system(s->device, ret_report);
	if (check == FSCK_FAILED || mount_ext4(s->device, false, true, quota, &e) == 0)
		return check;
	log_warn("%s", err_text(&e));
	check = check_file_system(s->device, ret_report);
	if (check == FSCK_FAILED || mount_ext4(s->device, false, true, quota, NULL) == 0)
		return check;
	return FSCK_FAILED;
}

static int mount_disk(const struct disk *d, bool make, struct report *report, struct storage *s)
{
	_cleanup_(mem_free) char *repair = NULL;
	enum fsck_result check;

	(void)str_format(s->device, sizeof(s->device), "/dev/%s", d->name);
	if (make && make_file_system(s->device) < 0) {
		report_warn(report, "data", "no file system could be made on %s; /var is in memory",
			    s->device);
		return -EIO;
	}
	s->fresh = make;
	if (d->read_only)
		return mount_damaged(s->device, report, s);
	check = check_and_mount(d, s, &repair);
	if (check == FSCK_FAILED)
		return mount_damaged(s->device, report, s);
	if (repair)
		tell_repair(s->device, repair, report);
	else if (check == FSCK_REPAIRED)
		log_notice("%s was not left in order and has been repaired", s->device);
	s->persistent = true;
	if (!make)
		grow(d, s->device);
	return 0;
}

static void warn_low_space(struct report *report)
{
	struct statvfs st;

	if (statvfs(STORAGE_VAR, &st) == 0 && st.f_bavail * st.f_frsize < LOW_SPACE)
		report_warn(report, "space", "the data disk is full: %llu KiB are free",
			    (unsigned long long)(st.f_bavail * st.f_frsize >> 10));
}

int storage_mount(const char *choice, struct report *report, struct storage *ret, struct err *e)
{
	char note[NOTE_MAX];
	struct disk d = { 0 };
	enum disk_verdict verdict = find_disk(choice, &d, note, sizeof(note));

	*ret = (struct storage){ 0 };
	if (verdict == DISK_USE || verdict == DISK_FORMAT) {
		if (note[0])
			report_warn(report, "disks", "%s", note);
		if (mount_disk(&d, verdict == DISK_FORMAT, report, ret) == 0) {
			warn_low_space(report);
			return str_set(&report->data, ret->device);
		}
	} else if (str_eq(choice, "none")) {
		log_notice("/var is in memory, as asked");
	} else {
		report_warn(report, "data", "no data disk: /var is in memory%s%s",
			    note[0] ? "; " : "", note);
	}
	*ret = (struct storage){ 0 };
	(void)str_set(&report->data, "memory");
	return mount_memory(e);
}

int storage_layout(const struct storage *s, struct err *e)
{
	static const struct {
		const char *path;
		mode_t mode;
	} folders[] = {
		{ "/var/lib", 0755 },
		/* containers with mapped users pass through, nobody else looks */
		{ "/var/lib/skerry", 0711 },
		{ STORAGE_MACHINE, 0700 },
		{ ETC_STATE, 0700 },
		{ ETC_STATE "/upper", 0755 },
		{ ETC_STATE "/work", 0700 },
		{ "/var/lib/skerry/preload", 0700 },
		{ "/var/log", 0755 },
		{ "/var/log/skerry", 0700 },
		{ "/var/tmp", 01777 },
	};
	int r = 0;

	if (s->read_only)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (mkdir(folders[i].path, folders[i].mode) == 0)
			(void)chmod(folders[i].path, folders[i].mode);
		else if (errno != EEXIST)
			r = err_errno(e, errno, "cannot make %s", folders[i].path);
	}
	if (symlink("/run", "/var/run") < 0 && errno != EEXIST)
		r = err_errno(e, errno, "cannot make /var/run");
	return r;
}

static int overlay_etc(const char *lower, const char *upper, const char *work, struct err *e)
{
	char lower_option[128], upper_option[128], work_option[128];
	const char *options[] = { lower_option, upper_option, work_option, NULL };

	if (str_format(lower_option, sizeof(lower_option), "lowerdir=%s", lower) < 0 ||
	    str_format(upper_option, sizeof(upper_option), "upperdir=%s", upper) < 0 ||
	    str_format(work_option, sizeof(work_option), "workdir=%s", work) < 0)
		return err_set(e, ENAMETOOLONG, "the folders of /etc have too long names");
	return mount_at("overlay", "etc", "/etc", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, e);
}

int storage_etc(const struct storage *s, struct report *report, struct err *e)
{
	bool kept = access(ETC_STATE "/upper", F_OK) == 0;

	if (s->persistent) {
		if (overlay_etc("/etc", ETC_STATE "/upper", ETC_STATE "/work", e) == 0)
			return 0;
		report_warn(report, "etc", "changes of /etc will not be kept: %s", err_text(e));
	}
	if (dir_make(AT_FDCWD, ETC_MEMORY "/upper", 0755, e) < 0 ||
	    dir_make(AT_FDCWD, ETC_MEMORY "/work", 0700, e) < 0)
		return -e->code;
	/* what a damaged disk keeps is still read */
	return overlay_etc(kept && s->read_only ? ETC_STATE "/upper:/etc" : "/etc",
			   ETC_MEMORY "/upper", ETC_MEMORY "/work", e);
}
