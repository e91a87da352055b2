/*
 * The routes of networks: what reaches the modules of a request, and what is refused before.
 */
#include "tests/unit/engine/api/client.h"

TEST(create)
{
	WORLD();

	CHECK(answers(&w, "POST /networks/create",
		      "{\"Name\":\"shop\",\"Driver\":\"bridge\",\"CheckDuplicate\":true,"
		      "\"Internal\":true,\"EnableIPv6\":true,\"Labels\":{\"a\":\"b\"},"
		      "\"Options\":{\"o\":\"1\"},\"IPAM\":{\"Driver\":\"default\",\"Config\":[{"
		      "\"Subnet\":\"10.1.0.0/16\",\"IPRange\":\"10.1.2.0/24\","
		      "\"Gateway\":\"10.1.0.1\",\"AuxiliaryAddresses\":{\"r\":\"10.1.0.9\"}}]}}",
		      "201", "\"Warning\":\"\"}"));
	CHECK_STR(fake.asked, "network shop bridge 101 a=b o=1 10.1.0.0/16 10.1.2.0/24 10.1.0.1 "
			      "r=10.1.0.9");
	CHECK(answers(&w, "POST /networks/create", "{\"Name\":\"x\",\"IPAM\":null}", "201", "Id"));
	CHECK_STR(fake.asked, "network x - 000 - - - - - -");
}

TEST(create_refused)
{
	static const char *const cases[][3] = {
		{ "{\"Name\":5}", "400", "Name" },
		{ "{\"Name\":\"x\",\"Internal\":\"yes\"}", "400", "Internal" },
		{ "{\"Name\":\"x\",\"Labels\":{\"a\":1}}", "400",
		  "Labels: values must be strings" },
		{ "{\"Name\":\"x\",\"IPAM\":{\"Config\":[5]}}", "400", "IPAM.Config" },
		{ "{\"Name\":\"x\",\"IPAM\":{\"Driver\":\"dhcp\"}}", "404",
		  "plugin \\\"dhcp\\\" not found" },
		{ "{\"Name\":\"x\",\"Scope\":\"swarm\"}", "400", "no swarm" },
		{ "{\"Name\":\"x\",\"Ingress\":true}", "501", "Ingress" },
		{ "{\"Name\":\"x\",\"ConfigOnly\":true}", "501", "ConfigOnly" },
		{ "{\"Name\":\"x\",\"ConfigFrom\":{\"Network\":\"y\"}}", "501", "ConfigFrom" },
		{ "{\"Name\":\"x\",\"EnableIPv4\":\"no\"}", "400", "EnableIPv4" },
		{ "[]", "400", "invalid JSON" },
	};
	WORLD();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_MSG(
			answers(&w, "POST /networks/create", cases[i][0], cases[i][1], cases[i][2]),
			"%s", cases[i][0]);
}

TEST(remove_and_prune)
{
	WORLD();

	CHECK(answers(&w, "DELETE /networks/nope", NULL, "404",
		      "{\"message\":\"network nope not found\"}"));
	CHECK(answers(&w, "DELETE /networks/bridge", NULL, "204", ""));
	CHECK_STR(fake.asked, "network rm bridge");
	CHECK(answers(&w, "POST /networks/prune?filters={\"label\":[\"none\"]}", NULL, "200",
		      "{\"NetworksDeleted\":null}"));
	CHECK(answers(&w, "POST /networks/prune?filters={\"x\":[\"y\"]}", NULL, "400",
		      "invalid filter 'x'"));
}

TEST(connect_and_disconnect)
{
	WORLD();

	CHECK(answers(&w, "POST /networks/shop/connect",
		      "{\"Container\":\"web\",\"EndpointConfig\":{\"Aliases\":[\"front\"]}}", "200",
		      ""));
	CHECK_STR(fake.asked, "connect shop front");
	CHECK(answers(&w, "POST /networks/shop/connect", "{\"Container\":\"nope\"}", "404",
		      "No such container: nope"));
	CHECK(answers(&w, "POST /networks/shop/connect",
		      "{\"Container\":\"web\",\"EndpointConfig\":[]}", "400", "EndpointConfig"));
	CHECK(answers(&w, "POST /networks/shop/disconnect",
		      "{\"Container\":\"web\",\"Force\":true}", "200", ""));
	CHECK_STR(fake.asked, "disconnect shop 1");
}

TEST(list_filters)
{
	static const char *const cases[][2] = {
		{ "{\"type\":[\"builtin\"]}", "\"Name\":\"bridge\"" },
		{ "{\"type\":[\"custom\"]}", "\r\n\r\n[]\n" },
		{ "{\"driver\":[\"bridge\"],\"scope\":[\"local\"]}", "\"Name\":\"bridge\"" },
		{ "{\"scope\":[\"swarm\"]}", "\r\n\r\n[]\n" },
		{ "{\"name\":[\"ridg\"]}", "\"Name\":\"bridge\"" },
		{ "{\"dangling\":[\"true\"]}", "\r\n\r\n[]\n" },
		{ "{\"dangling\":[\"false\"]}", "\"Name\":\"bridge\"" },
	};
	WORLD();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[128];

		snprintf(path, sizeof(path), "GET /networks?filters=%s", cases[i][0]);
		CHECK_MSG(answers(&w, path, NULL, "200", cases[i][1]), "%s", path);
	}
	CHECK(answers(&w, "GET /networks?filters={\"type\":[\"odd\"]}", NULL, "400",
		      "invalid filter: 'type'='odd'"));
	CHECK(answers(&w, "GET /networks/bridge?scope=swarm", NULL, "404",
		      "network bridge not found"));
}
