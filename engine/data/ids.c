/*
 * Ids: random from the kernel, found by prefix in the caller's map.
 *
 * Nothing here keeps state. Called when objects are made and when a client names one.
 */
#include "engine/data/ids.h"

#include <string.h>
#include <sys/random.h>

#include "init/base/str.h"

static const char hex_digits[] = "0123456789abcdef";

int id_new(char ret_id[ID_LEN + 1], struct err *e)
{
	unsigned char bytes[ID_LEN / 2];

	do {
		if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
			return err_errno(e, errno, "cannot get random bytes");
		hex_encode(ret_id, bytes, sizeof(bytes));
	} while (strspn(ret_id, "0123456789") >= ID_SHORT_LEN);
	return 0;
}

bool id_is_prefix(const char *s)
{
	size_t len = strlen(s);

	return len >= 1 && len <= ID_LEN && strspn(s, hex_digits) == len;
}

bool id_valid(const char *s)
{
	return s && strlen(s) == ID_LEN && id_is_prefix(s);
}

int id_find(const struct map *by_id, const char *prefix, void **ret_value)
{
	struct map_entry *entry, *found = NULL;
	size_t pos = 0;

	if (!id_is_prefix(prefix))
		return -ENOENT;
	while ((entry = map_next(by_id, &pos))) {
		if (!str_starts(entry->key, prefix))
			continue;
		if (found)
			return -EINVAL;
		found = entry;
	}
	if (!found)
		return -ENOENT;
	*ret_value = found->value;
	return 0;
}
