/*
 * The map of users of a container: decided at create, kept, and what it changes in the next start's
 * documents. The user namespace itself is made for real, which takes root: others see the rest.
 */
#include "engine/container/userns.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "engine/runtime/idmap.h"
#include "tests/unit/engine/container/world.h"

static void open_mapped(void)
{
	world_open();
	w.remap = (struct remap){ 100000, 65536 };
	world_engine("boot-1");
}

static const struct {
	const char *host, *refused; /* NULL: taken */
	uint32_t count;
} requests[] = {
	{ "", NULL, 65536 },
	{ "\"UsernsMode\":\"\"", NULL, 65536 },
	{ "\"UsernsMode\":\"host\"", NULL, 0 },
	{ "\"UsernsMode\":\"host\",\"Privileged\":true,\"PidMode\":\"host\","
	  "\"NetworkMode\":\"host\"",
	  NULL, 0 },
	{ "\"IpcMode\":\"host\",\"UTSMode\":\"host\",\"CgroupnsMode\":\"host\"", NULL, 65536 },
	{ "\"NetworkMode\":\"none\",\"ReadonlyRootfs\":true", NULL, 65536 },
	{ "\"UsernsMode\":\"private\"", "invalid USER mode: private", 0 },
	{ "\"UsernsMode\":\"container:x\"", "invalid USER mode: container:x", 0 },
	{ "\"Privileged\":true",
	  "privileged mode is incompatible with user namespaces.  You must run the container in "
	  "the host namespace when running privileged mode",
	  0 },
	{ "\"NetworkMode\":\"host\"",
	  "cannot share the host's network namespace when user namespaces are enabled", 0 },
	{ "\"PidMode\":\"host\"",
	  "cannot share the host PID namespace when user namespaces are enabled", 0 },
};

TEST(at_create)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		_cleanup_(mem_free) char *json =
			str_printf("{\"Image\":\"img\",\"HostConfig\":{%s}}", requests[i].host);
		yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
		struct container *c = NULL;
		struct err e = { 0 };
		int r;

		open_mapped();
		r = container_create(w.cs, NULL, yyjson_doc_get_root(doc), &c, NULL, &e);
		yyjson_doc_free(doc);
		if (requests[i].refused) {
			CHECK_INT(r, -EINVAL);
			CHECK_STR(err_text(&e), requests[i].refused);
		} else {
			CHECK_MSG(r == 0, "row %zu: %s", i, err_text(&e));
			CHECK_INT(c->remap.count, requests[i].count);
			CHECK_INT(c->remap.first, requests[i].count ? 100000 : 0);
			CHECK(container_remap_current(c));
		}
		world_close();
	}
}

TEST(without_the_setting_everything_is_the_machines)
{
	struct container *c;

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"Privileged\":true,\"PidMode\":\"host\"}}");
	CHECK_INT(c->remap.count, 0);
	CHECK(container_remap_current(c));
	world_close();
}

TEST(another_setting_does_not_change_what_exists)
{
	static const struct remap settings[] = { { 0, 0 }, { 300000, 70000 }, { 100000, 65536 } };
	struct container *mapped, *host;
	struct err e = { 0 };

	open_mapped();
	container_rename(make("{\"Image\":\"img\"}"), "mapped", &e);
	container_rename(make("{\"Image\":\"img\",\"HostConfig\":{\"UsernsMode\":\"host\"}}"),
			 "own", &e);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		world_end_engine();
		w.remap = settings[i];
		world_engine("boot-1");
		containers_restore(w.cs, NULL, NULL);
		mapped = containers_find(w.cs, "mapped", &e);
		host = containers_find(w.cs, "own", &e);
		CHECK_MSG(mapped && host, "%s", err_text(&e));
		CHECK_INT(mapped->remap.first, 100000);
		CHECK_INT(mapped->remap.count, 65536);
		CHECK_INT(host->remap.count, 0);
		CHECK_INT(container_remap_current(mapped), i == 2);
		CHECK(container_remap_current(host));
	}
	world_close();
}

static const struct {
	const char *file, *pointer, *want;
} documents[] = {
	{ "bundle/config.json", "/linux/namespaces/7",
	  "{\"type\":\"user\",\"path\":\"/proc/self/ns/net\"}" },
	{ "bundle/config.json", "/linux/uidMappings", NULL },
	{ "bundle/config.json", "/linux/sysctl/net.ipv4.ping_group_range", "\"0 65535\"" },
	{ "bundle/config.json", "/mounts/7/destination", "\"/etc/hosts\"" },
	{ "bundle/config.json", "/mounts/7/options", "[\"rbind\",\"rprivate\",\"idmap\"]" },
	{ "bundle/config.json", "/mounts/8/options", "[\"rbind\",\"rprivate\"]" },
	{ "bundle/config.json", "/mounts/9/options", "[\"rbind\",\"rprivate\",\"idmap\"]" },
	{ "shim.json", "/first_id", "100000" },
	{ "shim.json", "/joins", "[{\"kind\":\"user\",\"owner_of\":\"/proc/self/ns/net\"}]" },
};

