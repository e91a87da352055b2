/*
 * What is mounted where: HostConfig and the image's volumes to the list of mount points, and every
 * mistake's words. The volumes are a puppet's.
 */
#include "tests/unit/engine/container/world.h"

static int create(const char *name, const char *json, struct container **ret, struct err *e)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	int r;

	if (!doc)
		test_fail(__FILE__, __LINE__, "not JSON: %s", json);
	r = container_create(w.cs, name, yyjson_doc_get_root(doc), ret, NULL, e);
	yyjson_doc_free(doc);
	return r;
}

static char *request(const char *host, const char *config)
{
	return str_printf("{\"Image\":\"img\"%s%s,\"HostConfig\":{%s}}", config ? "," : "",
			  config ? config : "", host);
}

/* "type source destination flags propagation options" of each point, by lines */
static char *describe(const struct container *c)
{
	struct buf b = BUF_INIT(1 << 16);

	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);

		buf_printf(&b, "%s%s %s%s%s %s %s%s%s%s%s%s %s %s", i ? "\n" : "", m->type,
			   m->source ? m->source : "-", m->subpath ? "//" : "",
			   m->subpath ? m->subpath : "", m->destination, m->rw ? "rw" : "ro",
			   m->no_copy ? ",nocopy" : "", m->non_recursive ? ",flat" : "",
			   m->ro_non_recursive ? ",ro-flat" : "", m->make_source ? ",make" : "",
			   m->anonymous ? ",anonymous" : "", m->propagation ? m->propagation : "-",
			   str_empty(m->options) ? "-" : m->options);
	}
	return buf_take(&b);
}

#define VOL "/volumes/vol/_data"

static const struct {
	const char *host, *config, *want;
} plans[] = {
	{ "\"Binds\":[\"/a:/b\",\"/c//d/.:/e/:ro,rslave\"]", NULL,
	  "bind /a /b rw,make rprivate -\nbind /c/d /e ro,make rslave -" },
	{ "\"Binds\":[\"v:/v:nocopy\",\"v:/w:ro,z\"]", NULL,
	  "volume " VOL " /v rw,nocopy - -\nvolume " VOL " /w ro - -" },
	{ "\"Binds\":[\"/x\"]", "\"Volumes\":{\"/y\":{},\"/x\":{}}",
	  "volume " VOL " /x rw,anonymous - -\nvolume " VOL " /y rw,anonymous - -" },
	{ "\"Binds\":[\"/a:/p/q/r\",\"/b:/p\",\"/c:/p/q\"]", NULL,
	  "bind /b /p rw,make rprivate -\nbind /c /p/q rw,make rprivate -\n"
	  "bind /a /p/q/r rw,make rprivate -" },
	{ "\"Binds\":[\"/a:/b:\"]", NULL, "bind /a /b rw,make rprivate -" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/a\",\"ReadOnly\":true,"
	  "\"BindOptions\":{\"ReadOnlyNonRecursive\":true,\"NonRecursive\":true}}]",
	  NULL, "bind /etc /a ro,flat,ro-flat rprivate -" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/none/here\",\"Target\":\"/a\","
	  "\"BindOptions\":{\"CreateMountpoint\":true,\"Propagation\":\"shared\"}}]",
	  NULL, "bind /none/here /a rw,make shared -" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/a\","
	  "\"VolumeOptions\":{\"Subpath\":\"x/../y\"}}]",
	  NULL, "volume " VOL "//x/../y /a rw,nocopy - -" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/a\"}]", NULL,
	  "volume " VOL " /a rw,anonymous - -" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/a\",\"TmpfsOptions\":{\"SizeBytes\":4096,"
	  "\"Mode\":448,\"Options\":[[\"exec\"]]}}]",
	  NULL, "tmpfs - /a rw - mode=700,size=4096,exec" },
	{ "\"Tmpfs\":{\"/t\":\"ro,size=1m,uid=3\"}", NULL, "tmpfs - /t rw - ro,size=1m,uid=3" },
};

TEST(plans)
{
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		_cleanup_(mem_free) char *json = request(plans[i].host, plans[i].config);
		_cleanup_(mem_free) char *have = NULL;
		struct container *c = NULL;
		struct err e = { 0 };

		world_open();
		world_engine("boot-1");
		CHECK_MSG(create(NULL, json, &c, &e) == 0, "row %zu: %s", i, err_text(&e));
		have = describe(c);
		world_close();
		CHECK_STR(have, plans[i].want);
	}
}

