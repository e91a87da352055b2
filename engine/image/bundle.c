/*
 * The first pass over an image archive: see bundle.h.
 *
 * Memory: one small entry per member, bounded by the setting archive_entries. Duplicate names: the
 * first counts, as their content is checked by digest later; two documents of one name are an
 * error, because which one counts would be a matter of taste.
 */
#include "engine/image/bundle.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/image/extract.h"
#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { LINK_HOPS = 8, BUNDLE_DEPTH = 32 };

static void entry_free(struct bundle_entry *entry)
{
	if (entry)
		free(entry->link);
	free(entry);
}

void bundle_free(struct bundle *b)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&b->names, &i)))
		entry_free(m->value);
	map_free(&b->names);
}

static const char *spool_name(char buf[32], const struct bundle_entry *entry)
{
	snprintf(buf, 32, "%zu", entry->number);
	return buf;
}

static bool looks_like_json(const char *block, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (block[i] == '{' || block[i] == '[')
			return true;
		if (!strchr(" \t\r\n", block[i]) || block[i] == '\0')
			return false;
	}
	return false;
}

/* Copies the current member into the spool when it is wanted there. */
static int spool_member(struct bundle *b, struct bundle_entry *entry, struct tar_in *tar, bool all,
			struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	struct source *content = tar_content(tar);
	const void *block = NULL;
	char name[32];
	ssize_t n = content->read(content, &block, e);
	int r;

	if (n < 0)
		return (int)n;
	entry->document = entry->size <= IMAGE_DOCUMENT_MAX && looks_like_json(block, (size_t)n);
	if (entry->document && ++b->n_documents > IMAGE_DOCUMENTS_MAX)
		return err_set(e, EFBIG, "the archive has more than %d JSON documents",
			       IMAGE_DOCUMENTS_MAX);
	if (!entry->document && !all)
		return 0;
	fd = openat(b->spool, spool_name(name, entry), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return err_errno(e, errno, "cannot create a temporary file");
	for (; n > 0; n = content->read(content, &block, e)) {
		r = file_write_all(fd, block, (size_t)n, e);
		if (r < 0)
			return r;
	}
	entry->spooled = true;
	return (int)n;
}

/* Where a link leads, as a clean name: symbolic ones start at their own folder, hard ones at the
 * top. ".." cannot leave the archive, names are only looked up in the table. */
static int link_target(const struct tar_entry *entry, const char *name, char target[PATH_MAX])
{
	char joined[2 * PATH_MAX], clean[PATH_MAX];
	const char *slash = strrchr(name, '/');
	int dir = entry->type == TAR_SYMLINK && slash ? (int)(slash - name) : 0;
	int r = str_format(joined, sizeof(joined), "/%.*s/%s", dir, name, entry->target);

	if (r == 0)
		r = path_clean(clean, sizeof(clean), joined);
	return r < 0 ? r : extract_clean_path(target, clean, BUNDLE_DEPTH, NULL);
}

static int fill_entry(struct bundle *b, struct bundle_entry *entry, const struct tar_entry *member,
		      const char *name, struct tar_in *tar, bool all, struct err *e)
{
	char target[PATH_MAX];

	entry->number = map_len(&b->names);
	if (member->type == TAR_FILE) {
		entry->size = member->size;
		return spool_member(b, entry, tar, all, e);
	}
	if (link_target(member, name, target) < 0)
		return err_set(e, EINVAL, "its link target cannot be used");
	entry->link = str_dup(target);
	return entry->link ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int add_member(struct bundle *b, const struct tar_entry *member, struct tar_in *tar,
		      bool all, struct err *e)
{
	struct bundle_entry *entry;
	char name[PATH_MAX];
	int r = extract_clean_path(name, member->path, BUNDLE_DEPTH, e);

	if (r < 0)
		return r;
	if (member->type == TAR_DIR || !*name)
		return 0;
	if (member->type != TAR_FILE && !member->target)
		return err_set(e, EINVAL,
			       "an image archive holds only files, directories and links");
	entry = map_get(&b->names, name);
	if (entry)
		return entry->document ? err_set(e, EINVAL, "the archive holds it twice") : 0;
	if (map_len(&b->names) >= b->limits->archive_entries)
		return err_set(e, EFBIG, "the archive has more than %llu entries",
			       (unsigned long long)b->limits->archive_entries);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return err_set(e, ENOMEM, "out of memory");
	r = fill_entry(b, entry, member, name, tar, all, e);
	if (r == 0 && map_put(&b->names, name, entry, NULL) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		entry_free(entry);
	return r;
}

int bundle_read(struct bundle *b, struct tar_in *tar, int spool, bool all,
		const struct image_limits *limits, struct err *e)
{
	struct tar_entry member;
	uint64_t n = 0;
	int r;

	*b = (struct bundle){ .spool = spool, .limits = limits };
	while ((r = tar_next(tar, &member, e)) > 0) {
		/* directories and repeated names cost no memory, but time */
		if (++n > 4 * limits->archive_entries)
			return err_set(e, EFBIG, "the archive has more than %llu entries",
				       (unsigned long long)limits->archive_entries);
		r = add_member(b, &member, tar, all, e);
		if (r < 0)
			return err_wrap(e, "\"%.200s\"", member.path);
	}
	return r;
}

struct bundle_entry *bundle_find(const struct bundle *b, const char *name)
{
	struct bundle_entry *entry = map_get(&b->names, name);

	for (int i = 0; entry && entry->link; i++) {
		if (i == LINK_HOPS)
			return NULL;
		entry = map_get(&b->names, entry->link);
	}
	return entry;
}

int bundle_open(const struct bundle *b, const struct bundle_entry *entry, struct err *e)
{
	char name[32];
	int fd = openat(b->spool, spool_name(name, entry), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "cannot open a temporary file") : fd;
}

int bundle_document(const struct bundle *b, const char *name, char **ret_text, size_t *ret_len,
		    struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	struct bundle_entry *entry = bundle_find(b, name);
	int r;

	if (!entry)
		return err_set(e, ENOENT, "the archive has no \"%.200s\"", name);
	if (!entry->document)
		return entry->size > IMAGE_DOCUMENT_MAX
			       ? err_set(e, EFBIG,
					 "\"%.200s\" is longer than the %d bytes allowed for a "
					 "document",
					 name, IMAGE_DOCUMENT_MAX)
			       : err_set(e, EINVAL, "\"%.200s\" is not a JSON document", name);
	fd = bundle_open(b, entry, e);
	if (fd < 0)
		return fd;
	r = file_read_fd(fd, IMAGE_DOCUMENT_MAX, ret_text, ret_len, e);
	return r < 0 ? err_wrap(e, "\"%.200s\"", name) : 0;
}

void bundle_drop(const struct bundle *b, struct bundle_entry *entry)
{
	char name[32];

	if (entry->spooled)
		unlinkat(b->spool, spool_name(name, entry), 0);
	entry->spooled = false;
}

int bundle_give(const struct bundle *b, struct bundle_entry *entry, const char *name, struct err *e)
{
	char copy[32];

	if (renameat(b->spool, spool_name(copy, entry), b->spool, name) < 0)
		return err_errno(e, errno, "cannot rename a temporary file");
	entry->spooled = false;
	return 0;
}
