/*
 * User lookup in a container's /etc/passwd and /etc/group (user.h says what is trusted).
 *
 * Both files are read whole (bounded) and walked line by line in place; a line is split at ':' into
 * at most eight fields. Called by init.c and enter.c in the process that is about to become the
 * container's.
 */
#include "engine/runtime/user.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { FIELDS_MAX = 8 };

struct reader {
	const char *path;
	char *text; /* owned, NULL when the file is absent */
	char *next;
	unsigned int line;
};

static void reader_clear(struct reader *r)
{
	free(r->text);
}
DEFINE_CLEANUP_VALUE(struct reader, reader_clear)

/* Files of procfs and sysfs say that they are regular; /proc/kmsg is one, and this process may
 * still read it. */
static int check_regular(int fd, const char *path, struct err *e)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return err_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
		return err_set(e, EINVAL, "%s in the container is not a regular file", path);
	if (st.st_size > USER_FILE_MAX)
		return err_set(e, EFBIG, "%s in the container is larger than %d bytes", path,
			       USER_FILE_MAX);
	return 0;
}

/* An absent file is an empty one. It is looked at before it is opened, since opening a device may
 * do something, and after that, since it may have been exchanged. */
static int reader_open(int root, const char *path, struct reader *ret, struct err *e)
{
	_cleanup_(fd_close) int seen = path_open(root, path, O_PATH, 0, e), fd = -1;
	size_t len;
	int r;

	*ret = (struct reader){ .path = path };
	if (seen == -ENOENT || seen == -ENOTDIR)
		return 0;
	r = seen < 0 ? seen : check_regular(seen, path, e);
	if (r < 0)
		return r;
	fd = path_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);
	r = fd < 0 ? fd : check_regular(fd, path, e);
	if (r == 0)
		r = file_read_fd(fd, USER_FILE_MAX, &ret->text, &len, e);
	if (r < 0)
		return r;
	ret->next = ret->text;
	return 0;
}

/* Splits the next line in place. 1 with n fields, 0 at the end, -EFBIG. Blank and comment lines
 * are passed over. */
static int reader_next(struct reader *r, char *fields[FIELDS_MAX], size_t *ret_n, struct err *e)
{
	while (r->next && *r->next) {
		char *line = r->next, *end = strchr(line, '\n');
		size_t n = 0;

		r->line++;
		r->next = end ? end + 1 : NULL;
		if (end)
			*end = '\0';
		if (strlen(line) > USER_LINE_MAX)
			return err_set(e, EFBIG,
				       "%s in the container: line %u is longer than %d bytes",
				       r->path, r->line, USER_LINE_MAX);
		line = str_trim(line);
		if (!*line || *line == '#')
			continue;
		for (char *p = line; p && n < FIELDS_MAX; n++) {
			fields[n] = p;
			p = strchr(p, ':');
			if (p)
				*p++ = '\0';
		}
		*ret_n = n;
		return 1;
	}
	return 0;
}

static bool all_digits(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isdigit((unsigned char)*s))
			return false;
	return true;
}

/* A canonical number in range: no sign, no leading zero. */
static int parse_id(const char *s, uint32_t *ret_id)
{
	uint64_t v;

	if (!all_digits(s) || (s[0] == '0' && s[1]))
		return -EINVAL;
	if (str_to_u64(s, &v) < 0 || v > USER_ID_MAX)
		return -ERANGE;
	*ret_id = (uint32_t)v;
	return 0;
}

/* Names as they may stand in the files; the point is to keep blanks, colons and control
 * characters out. */
static bool valid_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > 256)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == ':' || *s == ',' || *s == 0x7f)
			return false;
	return true;
}

/* One side of a spec: a number, or a name that is to be looked up (*ret_name). */
static int parse_side(const char *what, const char *s, uint32_t *ret_id, const char **ret_name,
		      struct err *e)
{
	*ret_name = NULL;
	if (all_digits(s)) {
		int r = parse_id(s, ret_id);

		if (r == -ERANGE)
			return err_set(e, EINVAL, "%s %s: uids and gids must be in range 0-%d",
				       what, s, USER_ID_MAX);
		if (r < 0)
			return err_set(e, EINVAL, "%s %s: a number must not begin with 0", what, s);
		return 0;
	}
	if (!valid_name(s))
		return err_set(e, EINVAL, "invalid %s \"%s\": a name or a number from 0 to %d",
			       what, s, USER_ID_MAX);
	*ret_name = s;
	return 0;
}

static int add_group(struct user *u, gid_t gid, struct err *e)
{
	gid_t *bigger;

	for (size_t i = 0; i < u->n_groups; i++)
		if (u->groups[i] == gid)
			return 0;
	if (u->n_groups >= USER_GROUPS_MAX)
		return err_set(e, E2BIG, "more than %d supplementary groups", USER_GROUPS_MAX);
	bigger = realloc(u->groups, (u->n_groups + 1) * sizeof(*bigger));
	if (!bigger)
		return err_errno(e, ENOMEM, "groups");
	u->groups = bigger;
	u->groups[u->n_groups++] = gid;
	return 0;
}

/*
 * Finds the passwd entry of a name, or of uid when name is NULL. 1 found (ids, home and name
 * filled; *ret_name is new memory), 0 not, or an error.
 */
