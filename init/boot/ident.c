/*
 * machine-id and host name: small files, checked before they are believed.
 */
#include "init/boot/ident.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"
#include "init/boot/options.h"

static bool id_valid(const char *id)
{
	return strlen(id) == MACHINE_ID_LEN && strspn(id, "0123456789abcdef") == MACHINE_ID_LEN &&
	       strspn(id, "0") != MACHINE_ID_LEN;
}

static void id_random(char id[MACHINE_ID_LEN + 1])
{
	unsigned char raw[MACHINE_ID_LEN / 2] = { 0 };

	while (getrandom(raw, sizeof(raw), 0) < 0 && errno == EINTR)
		;
	raw[6] = (raw[6] & 0x0f) | 0x40; /* the form of a random UUID, which readers expect */
	raw[8] = (raw[8] & 0x3f) | 0x80;
	hex_encode(id, raw, sizeof(raw));
}

int machine_id_ensure(const char *path, char ret_id[MACHINE_ID_LEN + 1], struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char line[MACHINE_ID_LEN + 2];

	if (file_read(AT_FDCWD, path, 256, &text, NULL, NULL) == 0 && id_valid(str_trim(text))) {
		memcpy(ret_id, str_trim(text), MACHINE_ID_LEN + 1);
		return 0;
	}
	id_random(ret_id);
	snprintf(line, sizeof(line), "%s\n", ret_id);
	return file_replace(AT_FDCWD, path, line, strlen(line), 0444, true, e);
}

const char *hostname_choose(const char *first, const char *second, const char *third)
{
	const char *const names[] = { first, second, third };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!str_empty(names[i]) && hostname_valid(names[i]))
			return names[i];
	}
	return "skerry";
}

int hostname_apply(const char *first, const char *second, const char *third, struct err *e)
{
	const char *name = hostname_choose(first, second, third);

	if (sethostname(name, strlen(name)) < 0)
		return err_errno(e, errno, "cannot set the host name %s", name);
	return 0;
}
