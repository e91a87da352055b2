/*
 * Tar members: libarchive parses, this file decides what of it counts.
 *
 * The locale stays "C": libarchive then fails to convert names that are not ASCII, says so by a
 * warning and hands out the bytes as they are, which is what we want. Every other warning
 * (malformed pax records, odd sparse maps) ends the archive, because two readers would understand
 * it in two ways. Callers: see archive.h.
 */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/data/archive.h"
#include "engine/data/archive_priv.h"
#include "init/base/str.h"

struct tar_in {
	struct bridge bridge;
	struct archive *archive;
	struct archive_entry *entry; /* the current one */
	struct source content;
	int64_t content_at; /* offset of the next byte of content */
	bool data_ended;
};

int tar_open(struct source *from, struct tar_in **ret, struct err *e)
{
	_cleanup_(tar_close) struct tar_in *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	t->bridge.from = from;
	t->archive = archive_read_new();
	t->entry = archive_entry_new();
	if (!t->archive || !t->entry)
		return err_set(e, ENOMEM, "out of memory");
	if (archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
	    archive_read_support_format_empty(t->archive) != ARCHIVE_OK ||
	    archive_read_open2(t->archive, &t->bridge, NULL, bridge_read, bridge_skip, NULL) !=
		    ARCHIVE_OK)
		return bridge_error(&t->bridge, t->archive, "tar", e);
	*ret = take_ptr(t);
	return 0;
}

void tar_close(struct tar_in *t)
{
	if (!t)
		return;
	archive_entry_free(t->entry);
	archive_read_free(t->archive);
	bridge_free(&t->bridge);
	free(t);
}

static int type_of(struct archive_entry *entry, enum tar_type *ret)
{
	if (archive_entry_hardlink(entry)) {
		*ret = TAR_HARDLINK;
		return 0;
	}
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		*ret = TAR_FILE;
		return 0;
	case AE_IFDIR:
		*ret = TAR_DIR;
		return 0;
	case AE_IFLNK:
		*ret = TAR_SYMLINK;
		return 0;
	case AE_IFCHR:
		*ret = TAR_CHAR;
		return 0;
	case AE_IFBLK:
		*ret = TAR_BLOCK;
		return 0;
	case AE_IFIFO:
		*ret = TAR_FIFO;
		return 0;
	default:
		return -EINVAL;
	}
}

/* A name that libarchive could not turn into the "C" locale is no error: it kept the bytes. */
static bool only_charset(struct archive *a)
{
	const char *text = archive_error_string(a);

	return text && strstr(text, "can't be converted");
}

static int read_header(struct tar_in *t, struct err *e)
{
	int r = archive_read_next_header2(t->archive, t->entry);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r == ARCHIVE_OK || (r == ARCHIVE_WARN && only_charset(t->archive)))
		return 1;
	return bridge_error(&t->bridge, t->archive, "tar", e);
}

int tar_next(struct tar_in *t, struct tar_entry *ret, struct err *e)
{
	struct tar_entry entry = { 0 };
	int r = read_header(t, e);

	if (r <= 0)
		return r;
	entry.path = archive_entry_pathname(t->entry);
	if (str_empty(entry.path))
		return err_set(e, EINVAL, "bad tar data: an entry has no name");
	if (type_of(t->entry, &entry.type) < 0)
		return err_set(e, EINVAL, "bad tar data: %.128s has an unknown type", entry.path);
	if (entry.type == TAR_HARDLINK)
		entry.target = archive_entry_hardlink(t->entry);
	else if (entry.type == TAR_SYMLINK)
		entry.target = archive_entry_symlink(t->entry);
	if ((entry.type == TAR_HARDLINK || entry.type == TAR_SYMLINK) && str_empty(entry.target))
		return err_set(e, EINVAL, "bad tar data: %.128s is a link without a target",
			       entry.path);
	entry.size = entry.type == TAR_FILE ? archive_entry_size(t->entry) : 0;
	if (entry.size < 0)
		return err_set(e, EINVAL, "bad tar data: %.128s has a negative size", entry.path);
	entry.uid = archive_entry_uid(t->entry);
	entry.gid = archive_entry_gid(t->entry);
	entry.mode = archive_entry_perm(t->entry) & 07777;
	entry.major = (int64_t)archive_entry_rdevmajor(t->entry);
	entry.minor = (int64_t)archive_entry_rdevminor(t->entry);
	entry.has_mtime = archive_entry_mtime_is_set(t->entry);
	entry.mtime.sec = archive_entry_mtime(t->entry);
	entry.mtime.nsec = (uint32_t)archive_entry_mtime_nsec(t->entry);
	entry.n_xattrs = (size_t)archive_entry_xattr_reset(t->entry);
	t->content_at = 0;
	t->data_ended = false;
	*ret = entry;
	return 1;
}

ssize_t tar_data(struct tar_in *t, const void **ret_block, int64_t *ret_offset, struct err *e)
{
	la_int64_t offset = 0;
	size_t len = 0;
	int r;

	if (t->data_ended)
		return 0;
	do {
		r = archive_read_data_block(t->archive, ret_block, &len, &offset);
	} while (r == ARCHIVE_OK && len == 0);
	if (r == ARCHIVE_EOF) {
		t->data_ended = true;
		return 0;
	}
	if (r != ARCHIVE_OK)
		return bridge_error(&t->bridge, t->archive, "tar", e);
	*ret_offset = offset;
	return (ssize_t)len;
}

bool tar_xattr_next(struct tar_in *t, struct tar_xattr *ret)
{
	return archive_entry_xattr_next(t->entry, &ret->name, &ret->value, &ret->size) ==
	       ARCHIVE_OK;
}

static ssize_t content_read(struct source *source, const void **ret_block, struct err *e)
{
	struct tar_in *t = container_of(source, struct tar_in, content);
	int64_t offset;
	ssize_t n = tar_data(t, ret_block, &offset, e);

	if (n <= 0)
		return n;
	if (offset != t->content_at)
		return err_set(e, EINVAL, "%.128s has holes, which is not possible here",
			       archive_entry_pathname(t->entry));
	t->content_at += n;
	return n;
}

struct source *tar_content(struct tar_in *t)
{
	t->content = (struct source){ .read = content_read };
	return &t->content;
}