static int find_user(int root, const char *name, uid_t uid, struct user *u, char **ret_name,
		     struct err *e)
{
	_cleanup_(reader_clear) struct reader rd = { 0 };
	char *f[FIELDS_MAX];
	size_t n;
	int r = reader_open(root, "/etc/passwd", &rd, e);

	while (r == 0 && (r = reader_next(&rd, f, &n, e)) == 1) {
		uint32_t id, gid;
		char *home, *copy;

		r = 0;
		if (n < 4 || parse_id(f[2], &id) < 0 || parse_id(f[3], &gid) < 0)
			continue;
		if (name ? !str_eq(f[0], name) : id != uid)
			continue;
		home = str_dup(n > 5 && f[5][0] == '/' ? f[5] : "/");
		copy = str_dup(f[0]);
		if (!home || !copy) {
			free(home);
			free(copy);
			return err_errno(e, ENOMEM, "user");
		}
		free(u->home);
		u->home = home;
		u->uid = id;
		u->gid = gid;
		*ret_name = copy;
		return 1;
	}
	return r;
}

static bool has_member(char *members, const char *name)
{
	char *save = NULL;

	for (char *m = strtok_r(members, ",", &save); m; m = strtok_r(NULL, ",", &save))
		if (str_eq(str_trim(m), name))
			return true;
	return false;
}

/* Adds the groups that list `member`. */
static int find_memberships(int root, const char *member, struct user *u, struct err *e)
{
	_cleanup_(reader_clear) struct reader rd = { 0 };
	char *f[FIELDS_MAX];
	size_t n;
	int r = reader_open(root, "/etc/group", &rd, e);

	while (r == 0 && (r = reader_next(&rd, f, &n, e)) == 1) {
		uint32_t gid;

		r = 0;
		if (n >= 4 && parse_id(f[2], &gid) == 0 && has_member(f[3], member))
			r = add_group(u, gid, e);
	}
	return r;
}

static int find_group(int root, const char *name, gid_t *ret_gid, struct err *e)
{
	_cleanup_(reader_clear) struct reader rd = { 0 };
	char *f[FIELDS_MAX];
	size_t n;
	int r = reader_open(root, "/etc/group", &rd, e);

	while (r == 0 && (r = reader_next(&rd, f, &n, e)) == 1) {
		uint32_t gid;

		r = 0;
		if (n >= 3 && str_eq(f[0], name) && parse_id(f[2], &gid) == 0) {
			*ret_gid = gid;
			return 0;
		}
	}
	if (r < 0)
		return r;
	return err_set(e, EINVAL, "unable to find group %s: no matching entries in group file",
		       name);
}

/* A group given by the caller: number or name. */
static int group_of(int root, const char *text, gid_t *ret_gid, struct err *e)
{
	const char *name;
	uint32_t id = 0;
	int r = parse_side("group", text, &id, &name, e);

	if (r < 0)
		return r;
	if (name)
		return find_group(root, name, ret_gid, e);
	*ret_gid = id;
	return 0;
}

/* The user side: uid, primary gid, home; *ret_name when there is a passwd entry. */
static int resolve_user(int root, const char *text, struct user *u, char **ret_name, struct err *e)
{
	const char *name = NULL;
	uint32_t id = 0;
	int r = *text ? parse_side("user", text, &id, &name, e) : 0;

	if (r < 0)
		return r;
	r = find_user(root, name, id, u, ret_name, e);
	if (r < 0)
		return r;
	if (r == 0 && name)
		return err_set(e, EINVAL,
			       "unable to find user %s: no matching entries in passwd file", name);
	if (r == 0)
		u->uid = id;
	return 0;
}

int user_resolve(int root, const char *spec, char *const *extra, struct user *ret, struct err *e)
{
	_cleanup_(user_clear) struct user u = { 0 };
	_cleanup_(mem_free) char *copy = str_dup(spec ? spec : ""), *name = NULL;
	char *group;
	gid_t gid;
	int r;

	u.home = str_dup("/");
	if (!copy || !u.home)
		return err_errno(e, ENOMEM, "user");
	group = strchr(copy, ':');
	if (group)
		*group++ = '\0';
	if (group && !*group)
		group = NULL; /* "1000:" is "1000", as Docker reads it */
	r = resolve_user(root, copy, &u, &name, e);
	if (r == 0 && group)
		r = group_of(root, group, &u.gid, e);
	if (r == 0)
		r = add_group(&u, u.gid, e);
	if (r == 0 && !group && name)
		r = find_memberships(root, name, &u, e);
	for (char *const *g = extra; r == 0 && g && *g; g++) {
		r = group_of(root, *g, &gid, e);
		if (r == 0)
			r = add_group(&u, gid, e);
	}
	if (r < 0)
		return r;
	*ret = u;
	u = (struct user){ 0 };
	return 0;
}

char *user_home(int root, uid_t uid)
{
	_cleanup_(user_clear) struct user u = { 0 };
	_cleanup_(mem_free) char *name = NULL;

	if (find_user(root, NULL, uid, &u, &name, NULL) == 1)
		return take_ptr(u.home);
	return str_dup("/");
}

void user_clear(struct user *u)
{
	free(u->groups);
	free(u->home);
	*u = (struct user){ 0 };
}
