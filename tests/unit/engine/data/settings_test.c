/*
 * system.yaml: what it becomes, and what it says when it is wrong.
 */
#include "engine/data/settings.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

static int flat(const char *text, char **ret, struct err *e)
{
	_cleanup_(strv_free) char **list = NULL;
	int r = settings_read(text, strlen(text), "system.yaml", &list, e);

	if (r == 0)
		*ret = strv_join(list, "\n");
	return r;
}

TEST(everything)
{
	_cleanup_(mem_free) char *text = NULL;
	struct err e = { 0 };

	CHECK_MSG(
		flat("hostname: box-1\nstorage:\n  data: /dev/vdb\nnetwork:\n  dns: [192.0.2.53, "
		     "'2001:db8::53']\n"
		     "  links:\n    eth0: {address: 192.0.2.2/24, gateway: 192.0.2.1, mtu: 1400}\n"
		     "    eth1: {dhcp: false, address: [10.0.0.2/8, 'fd00::2/64']}\n"
		     "time: {servers: [ntp.example.org]}\napi: {listen: '127.0.0.1:2376'}\n"
		     "engine: {userns-remap: 200000:65536, image-limits: {layers: 80, "
		     "layer-bytes: 512M, memory: 8m}}\n",
		     &text, &e) == 0,
		"%s", err_text(&e));
	CHECK_STR(text, "hostname=box-1\nstorage.data=/dev/vdb\nnetwork.dns.0=192.0.2.53\n"
			"network.dns.1=2001:db8::53\nnetwork.links.eth0.address=192.0.2.2/24\n"
			"network.links.eth0.gateway=192.0.2.1\nnetwork.links.eth0.mtu=1400\n"
			"network.links.eth1.dhcp=false\nnetwork.links.eth1.address.0=10.0.0.2/8\n"
			"network.links.eth1.address.1=fd00::2/64\ntime.servers.0=ntp.example.org\n"
			"api.listen=127.0.0.1:2376\nengine.userns-remap=200000:65536\n"
			"engine.image-limits.layers=80\nengine.image-limits.layer-bytes=512M\n"
			"engine.image-limits.memory=8m");
}

TEST(userns_remap)
{
	static const char *const cases[][2] = {
		{ "engine: {userns-remap: default}\n", "engine.userns-remap=default" },
		{ "engine: {userns-remap: ''}\n", "engine.userns-remap=" },
		{ "engine: {userns-remap: }\n", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(mem_free) char *text = NULL;
		struct err e = { 0 };

		CHECK_MSG(flat(cases[i][0], &text, &e) == 0, "%s", err_text(&e));
		CHECK_STR(text, cases[i][1]);
	}
}

TEST(nothing)
{
	_cleanup_(mem_free) char *text = NULL;
	struct err e = { 0 };

	CHECK_INT(flat("# all defaults\nnetwork:\n", &text, &e), 0);
	CHECK_STR(text, "");
}

TEST(wrong)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "hostnam: x\n", "system.yaml:1: hostnam: unknown key" },
		{ "hostname: a_b\n", "system.yaml:1: hostname: expected a host name: letters, "
				     "digits and -, at most 63, not 'a_b'" },
		{ "storage:\n  data: sdb\n", "system.yaml:2: storage.data: expected auto, none, or "
					     "a device such as /dev/vdb, not 'sdb'" },
		{ "network: 5\n", "system.yaml:1: network: expected a mapping, not a text" },
		{ "network: {dns: 192.0.2.1}\n", "system.yaml:1: network.dns: expected a list, "
						 "each an address such as 192.0.2.53" },
		{ "network: {links: {eth0: {adress: 1}}}\n",
		  "system.yaml:1: network.links.eth0.adress: unknown key" },
		{ "network: {links: {eth0: {address: 192.0.2.2/33}}}\n",
		  "system.yaml:1: network.links.eth0.address: expected an address with its prefix "
		  "such as "
		  "192.0.2.2/24, not '192.0.2.2/33'" },
		{ "network: {links: {eth0: {mtu: 10}}}\n",
		  "system.yaml:1: network.links.eth0.mtu: expected a number from 68 to 65535, not "
		  "'10'" },
		{ "api: {listen: 2376}\n", "system.yaml:1: api.listen: expected an address and "
					   "port such as 0.0.0.0:2376, not '2376'" },
		{ "api:\nengine:\n  userns-remap: 1000:65536\n",
		  "system.yaml:3: engine.userns-remap: expected default, or a first id and how "
		  "many (both from 65536) such as 100000:65536, not '1000:65536'" },
		{ "engine: {userns-remap: [default]}\n",
		  "system.yaml:1: engine.userns-remap: expected default, or a first id and how "
		  "many (both from 65536) such as 100000:65536, not a list" },
		{ "engine: {image-limits: {layers: 0}}\n",
		  "system.yaml:1: engine.image-limits.layers: expected a number from 1 to 499, not "
		  "'0'" },
		{ "engine: {image-limits: {layers: 500}}\n",
		  "system.yaml:1: engine.image-limits.layers: expected a number from 1 to 499, not "
		  "'500'" },
		{ "engine: {image-limits: {layer-bytes: much}}\n",
		  "system.yaml:1: engine.image-limits.layer-bytes: expected bytes, such as 512M or "
		  "64G, not 'much'" },
		{ "engine: {image-limits: {ratio: 2.5}}\n",
		  "system.yaml:1: engine.image-limits.ratio: expected a number from 1, not '2.5'" },
		{ "engine: {image-limits: {memory: 1M}}\n",
		  "system.yaml:1: engine.image-limits.memory: expected at least 4M, such as 16M, "
		  "not '1M'" },
		{ "engine: {image-limits: {files: 1}}\n",
		  "system.yaml:1: engine.image-limits.files: unknown key" },
		{ "a.b: 1\n", "system.yaml:1: 'a.b' is no key of the settings" },
		{ "- x\n", "system.yaml:1: expected a mapping of settings" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(mem_free) char *text = NULL;
		struct err e = { 0 };

		CHECK_INT(flat(cases[i].text, &text, &e), -EINVAL);
		CHECK_STR(err_text(&e), cases[i].want);
	}
}