static const struct {
	const char *host, *text;
	int error;
} mistakes[] = {
	{ "\"Binds\":[\"\"]", "invalid volume specification: ''" },
	{ "\"Binds\":[\":/a\"]", "invalid volume specification" },
	{ "\"Binds\":[\"/a:/b:ro:x\"]", "invalid volume specification" },
	{ "\"Binds\":[\"/foo:rw\"]", "invalid volume specification: '/foo:rw'" },
	{ "\"Binds\":[\"/a:/b:what\"]", "'/a:/b:what': invalid mode: what" },
	{ "\"Binds\":[\"/a:/b:ro,\"]", "invalid mode: ro," },
	{ "\"Binds\":[\"/a:/b:ro,rw\"]", "invalid mode: ro,rw" },
	{ "\"Binds\":[\"/a:/b:shared,rslave\"]", "invalid mode" },
	{ "\"Binds\":[\"/a:/b:nocopy\"]", "field VolumeOptions must not be specified" },
	{ "\"Binds\":[\"v:/b:rslave\"]", "field BindOptions must not be specified" },
	{ "\"Binds\":[\"/a:b\"]", "mount path must be absolute" },
	{ "\"Binds\":[\"/a:/../.\"]", "destination can't be '/'" },
	{ "\"Binds\":[\"/a:/b\",\"/c:/x/../b\"]", "Duplicate mount point: /b" },
	{ "\"Binds\":[\"/a:/b\"],\"Tmpfs\":{\"/b\":\"\"}", "Duplicate mount point: /b" },
	{ "\"Tmpfs\":{\"/b\":\"size\"}", "invalid tmpfs option \"size\"" },
	{ "\"Tmpfs\":{\"/b\":\"huge=always\"}", "invalid tmpfs option \"huge=always\"" },
	{ "\"Tmpfs\":{\"b\":\"\"}", "mount path must be absolute" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Target\":\"/a\"}]",
	  "type \"bind\": field Source must" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"x\",\"Target\":\"/a\"}]",
	  "must be absolute" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/none/here\",\"Target\":\"/a\"}]",
	  "bind source path does not exist: /none/here" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\"}]",
	  "field Target must not be empty" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/"
	  "a\",\"TmpfsOptions\":{}}]",
	  "field TmpfsOptions must not be specified" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/a\",\"ReadOnly\":true,"
	  "\"BindOptions\":{\"ReadOnlyNonRecursive\":true,\"ReadOnlyForceRecursive\":true}}]",
	  "mount options conflict: ReadOnlyNonRecursive && " },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/a\","
	  "\"BindOptions\":{\"ReadOnlyForceRecursive\":true}}]",
	  "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/"
	  "a\",\"VolumeOptions\":{\"Subpath\":\"x\"}}]",
	  "must not set Subpath when using anonymous volumes" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/a\","
	  "\"VolumeOptions\":{\"Subpath\":\"a/../../b\"}}]",
	  "subpath must be a relative path within the volume" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/a\","
	  "\"VolumeOptions\":{\"Subpath\":\"/b\"}}]",
	  "subpath must be a relative path within the volume" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Source\":\"x\",\"Target\":\"/a\"}]",
	  "type \"tmpfs\": field Source must not be specified" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/a\",\"TmpfsOptions\":{\"Options\":[[]]}}]",
	  "invalid option array length" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/a\",\"TmpfsOptions\":{\"Options\":[7]}}]",
	  "invalid option array length" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/"
	  "a\",\"TmpfsOptions\":{\"Options\":\"x\"}}]",
	  "TmpfsOptions.Options" },
	{ "\"Mounts\":[{\"Type\":\"npipe\",\"Target\":\"/a\"}]", "mount type unknown" },
	{ "\"Mounts\":[{\"Type\":\"image\",\"Source\":\"i\",\"Target\":\"/a\"}]", "type image",
	  EOPNOTSUPP },
	{ "\"VolumesFrom\":[\"nobody\"]", "No such container: nobody" },
	{ "\"VolumesFrom\":[\"\"]", "volumes-from specification cannot be an empty string" },
	{ "\"VolumesFrom\":[\"donor:rslave\"]", "invalid mode: rslave" },
	{ "\"VolumesFrom\":[\"donor:nocopy\"]", "invalid mode: nocopy" },
	{ "\"VolumesFrom\":[\"donor:x\"]", "invalid mode: x" },
};

TEST(mistakes)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		_cleanup_(mem_free) char *json = request(mistakes[i].host, NULL);
		int error = mistakes[i].error ? mistakes[i].error : EINVAL, r;
		struct container *c = NULL;
		struct err e = { 0 };

		world_open();
		world_engine("boot-1");
		CHECK_INT(create("donor", "{\"Image\":\"img\"}", &c, &e), 0);
		r = create(NULL, json, &c, &e);
		world_close();
		CHECK_MSG(r == -error, "row %zu (%s): %d: %s", i, mistakes[i].host, r,
			  err_text(&e));
		CHECK_MSG(strstr(err_text(&e), mistakes[i].text),
			  "row %zu: \"%s\" does not say \"%s\"", i, err_text(&e), mistakes[i].text);
	}
}

TEST(volumes_of_others)
{
	_cleanup_(mem_free) char *have = NULL, *again = NULL;
	struct container *c = NULL;
	struct err e = { 0 };

	world_open();
	world_engine("boot-1");
	CHECK_MSG(create("donor",
			 "{\"Image\":\"img\",\"HostConfig\":{\"Binds\":[\"v:/v\",\"/h:/h:ro\"],"
			 "\"Tmpfs\":{\"/t\":\"\"},\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/"
			 "m\"}]},"
			 "\"Volumes\":{\"/anon\":{}}}",
			 &c, &e) == 0,
		  "%s", err_text(&e));
	CHECK_MSG(create("heir",
			 "{\"Image\":\"img\",\"HostConfig\":{\"VolumesFrom\":[\"donor:ro\"],"
			 "\"Binds\":[\"/own:/v\"]},\"Volumes\":{\"/anon\":{}}}",
			 &c, &e) == 0,
		  "%s", err_text(&e));
	have = describe(c);
	CHECK_STR(have, "volume " VOL " /anon ro,nocopy,anonymous - -\n"
			"bind /h /h ro,nocopy,make rprivate -\n"
			"tmpfs - /m ro,nocopy - -\n"
			"bind /own /v rw,make rprivate -");
	/* what is on disk says the same */
	world_end_engine();
	world_engine("boot-1");
	containers_restore(w.cs, NULL, NULL);
	c = containers_find(w.cs, "heir", &e);
	CHECK_MSG(c, "%s", err_text(&e));
	again = describe(c);
	CHECK_STR(again, have);
	world_close();
}