#define MOUNTED                                                                        \
	"{\"Image\":\"img\",\"HostConfig\":{%s\"Binds\":[\"/etc:/b\",\"v:/c:nocopy\"]" \
	"}}"

static void start(const char *more, const char *id)
{
	_cleanup_(mem_free) char *json = str_printf(MOUNTED, more);
	struct container *c;
	struct err e = { 0 };
	CALLER(caller);

	w.sandbox.key = (char *)"/proc/self/ns/net";
	w.sandbox.mode = NET_MODE_OWN;
	w.sandbox.hosts_path = (char *)"/hosts";
	c = make(json);
	CHECK_MSG(container_rename(c, id, &e) == 0, "%s", err_text(&e));
	container_start(c, &caller.op);
	world_settle();
	CHECK_INT(w.n_spawned, 1);
}

static char *value(const char *name, const char *file, const char *pointer)
{
	const struct container *c = containers_find(w.cs, name, NULL);
	_cleanup_(mem_free) char *path = str_printf("%s/run/shims/%s/%s", w.dir, c->id, file);
	_cleanup_(mem_free) char *text = NULL;
	char *have = NULL;
	yyjson_doc *doc;
	yyjson_val *v;
	size_t len;

	if (file_read(AT_FDCWD, path, CONTAINER_DOC_MAX, &text, &len, NULL) < 0)
		return NULL;
	doc = yyjson_read(text, len, 0);
	v = yyjson_ptr_get(yyjson_doc_get_root(doc), pointer);
	if (v)
		have = yyjson_val_write(v, 0, NULL);
	yyjson_doc_free(doc);
	return have;
}

TEST(a_mapped_start)
{
	if (geteuid() != 0)
		return;
	open_mapped();
	start("", "mapped");
	CHECK_INT(w.user_ns, 1);
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_(mem_free) char *have =
			value("mapped", documents[i].file, documents[i].pointer);

		CHECK_MSG(documents[i].want ? have && str_eq(have, documents[i].want) : !have,
			  "%s is %s", documents[i].pointer, have ? have : "not there");
	}
	world_close();
}

TEST(a_start_with_the_machines_users)
{
	_cleanup_(mem_free) char *spaces = NULL, *options = NULL, *first = NULL, *joins = NULL;

	open_mapped();
	start("\"UsernsMode\":\"host\",", "own");
	CHECK_INT(w.user_ns, 0);
	spaces = value("own", "bundle/config.json", "/linux/namespaces");
	options = value("own", "bundle/config.json", "/mounts/9/options");
	first = value("own", "shim.json", "/first_id");
	joins = value("own", "shim.json", "/joins");
	CHECK(spaces && !strstr(spaces, "user") && !first);
	CHECK_STR(options, "[\"rbind\",\"rprivate\"]");
	CHECK_STR(joins, "[]");
	world_close();
}

/* A user namespace has the map that was asked for; one of another map, or none, is not joined. */
TEST(the_namespace)
{
	const struct plan_id_map map = { 0, 200000, 70000 };
	struct err e = { 0 };
	int ns;

	if (geteuid() != 0)
		return;
	ns = idmap_namespace(&map, 1, &map, 1, &e);
	CHECK_MSG(ns >= 0 && ioctl(ns, NS_GET_NSTYPE) == CLONE_NEWUSER, "%s", err_text(&e));
	close(ns);
	ns = idmap_owner("/proc/self/ns/net", &e);
	CHECK_MSG(ns >= 0 && ioctl(ns, NS_GET_NSTYPE) == CLONE_NEWUSER, "%s", err_text(&e));
	close(ns);
	CHECK_INT(idmap_owner("/nothing", &e), -ENOENT);
}

TEST(who_may_be_joined)
{
	static const struct {
		struct remap other;
		bool ok;
	} cases[] = { { { 100000, 65536 }, true },
		      { { 0, 0 }, false },
		      { { 100000, 70000 }, false },
		      { { 200000, 65536 }, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct container *other, *c;
		struct err e = { 0 };
		int ns = -1, r;

		open_mapped();
		w.sandbox.key = (char *)"/proc/self/ns/net";
		other = make("{\"Image\":\"img\"}");
		container_rename(other, "donor", &e);
		other->remap = cases[i].other;
		other->state = CONTAINER_RUNNING;
		other->rec.pid = 42;
		other->sandbox = &w.sandbox;
		c = make("{\"Image\":\"img\",\"HostConfig\":{\"PidMode\":\"container:donor\"}}");
		r = userns_open(c, &ns, &e);
		CHECK_MSG(cases[i].ok ? r == 0 && ns >= 0 : r == -EINVAL && ns == -1,
			  "row %zu: %d %s", i, r, err_text(&e));
		if (!cases[i].ok)
			CHECK(strstr(err_text(&e), "does not have the same users"));
		fd_close(ns);
		other->state = CONTAINER_CREATED;
		other->sandbox = NULL;
		world_close();
	}
}
