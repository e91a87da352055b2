/*
 * Project quota by quotactl_fd(2) and FS_IOC_FSSETXATTR (quota.h).
 *
 * In force means that the kernel counts and limits; one without the other is of no use. Limits do
 * not hold for who has CAP_SYS_RESOURCE, which privileged containers have and others not.
 */
#include "engine/volume/quota.h"

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init/base/util.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

enum { EXT4_MAGIC = 0xef53, QUOTA_BLOCK = 1024 /* bytes that a limit counts in */ };

static int quotactl_fd(int fd, unsigned cmd, uint32_t id, void *data)
{
	return syscall(SYS_quotactl_fd, fd, QCMD(cmd, PRJQUOTA), id, data) < 0 ? -errno : 0;
}

int quota_check(int dirfd, struct err *e)
{
	struct fs_quota_statv state = { .qs_version = FS_QSTATV_VERSION1 };
	struct statfs st;

	if (quotactl_fd(dirfd, Q_XGETQSTATV, 0, &state) == 0 &&
	    (state.qs_flags & (FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD)) ==
		    (FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD))
		return 0;
	if (fstatfs(dirfd, &st) == 0 && st.f_type == EXT4_MAGIC)
		return err_set(e, EOPNOTSUPP,
			       "invalid option: \"size\": the data disk has no project quota: it "
			       "was made by an earlier version. On another machine, `tune2fs -O "
			       "quota,project -Q prjquota` adds it to the unmounted disk");
	return err_set(e, EOPNOTSUPP,
		       "invalid option: \"size\": the volumes are in memory, and only a data disk "
		       "can limit them; a tmpfs volume can be limited (type=tmpfs, o=size=...)");
}

int quota_set(int dirfd, uint32_t project, uint64_t bytes, struct err *e)
{
	struct if_dqblk limit = { .dqb_bhardlimit = (bytes + QUOTA_BLOCK - 1) / QUOTA_BLOCK,
				  .dqb_valid = QIF_BLIMITS };
	struct fsxattr attr;
	int r;

	if (ioctl(dirfd, FS_IOC_FSGETXATTR, &attr) < 0)
		return err_errno(e, errno, "the volume's project cannot be read");
	r = quotactl_fd(dirfd, Q_SETQUOTA, project, &limit);
	if (r < 0)
		return err_errno(e, -r, "the volume's size cannot be limited");
	attr.fsx_projid = project;
	attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (ioctl(dirfd, FS_IOC_FSSETXATTR, &attr) < 0) {
		r = err_errno(e, errno, "the volume's project cannot be set");
		quota_clear(dirfd, project);
	}
	return r;
}

void quota_clear(int dirfd, uint32_t project)
{
	struct if_dqblk none = { .dqb_valid = QIF_BLIMITS };

	(void)quotactl_fd(dirfd, Q_SETQUOTA, project, &none);
}
