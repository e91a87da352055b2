/*
 * What is read of a container: the list's texts, inspect, statistics, and the events of what it
 * takes and gives back. Shim, network, images and volumes are puppets (world.h).
 */
#include "tests/unit/engine/container/world.h"

#include <yyjson.h>

#include "engine/container/inspect.h"
#include "engine/container/stats.h"

TEST(durations_in_dockers_words)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{ -5, "Less than a second" },
		{ 0, "Less than a second" },
		{ 1, "1 second" },
		{ 2, "2 seconds" },
		{ 59, "59 seconds" },
		{ 60, "About a minute" },
		{ 119, "About a minute" },
		{ 120, "2 minutes" },
		{ 59 * 60 + 59, "59 minutes" },
		{ 3600, "About an hour" },
		{ 3600 + 29 * 60, "About an hour" },
		{ 3600 + 31 * 60, "2 hours" },
		{ 47 * 3600, "47 hours" },
		{ 48 * 3600, "2 days" },
		{ 13 * 86400, "13 days" },
		{ 14 * 86400, "2 weeks" },
		{ 59 * 86400, "8 weeks" },
		{ 60 * 86400, "2 months" },
		{ 729 * (int64_t)86400, "24 months" },
		{ 730 * (int64_t)86400, "2 years" },
	};
	char buf[40];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		human_duration(cases[i].seconds * 1000000000, buf, sizeof(buf));
		CHECK_STR(buf, cases[i].text);
	}
}

static yyjson_doc *as_json(struct container *c,
			   void (*write)(struct container *c, bool size, struct json_writer *w))
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);
	struct json_writer jw;

	json_writer_init(&jw, &b);
	write(c, false, &jw);
	return yyjson_read(buf_text(&b), b.len, 0);
}

static const char *text_of(struct container *c, const char *key, char *buf, size_t size)
{
	yyjson_doc *doc = as_json(c, container_summary);
	const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), key));

	snprintf(buf, size, "%s", text ? text : "(none)");
	yyjson_doc_free(doc);
	return buf;
}

TEST(status_in_every_state)
{
	const int64_t ago = clock_real_ns() - 180 * INT64_C(1000000000);
	static const struct {
		enum container_state state;
		bool started, finished;
		int code;
		const char *text;
	} cases[] = {
		{ CONTAINER_CREATED, false, false, 0, "Created" },
		{ CONTAINER_RUNNING, true, false, 0, "Up 3 minutes" },
		{ CONTAINER_PAUSED, true, false, 0, "Up 3 minutes (Paused)" },
		{ CONTAINER_RESTARTING, true, true, 1, "Restarting (1) 3 minutes ago" },
		{ CONTAINER_EXITED, true, true, 137, "Exited (137) 3 minutes ago" },
		{ CONTAINER_REMOVING, true, true, 0, "Removal In Progress" },
		{ CONTAINER_DEAD, true, true, 0, "Dead" },
	};
	struct container *c;
	char buf[100];

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\"}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		c->state = cases[i].state;
		c->rec.started_ns = cases[i].started ? ago : 0;
		c->rec.finished_ns = cases[i].finished ? ago : 0;
		c->rec.exit_code = cases[i].code;
		CHECK_STR(text_of(c, "Status", buf, sizeof(buf)), cases[i].text);
	}
	world_close();
}

TEST(the_list_shows_command_and_image_as_docker)
{
	struct container *c;
	yyjson_doc *doc;
	char buf[200];

	world_open();
	world_engine("boot-1");
	c = make(
		"{\"Image\":\"img\",\"Entrypoint\":[\"/bin/my sh\",\"-c\"],\"Cmd\":[\"a b\",\"c\"],"
		"\"HostConfig\":{\"Annotations\":{\"k\":\"v\"}}}");
	CHECK_STR(text_of(c, "Command", buf, sizeof(buf)), "/bin/my sh -c 'a b' c");
	CHECK_STR(text_of(c, "Image", buf, sizeof(buf)), "img");
	doc = as_json(c, container_summary);
	CHECK_STR(yyjson_get_str(
			  yyjson_ptr_get(yyjson_doc_get_root(doc), "/HostConfig/Annotations/k")),
		  "v");
	yyjson_doc_free(doc);
	/* the name has come to mean another image */
	str_set(&c->image_id, "sha256:2222");
	CHECK_STR(text_of(c, "Image", buf, sizeof(buf)), "sha256:2222");
	world_close();
}

