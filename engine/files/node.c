/*
 * Making files, directories, links and devices, and giving them what the member says.
 *
 * The order matters: owner first (it clears set-id bits and capabilities), then mode, then extended
 * attributes, then time. Called by extract.c of image/ and by untar.c.
 */
#include "engine/files/node.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "init/base/file.h"
#include "init/base/str.h"

/* uid_t and gid_t are 32 bits wide and the last value means "leave it" (chown(2)) */
#define OWNER_MAX INT64_C(4294967294)
/* dev_t as the kernel packs it: 12 and 20 bits (include/linux/kdev_t.h) */
enum { MAJOR_MAX = (1 << 12) - 1, MINOR_MAX = (1 << 20) - 1 };

int node_check(const struct tar_entry *entry, struct err *e)
{
	if (entry->uid < 0 || entry->uid > OWNER_MAX || entry->gid < 0 || entry->gid > OWNER_MAX)
		return err_set(e, EINVAL, "owner %lld:%lld is out of range, 0 to %lld is possible",
			       (long long)entry->uid, (long long)entry->gid, (long long)OWNER_MAX);
	if (entry->type == TAR_CHAR || entry->type == TAR_BLOCK)
		if (entry->major < 0 || entry->major > MAJOR_MAX || entry->minor < 0 ||
		    entry->minor > MINOR_MAX)
			return err_set(e, EINVAL, "device number %lld:%lld is out of range",
				       (long long)entry->major, (long long)entry->minor);
	if (entry->type == TAR_SYMLINK && strlen(entry->target) >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "the link's target is too long");
	if (entry->mtime.nsec >= 1000000000)
		return err_set(e, EINVAL, "its time has %u nanoseconds", entry->mtime.nsec);
	return 0;
}

struct timespec node_mtime(const struct tar_entry *entry)
{
	if (!entry->has_mtime)
		return (struct timespec){ 0 };
	return (struct timespec){ .tv_sec = entry->mtime.sec, .tv_nsec = entry->mtime.nsec };
}

int node_remove(int dir, const char *name, struct err *e)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(e, errno, "cannot replace it");
	return tree_remove(dir, name, e);
}

/* ---- metadata ---- */

bool node_keeps_xattr(const char *name)
{
	static const char *const kept[] = {
		"security.capability",
		"system.posix_acl_access",
		"system.posix_acl_default",
	};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (str_eq(name, kept[i]))
			return true;
	return str_starts(name, "user.") && !str_starts(name, "user.overlay.") && name[5] != '\0';
}

static int set_xattrs(struct tar_in *tar, const struct tar_entry *entry, int fd, uint64_t xattr_max,
		      struct err *e)
{
	struct tar_xattr x;
	uint64_t total = 0;

	if (entry->n_xattrs == 0)
		return 0;
	while (tar_xattr_next(tar, &x)) {
		total += strlen(x.name) + x.size;
		if (total > xattr_max)
			return err_set(e, EFBIG, "more than %llu bytes of extended attributes",
				       (unsigned long long)xattr_max);
		if (!node_keeps_xattr(x.name))
			continue;
		/* a file system without them (ENOTSUP) loses them, as with tar itself */
		if (fsetxattr(fd, x.name, x.value, x.size, 0) < 0 && errno != ENOTSUP)
			return err_errno(e, errno, "cannot set the extended attribute %.128s",
					 x.name);
	}
	return 0;
}

int node_dir_meta(struct tar_in *tar, const struct tar_entry *entry, int fd, uint64_t xattr_max,
		  struct err *e)
{
	struct timespec times[2] = { node_mtime(entry), node_mtime(entry) };
	int r;

	if (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0)
		return err_errno(e, errno, "cannot set its owner");
	if (fchmod(fd, entry->mode) < 0)
		return err_errno(e, errno, "cannot set its mode");
	r = set_xattrs(tar, entry, fd, xattr_max, e);
	if (r < 0)
		return r;
	if (futimens(fd, times) < 0)
		return err_errno(e, errno, "cannot set its time");
	return 0;
}

/* The same for what cannot be opened: links, devices, fifos. Their mode was given when they were
 * made. */
static int set_meta_at(const struct tar_entry *entry, int dir, const char *name, struct err *e)
{
	struct timespec times[2] = { node_mtime(entry), node_mtime(entry) };

	if (fchownat(dir, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "cannot set its owner");
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "cannot set its time");
	return 0;
}

/* ---- nodes ---- */

static int write_at(int fd, const char *data, size_t len, int64_t offset, struct err *e)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot write");
		data += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_content(struct tar_in *tar, const struct tar_entry *entry, int fd, struct err *e)
{
	const void *block;
	int64_t offset, end = 0;
	ssize_t n;
	int r;

	while ((n = tar_data(tar, &block, &offset, e)) > 0) {
		if (offset < end || offset > entry->size || n > entry->size - offset)
			return err_set(e, EINVAL, "its content does not fit its size of %lld bytes",
				       (long long)entry->size);
		r = write_at(fd, block, (size_t)n, offset, e);
		if (r < 0)
			return r;
		end = offset + n;
	}
	if (n < 0)
		return (int)n;
	if (end < entry->size && ftruncate(fd, entry->size) < 0)
		return err_errno(e, errno, "cannot set its size");
	return 0;
}

int node_fill(struct tar_in *tar, const struct tar_entry *entry, int fd, uint64_t xattr_max,
	      struct err *e)
{
	int r = write_content(tar, entry, fd, e);

	return r < 0 ? r : node_dir_meta(tar, entry, fd, xattr_max, e);
}

int node_file(struct tar_in *tar, const struct tar_entry *entry, int dir, const char *name,
	      uint64_t xattr_max, struct err *e)
{
	_cleanup_(fd_close) int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, errno, "cannot create the file");
	return node_fill(tar, entry, fd, xattr_max, e);
}

int node_dir(struct tar_in *tar, const struct tar_entry *entry, int dir, const char *name,
	     bool exists, uint64_t xattr_max, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;

	if (!exists && mkdirat(dir, name, 0700) < 0)
		return err_errno(e, errno, "cannot make the directory");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open the directory");
	return node_dir_meta(tar, entry, fd, xattr_max, e);
}

int node_symlink(const struct tar_entry *entry, int dir, const char *name, struct err *e)
{
	if (symlinkat(entry->target, dir, name) < 0)
		return err_errno(e, errno, "cannot make the symbolic link");
	return set_meta_at(entry, dir, name, e);
}

int node_special(const struct tar_entry *entry, int dir, const char *name, struct err *e)
{
	mode_t type = entry->type == TAR_FIFO	? S_IFIFO
		      : entry->type == TAR_CHAR ? S_IFCHR
						: S_IFBLK;
	dev_t device = entry->type == TAR_FIFO
			       ? 0
			       : makedev((unsigned)entry->major, (unsigned)entry->minor);

	if (mknodat(dir, name, type | entry->mode, device) < 0)
		return err_errno(e, errno, "cannot make the device or fifo");
	return set_meta_at(entry, dir, name, e);
}
