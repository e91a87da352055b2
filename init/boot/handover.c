/*
 * Firmware items to files in /run/skerry/pki: read all, then write all.
 */
#include "init/boot/handover.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"

enum { ITEMS = 3, ITEM_MAX = 64 << 10 };

static const char *const items[ITEMS] = { "server.pem", "server-key.pem", "client-ca.pem" };

static int write_all(const char *to, char *const data[ITEMS], const size_t len[ITEMS],
		     struct err *e)
{
	_cleanup_(fd_close) int dir = -1;

	if (dir_make(AT_FDCWD, to, 0700, e) < 0)
		return -e->code;
	dir = open(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fchmod(dir, 0700) < 0)
		return err_errno(e, errno, "cannot open %s", to);
	for (int i = 0; i < ITEMS; i++) {
		if (file_replace(dir, items[i], data[i], len[i], 0600, false, e) < 0)
			return -e->code;
	}
	return 0;
}

int handover_pki(const char *from, const char *to, struct err *e)
{
	char *data[ITEMS] = { NULL };
	size_t len[ITEMS] = { 0 };
	const char *missing = NULL;
	int found = 0, r = 0;

	for (int i = 0; i < ITEMS && r == 0; i++) {
		char path[256];

		r = str_format(path, sizeof(path), "%s/opt/skerry/%s/raw", from, items[i]);
		if (r == 0)
			r = file_read(AT_FDCWD, path, ITEM_MAX, &data[i], &len[i], e);
		if (r == 0)
			found++;
		if (r == -ENOENT) {
			missing = items[i];
			r = 0;
		}
	}
	if (r == 0 && found == ITEMS)
		r = write_all(to, data, len, e);
	else if (r == 0 && found)
		r = err_set(e, ENOENT,
			    "the host handed over certificates without opt/skerry/%s; none is used",
			    missing);
	for (int i = 0; i < ITEMS; i++) {
		if (data[i])
			explicit_bzero(data[i], len[i]);
		free(data[i]);
	}
	return r < 0 ? r : found == ITEMS;
}
