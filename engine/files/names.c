/*
 * Names and modes by Go's rules (names.h). No file is touched here: what a path leads to is found
 * out by the kernel, below the container's root.
 *
 * Callers: the worker's operations, unit tests.
 */
#include "engine/files/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "init/base/path.h"
#include "init/base/str.h"

/* The last element is ".". */
static bool ends_in_dot(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '.' && (len == 1 || path[len - 2] == '/');
}

int files_path(char dst[PATH_MAX], const char *asked)
{
	char rooted[PATH_MAX];
	int r = str_format(rooted, sizeof(rooted), "/%s", asked);
	size_t len;

	if (r == 0)
		r = path_clean(dst, PATH_MAX, rooted);
	if (r < 0)
		return r;
	len = strlen(dst);
	if (len + 3 > PATH_MAX)
		return -ENAMETOOLONG;
	if (ends_in_dot(asked))
		return str_copy(dst + len, PATH_MAX - len, len == 1 ? "." : "/.");
	if (str_ends(asked, "/") && len > 1)
		return str_copy(dst + len, PATH_MAX - len, "/");
	return 0;
}

void files_base(char dst[NAME_MAX + 1], const char *path)
{
	size_t len = strlen(path), start;

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/';)
		start--;
	if (len == 0)
		(void)str_copy(dst, NAME_MAX + 1, ".");
	else if (start == len) /* nothing but slashes */
		(void)str_copy(dst, NAME_MAX + 1, "/");
	else
		(void)str_format(dst, NAME_MAX + 1, "%.*s", (int)MIN(len - start, (size_t)NAME_MAX),
				 path + start);
}

int files_member(char dst[PATH_MAX], const char *name)
{
	bool rooted = name[0] == '/';
	size_t at = 0, len;

	for (; *name; name += len) {
		name += strspn(name, "/");
		len = strcspn(name, "/");
		if (len == 0 || (len == 1 && name[0] == '.'))
			continue;
		if (len == 2 && name[0] == '.' && name[1] == '.') {
			if (at == 0 && !rooted)
				return -EINVAL;
			while (at > 0 && dst[--at] != '/')
				;
			continue;
		}
		if (len > NAME_MAX || at + 1 + len >= PATH_MAX)
			return -ENAMETOOLONG;
		if (at > 0)
			dst[at++] = '/';
		memcpy(dst + at, name, len);
		at += len;
	}
	dst[at] = '\0';
	return 0;
}

uint32_t files_go_mode(mode_t mode)
{
	/* os.FileMode of Go's standard library */
	static const struct {
		mode_t type;
		uint32_t go;
	} types[] = {
		{ S_IFDIR, UINT32_C(1) << 31 }, { S_IFLNK, UINT32_C(1) << 27 },
		{ S_IFBLK, UINT32_C(1) << 26 }, { S_IFCHR, UINT32_C(1) << 26 | UINT32_C(1) << 21 },
		{ S_IFIFO, UINT32_C(1) << 25 }, { S_IFSOCK, UINT32_C(1) << 24 },
	};
	uint32_t go = mode & 0777;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].type)
			go |= types[i].go;
	if (mode & S_ISUID)
		go |= UINT32_C(1) << 23;
	if (mode & S_ISGID)
		go |= UINT32_C(1) << 22;
	if (mode & S_ISVTX)
		go |= UINT32_C(1) << 20;
	return go;
}
