/*
 * Reading the options of local volumes (options.h): a table of keys, a table of mount flags; what
 * is neither is the file system's own option, and the kernel tells at the mount when it is none.
 */
#include "engine/volume/options.h"

#include <linux/mount.h>
#include <string.h>

#include "init/base/str.h"

void volume_options_free(struct volume_options_local *o)
{
	strv_free(o->data);
	*o = (struct volume_options_local){ 0 };
}

static const struct {
	const char *word;
	uint64_t set, clear;
} flags[] = {
	{ "ro", MOUNT_ATTR_RDONLY, 0 },
	{ "rw", 0, MOUNT_ATTR_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID, 0 },
	{ "suid", 0, MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0 },
	{ "dev", 0, MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 },
	{ "exec", 0, MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME, 0 },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, 0 },
	{ "relatime", 0, MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME },
	{ "defaults", 0, 0 },
	{ "private", 0, 0 }, /* what every mount here is */
	{ "rprivate", 0, 0 },
};

static int read_word(struct volume_options_local *o, const char *word, struct err *e)
{
	if (str_eq(word, "bind") || str_eq(word, "rbind")) {
		o->bind = true;
		o->recursive = word[0] == 'r';
		return 0;
	}
	if (str_eq(word, "remount") || str_eq(word, "shared") || str_eq(word, "rshared") ||
	    str_eq(word, "slave") || str_eq(word, "rslave") || str_eq(word, "move"))
		return err_set(e, EINVAL, "invalid option: \"o\": \"%s\" is not for volumes", word);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!str_eq(word, flags[i].word))
			continue;
		o->attrs = (o->attrs & ~flags[i].clear) | flags[i].set;
		return 0;
	}
	return strv_add(&o->data, word) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int read_words(struct volume_options_local *o, const char *text, struct err *e)
{
	_cleanup_(strv_free) char **words = strv_split(text, ",", false);
	int r = words ? 0 : err_set(e, ENOMEM, "out of memory");

	for (char **w = words; r == 0 && w && *w; w++)
		r = read_word(o, *w, e);
	if (r == 0 && o->bind && o->data)
		r = err_set(e, EINVAL, "invalid option: \"o\": a bind has no option \"%.100s\"",
			    o->data[0]);
	return r;
}

static int read_size(const char *text, uint64_t *ret, struct err *e)
{
	uint64_t size;

	if (str_to_bytes(text, &size) < 0 || size > INT64_MAX)
		return err_set(e, EINVAL,
			       "invalid option: \"size\": \"%.60s\", should be a number with a "
			       "unit, as in 100m or 2g",
			       text);
	if (size > 0 && size < VOLUME_SIZE_MIN)
		return err_set(e, EINVAL,
			       "invalid option: \"size\": %.60s, should be at least %d bytes, or 0 "
			       "for no limit",
			       text, VOLUME_SIZE_MIN);
	*ret = size;
	return 0;
}

/* The value behind "key=" of an entry, or NULL. */
static const char *value_of(const char *entry, const char *key)
{
	size_t n = strlen(key);

	return strncmp(entry, key, n) == 0 && entry[n] == '=' ? entry + n + 1 : NULL;
}

static int check_together(const struct volume_options_local *o, const char *words, bool sized,
			  struct err *e)
{
	const struct {
		const char *key, *needs;
		bool there, has;
	} needs[] = {
		{ "device", "type", o->device, o->type },
		{ "type", "device", o->type, o->device },
		{ "o", "device", words, o->device },
		{ "o", "type", words, o->type },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].there && !needs[i].has)
			return err_set(e, EINVAL, "missing required option: \"%s\"",
				       needs[i].needs);
	if (sized && o->type)
		return err_set(e, EINVAL,
			       "invalid option: \"size\" is for volumes on the data disk; of a "
			       "%.32s it is o=size=...",
			       o->type);
	if (o->bind && o->device[0] != '/')
		return err_set(
			e, EINVAL,
			"invalid option: \"device\": \"%.100s\", should be the absolute path "
			"of a directory",
			o->device);
	if (!o->bind && o->type && (str_eq(o->type, "none") || str_eq(o->type, "bind")))
		return err_set(e, EINVAL,
			       "invalid option: \"type\": \"%s\" needs \"o\" with \"bind\"",
			       o->type);
	return 0;
}

int volume_options_parse(char *const *options, struct volume_options_local *ret, struct err *e)
{
	_cleanup_(volume_options_free) struct volume_options_local o = { 0 };
	const char *words = NULL, *size = NULL;
	int r;

	for (; options && *options; options++) {
		const char *v;

		if (strlen(*options) > VOLUME_OPTION_MAX)
			return err_set(e, EINVAL, "invalid option: \"%.60s...\" is too long",
				       *options);
		if ((v = value_of(*options, "type")))
			o.type = *v ? v : NULL;
		else if ((v = value_of(*options, "device")))
			o.device = *v ? v : NULL;
		else if ((v = value_of(*options, "o")))
			words = *v ? v : NULL;
		else if ((v = value_of(*options, "size")))
			size = v;
		else
			return err_set(e, EINVAL,
				       "invalid option: \"%.*s\", the local driver knows type, "
				       "device, o and size",
				       (int)MIN(strcspn(*options, "="), (size_t)100), *options);
	}
	r = size ? read_size(size, &o.size, e) : 0;
	if (r == 0 && words)
		r = read_words(&o, words, e);
	if (r == 0)
		r = check_together(&o, words, size != NULL, e);
	if (r < 0)
		return r;
	*ret = o;
	o = (struct volume_options_local){ 0 };
	return 0;
}

/* Types whose absence has a reason that people may want to read. */
static const struct {
	const char *type, *why;
} network_types[] = {
	{ "nfs", "NFS" },
	{ "nfs4", "NFS" },
	{ "cifs", "CIFS" },
	{ "smb3", "CIFS" },
};

static bool has_type(const char *filesystems, const char *type)
{
	size_t n = strlen(type);
	const char *at = filesystems;

	while (n > 0 && (at = strstr(at, type))) {
		bool begins = at == filesystems || at[-1] == '\t' || at[-1] == '\n';

		if (begins && (at[n] == '\n' || !at[n]))
			return true;
		at += n;
	}
	return false;
}

int volume_type_check(const char *type, const char *filesystems, struct err *e)
{
	if (has_type(filesystems, type))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(network_types); i++)
		if (str_eq(type, network_types[i].type))
			return err_set(e, EOPNOTSUPP,
				       "invalid option: \"type\": this machine's kernel has no %s "
				       "client; use a volume plugin, or a container that mounts it",
				       network_types[i].why);
	return err_set(e, EOPNOTSUPP,
		       "invalid option: \"type\": this machine's kernel has no file system "
		       "\"%.32s\"",
		       type);
}