TEST(inspect_has_every_member)
{
	static const char *const members[] = {
		"/Id",
		"/Created",
		"/Path",
		"/Args",
		"/State/Status",
		"/State/Running",
		"/State/Paused",
		"/State/Restarting",
		"/State/OOMKilled",
		"/State/Dead",
		"/State/Pid",
		"/State/ExitCode",
		"/State/Error",
		"/State/StartedAt",
		"/State/FinishedAt",
		"/Image",
		"/ResolvConfPath",
		"/HostnamePath",
		"/HostsPath",
		"/LogPath",
		"/Name",
		"/RestartCount",
		"/Driver",
		"/Platform",
		"/MountLabel",
		"/ProcessLabel",
		"/AppArmorProfile",
		"/ExecIDs",
		"/HostConfig/NetworkMode",
		"/GraphDriver/Name",
		"/GraphDriver/Data/UpperDir",
		"/GraphDriver/Data/LowerDir",
		"/GraphDriver/Data/WorkDir",
		"/GraphDriver/Data/MergedDir",
		"/Mounts",
		"/Config/Image",
		"/NetworkSettings/Bridge",
		"/NetworkSettings/SandboxID",
		"/NetworkSettings/SandboxKey",
		"/NetworkSettings/Ports",
		"/NetworkSettings/HairpinMode",
		"/NetworkSettings/LinkLocalIPv6Address",
		"/NetworkSettings/LinkLocalIPv6PrefixLen",
		"/NetworkSettings/SecondaryIPAddresses",
		"/NetworkSettings/SecondaryIPv6Addresses",
		"/NetworkSettings/EndpointID",
		"/NetworkSettings/Gateway",
		"/NetworkSettings/GlobalIPv6Address",
		"/NetworkSettings/GlobalIPv6PrefixLen",
		"/NetworkSettings/IPAddress",
		"/NetworkSettings/IPPrefixLen",
		"/NetworkSettings/IPv6Gateway",
		"/NetworkSettings/MacAddress",
		"/NetworkSettings/Networks/bridge/IPAMConfig/IPv4Address",
		"/NetworkSettings/Networks/bridge/Links",
		"/NetworkSettings/Networks/bridge/Aliases/0",
		"/NetworkSettings/Networks/bridge/MacAddress",
		"/NetworkSettings/Networks/bridge/DriverOpts/o",
		"/NetworkSettings/Networks/bridge/GwPriority",
		"/NetworkSettings/Networks/bridge/NetworkID",
		"/NetworkSettings/Networks/bridge/EndpointID",
		"/NetworkSettings/Networks/bridge/Gateway",
		"/NetworkSettings/Networks/bridge/IPAddress",
		"/NetworkSettings/Networks/bridge/IPPrefixLen",
		"/NetworkSettings/Networks/bridge/IPv6Gateway",
		"/NetworkSettings/Networks/bridge/GlobalIPv6Address",
		"/NetworkSettings/Networks/bridge/GlobalIPv6PrefixLen",
		"/NetworkSettings/Networks/bridge/DNSNames",
	};
	struct container *c;
	yyjson_doc *doc;

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"bridge\":{"
		 "\"IPAMConfig\":{\"IPv4Address\":\"172.17.0.9\"},\"Aliases\":[\"a\"],"
		 "\"DriverOpts\":{\"o\":\"p\"}}}}}");
	doc = as_json(c, container_inspect);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		CHECK_MSG(yyjson_ptr_get(yyjson_doc_get_root(doc), members[i]), "no %s",
			  members[i]);
	yyjson_doc_free(doc);
	world_close();
}

/* ---- events of what it holds ---- */

TEST(networks_and_volumes_are_announced_in_dockers_order)
{
	static struct network bridge = { .id = "ne7", .name = (char *)"bridge" };
	static struct endpoint ep = { .network = &bridge };
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	w.sandbox = (struct sandbox){ .endpoints = &ep, .n_endpoints = 1 };
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"Binds\":[\"vol:/data:ro\",\"/b:/b\"]}}");
	w.actions[0] = '\0';
	container_start(c, &starter.op);
	shim_comes_up();
	shim_exits(0);
	world_settle();
	CHECK_STR(w.actions, "connect mount start disconnect unmount die ");
	world_close();
}

TEST(a_start_without_network_announces_nothing)
{
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"Binds\":[\"vol:/data\"]}}");
	w.actions[0] = '\0';
	w.attach_fails = EADDRINUSE;
	container_start(c, &starter.op);
	world_settle();
	CHECK_STR(w.actions, "");
	world_close();
}

/* ---- statistics ---- */

struct watcher {
	struct stats_watch sw;
	int n, n_gone;
	int leave_after; /* samples; 0: stays */
	struct container_stats last;
	struct watcher *other; /* sent away at the first sample */
};

static void got_sample(struct stats_watch *sw, const struct container_stats *now)
{
	struct watcher *wt = container_of(sw, struct watcher, sw);

	wt->n++;
	wt->last = *now;
	if (wt->other)
		container_stats_unwatch(&wt->other->sw);
	if (wt->leave_after && wt->n == wt->leave_after)
		container_stats_unwatch(sw);
}

static void got_gone(struct stats_watch *sw)
{
	container_of(sw, struct watcher, sw)->n_gone++;
}

#define WATCHER(name)                                                           \
	struct watcher name = { .sw = { .fn = got_sample, .gone = got_gone } }; \
	list_init(&name.sw.link)

TEST(watchers_share_a_feed_and_may_leave_at_any_time)
{
	struct container *c;
	WATCHER(a);
	WATCHER(b);
	WATCHER(victim);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\"}");
	a.leave_after = 1;
	a.other = &victim;
	CHECK_INT(container_stats_watch(c, &a.sw, NULL), 0);
	CHECK_INT(container_stats_watch(c, &victim.sw, NULL), 0);
	CHECK_INT(container_stats_watch(c, &b.sw, NULL), 0);
	CHECK_INT(a.n + b.n, 0); /* never from inside */
	loop_once(w.loop, 100);
	CHECK_INT(a.n, 1);
	CHECK_INT(b.n, 1);
	CHECK_INT(victim.n, 0);
	CHECK_INT(b.last.read_ns, 0); /* it does not run */
	for (int i = 0; i < 100 && b.n < 2; i++)
		loop_once(w.loop, 100);
	CHECK_INT(a.n, 1);
	CHECK_INT(b.n, 2);
	container_stats_unwatch(&b.sw);
	for (int i = 0; i < 100 && c->stats_feed; i++)
		loop_once(w.loop, 100);
	CHECK(!c->stats_feed);
	world_close();
}

TEST(watchers_are_told_of_the_removal)
{
	struct container *c;
	CALLER(remover);
	WATCHER(a);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\"}");
	container_stats_watch(c, &a.sw, NULL);
	container_remove(c, true, false, &remover.op);
	for (int i = 0; i < 200 && remover.n == 0; i++)
		loop_once(w.loop, 50);
	CHECK_INT(a.n_gone, 1);
	world_close();
}
