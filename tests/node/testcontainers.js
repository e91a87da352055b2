// testcontainers against a machine, as test suites use it. DOCKER_HOST and its kin: the machine; IMAGE: an image that is there;
// WEB_PORT: where the machine's port 8081 is reached. No reaper (TESTCONTAINERS_RYUK_DISABLED): there is no registry to have it from.
"use strict";

const assert = require("node:assert").strict;
const { test, until, text, main } = require("./cases.js");

const IMAGE = process.env.IMAGE;
const lib = () => require("testcontainers");
const container = () => new (lib().GenericContainer)(IMAGE);
const SERVE = ["sh", "-c", "mkdir -p /w; echo page of $A >/w/index.html; echo ready >&2; exec httpd -f -p 8080 -h /w"];
let web;

test("a container with files, environment, labels and a port starts when its log says so", async () => {
	web = await container().withName("node-web").withCommand(SERVE).withEnvironment({ A: "node" }).withLabels({ suite: "node" })
		.withExposedPorts({ container: 8080, host: 8081 })
		.withCopyContentToContainer([{ content: "copied", target: "/tmp/copied" }])
		.withWaitStrategy(lib().Wait.forLogMessage("ready")).withStartupTimeout(60000).start();
	assert.equal(web.getMappedPort(8080), 8081);
	assert.equal(web.getName(), "/node-web");
	assert.equal(web.getLabels().suite, "node");
	await until(async () => {
		const answer = await fetch(`http://127.0.0.1:${process.env.WEB_PORT}/`).catch(() => null);
		return answer && (await answer.text()) === "page of node\n";
	}, "the page");
});

test("exec: exit code, output and errors apart, options", async () => {
	const done = await web.exec(["sh", "-c", "echo out; echo err >&2; exit 3"]);
	assert.deepEqual([done.exitCode, done.stdout, done.stderr], [3, "out\n", "err\n"]);
	assert.equal((await web.exec("id -u", { user: "1000" })).output, "1000\n");
	assert.equal((await web.exec(["sh", "-c", "pwd; echo $X"], { workingDir: "/tmp", env: { X: "1" } })).output, "/tmp\n1\n");
});

test("copy into and out of a container", async () => {
	assert.equal((await web.exec(["cat", "/tmp/copied"])).output, "copied");
	await web.copyContentToContainer([{ content: "later", target: "/tmp/later" }]);
	assert.equal((await web.exec(["cat", "/tmp/later"])).output, "later");
	const archive = await web.copyArchiveFromContainer("/tmp/later");
	assert.match(await text(archive), /later/);
});

test("logs as a stream, restart, addresses", async () => {
	const stream = await web.logs();
	const first = await new Promise((resolve) => stream.once("data", (part) => resolve(String(part))));
	assert.match(first, /ready/);
	stream.destroy();
	await web.restart();
	assert.equal((await web.exec(["cat", "/tmp/later"])).output, "later");
	assert.match(web.getIpAddress("bridge"), /^\d+\.\d+\.\d+\.\d+$/);
});

test("stop removes the container", async () => {
	await web.stop();
	assert.equal(await fetch(`http://127.0.0.1:${process.env.WEB_PORT}/`).then(() => "an answer", () => "nothing"), "nothing");
});

test("waiting for health, for a one-shot program, and for a failure", async () => {
	const { Wait } = lib();
	const healthy = await container().withCommand(["sh", "-c", "sleep 1; touch /up; sleep 100"])
		.withHealthCheck({ test: ["CMD-SHELL", "test -e /up"], interval: 500, timeout: 3000, retries: 20, startPeriod: 0 })
		.withWaitStrategy(Wait.forHealthCheck()).start();
	await healthy.stop();
	const once = await container().withCommand(["sh", "-c", "exit 0"]).withWaitStrategy(Wait.forOneShotStartup()).start();
	await once.stop();
	await assert.rejects(container().withCommand(["sh", "-c", "exit 7"]).withWaitStrategy(Wait.forOneShotStartup()).start(), /failed to start/);
});

test("a command as wait strategy; tmpfs, bind, user, limits", async () => {
	const { Wait } = lib();
	const made = await container().withCommand(["sh", "-c", "sleep 1; touch /scratch/up; sleep 100"]).withTmpFs({ "/scratch": "rw,size=1m" })
		.withBindMounts([{ source: "/etc", target: "/host", mode: "ro" }]).withResourcesQuota({ memory: 0.0625, cpu: 1 }).withPrivilegedMode()
		.withWaitStrategy(Wait.forSuccessfulCommand("test -e /scratch/up")).start();
	assert.equal((await made.exec(["cat", "/sys/fs/cgroup/memory.max"])).output.trim(), String(64 << 20));
	assert.equal((await made.exec(["test", "-e", "/host/passwd"])).exitCode, 0);
	await made.stop();
});

main();
