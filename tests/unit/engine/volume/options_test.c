/*
 * Options of local volumes: what each combination means, and the words for every wrong one.
 */
#include "engine/volume/options.h"

#include <linux/mount.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

/* Options in one text, separated by blanks. */
static int parse(const char *text, struct volume_options_local *o, char ***words, struct err *e)
{
	*words = strv_split(text, " ", false);
	return volume_options_parse(*words, o, e);
}

TEST(good)
{
	static const struct {
		const char *text;
		uint64_t size, attrs;
		const char *type, *device;
		bool bind, recursive;
		const char *data; /* joined by blanks */
	} rows[] = {
		{ "", 0, 0, NULL, NULL, false, false, NULL },
		{ "size=10m", 10 << 20, 0, NULL, NULL, false, false, NULL },
		{ "size=0", 0, 0, NULL, NULL, false, false, NULL },
		{ "size=1g", 1 << 30, 0, NULL, NULL, false, false, NULL },
		{ "type=tmpfs device=tmpfs", 0, 0, "tmpfs", "tmpfs", false, false, NULL },
		{ "type=tmpfs device=tmpfs o=size=100m,uid=1000,noexec", 0, MOUNT_ATTR_NOEXEC,
		  "tmpfs", "tmpfs", false, false, "size=100m uid=1000" },
		{ "type=none device=/srv o=bind", 0, 0, "none", "/srv", true, false, NULL },
		{ "type=none device=/srv o=rbind,ro,nosuid,suid", 0, MOUNT_ATTR_RDONLY, "none",
		  "/srv", true, true, NULL },
		{ "type=ext4 device=/dev/vdb o=ro,rw,noatime", 0, MOUNT_ATTR_NOATIME, "ext4",
		  "/dev/vdb", false, false, NULL },
		{ "type= device= o=", 0, 0, NULL, NULL, false, false, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(volume_options_free) struct volume_options_local o = { 0 };
		_cleanup_(strv_free) char **words = NULL;
		_cleanup_(mem_free) char *data = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(rows[i].text, &o, &words, &e) == 0, "%s: %s", rows[i].text,
			  err_text(&e));
		data = o.data ? strv_join(o.data, " ") : NULL;
		CHECK_MSG(o.size == rows[i].size && o.attrs == rows[i].attrs &&
				  str_eq(o.type, rows[i].type) &&
				  str_eq(o.device, rows[i].device) && o.bind == rows[i].bind &&
				  o.recursive == rows[i].recursive && str_eq(data, rows[i].data),
			  "%s: %llu %llx %s %s %s", rows[i].text, (unsigned long long)o.size,
			  (unsigned long long)o.attrs, o.type, o.device, data);
	}
}

TEST(bad)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "foo=bar", "invalid option: \"foo\"" },
		{ "Type=tmpfs", "invalid option: \"Type\"" },
		{ "foo", "invalid option: \"foo\"" },
		{ "type=tmpfs", "missing required option: \"device\"" },
		{ "device=/x", "missing required option: \"type\"" },
		{ "o=bind", "missing required option: \"device\"" },
		{ "o=bind device=/x", "missing required option: \"type\"" },
		{ "size=big", "\"size\": \"big\", should be a number" },
		{ "size=-1", "\"size\": \"-1\", should be a number" },
		{ "size=", "\"size\": \"\", should be a number" },
		{ "size=1k", "at least 65536 bytes" },
		{ "size=99999999999g", "should be a number" },
		{ "size=1m type=tmpfs device=tmpfs", "of a tmpfs it is o=size=" },
		{ "type=none device=/x", "needs \"o\" with \"bind\"" },
		{ "type=none device=relative o=bind", "absolute path" },
		{ "type=none device=/x o=bind,size=1", "a bind has no option \"size=1\"" },
		{ "type=none device=/x o=bind,shared", "\"shared\" is not for volumes" },
		{ "type=tmpfs device=tmpfs o=remount", "\"remount\" is not for volumes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(volume_options_free) struct volume_options_local o = { 0 };
		_cleanup_(strv_free) char **words = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(rows[i].text, &o, &words, &e) == -EINVAL, "took \"%s\"",
			  rows[i].text);
		CHECK_MSG(strstr(err_text(&e), rows[i].why), "%s: %s", rows[i].text, err_text(&e));
		CHECK(!o.data);
	}
}

TEST(types_of_the_kernel)
{
	static const char list[] = "nodev\tsysfs\nnodev\ttmpfs\n\text4\nnodev\toverlay\n";
	struct err e = { 0 };

	CHECK_INT(volume_type_check("tmpfs", list, &e), 0);
	CHECK_INT(volume_type_check("ext4", list, &e), 0);
	CHECK_INT(volume_type_check("ext", list, &e), -EOPNOTSUPP);
	CHECK_INT(volume_type_check("nodev", list, &e), -EOPNOTSUPP);
	CHECK_INT(volume_type_check("", list, &e), -EOPNOTSUPP);
	CHECK_INT(volume_type_check("nfs", list, &e), -EOPNOTSUPP);
	CHECK(strstr(err_text(&e), "kernel has no NFS client"));
	CHECK_INT(volume_type_check("cifs", list, &e), -EOPNOTSUPP);
	CHECK(strstr(err_text(&e), "kernel has no CIFS client"));
}
