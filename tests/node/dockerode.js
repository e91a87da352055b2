// dockerode against a machine: every verb that it has for containers. DOCKER_HOST, DOCKER_CERT_PATH: the machine; ARCHIVE, IMAGE: the
// image to load.
"use strict";

const assert = require("node:assert").strict;
const fs = require("node:fs");
const { PassThrough } = require("node:stream");
const { test, until, text, main } = require("./cases.js");

const IMAGE = process.env.IMAGE;
const STILL = ["sh", "-c", "trap 'exit 9' TERM; echo started; while :; do sleep 1; done"];
let docker;

const connect = () => {
	const Docker = require("dockerode");
	const url = new URL(process.env.DOCKER_HOST.replace("tcp:", "https:"));
	const file = (name) => fs.readFileSync(`${process.env.DOCKER_CERT_PATH}/${name}`);
	return new Docker({ protocol: "https", host: url.hostname, port: url.port, ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") });
};

const create = (name, more = {}) => docker.createContainer({ Image: IMAGE, name: `node-${name}`, Cmd: STILL, ...more });

const logs = async (container, more = {}) => {
	const raw = await container.logs({ stdout: true, stderr: true, ...more });
	return demuxed(raw).join("");
};

// [stdout, stderr] of frames in a buffer
const demuxed = (raw) => {
	const out = ["", ""];
	for (let at = 0; at < raw.length;) {
		const size = raw.readUInt32BE(at + 4);
		out[raw[at] - 1] += raw.toString("utf8", at + 8, at + 8 + size);
		at += 8 + size;
	}
	return out;
};

// A stream of frames to two texts, at its end.
const split = async (stream) => {
	const out = new PassThrough(), err = new PassThrough();
	docker.modem.demuxStream(stream, out, err);
	stream.on("end", () => {
		out.end();
		err.end();
	});
	return Promise.all([text(out), text(err)]);
};

const start = async (name, more) => {
	const container = await create(name, more);
	await container.start();
	if (!more || !more.Cmd)
		await until(async () => (await logs(container)) === "started\n", "it runs");
	return container;
};

const status = async (container) => (await container.inspect()).State.Status;

test("ping, version, info; load of an image, its inspect, list, history and tag", async () => {
	docker = connect();
	assert.equal(String(await docker.ping()), "OK");
	assert.equal((await docker.version()).ApiVersion, "1.51");
	assert.equal((await docker.info()).Swarm.LocalNodeState, "inactive");
	const stream = await docker.loadImage(fs.createReadStream(process.env.ARCHIVE));
	assert.match(await text(stream), /Loaded image: /);
	const image = docker.getImage(IMAGE);
	const { Id } = await image.inspect();
	assert(Id.startsWith("sha256:"));
	assert((await docker.listImages()).some((item) => item.Id === Id));
	assert.equal((await image.history()).length, 1);
	await image.tag({ repo: "test/node", tag: "other" });
	await docker.getImage("test/node:other").remove();
});

test("run: output into streams, the exit code, the container", async () => {
	const streams = [new PassThrough(), new PassThrough()], heard = ["", ""];
	streams.forEach((stream, i) => stream.on("data", (part) => {
		heard[i] += part;
	}));
	const [result, container] = await docker.run(IMAGE, ["sh", "-c", "echo out; echo err >&2; exit 4"], streams, { Tty: false, name: "node-run" });
	assert.equal(result.StatusCode, 4);
	// it answers when the wait does, which has a connection of its own: the output may come a moment later
	await until(async () => heard[0] === "out\n" && heard[1] === "err\n", "the output");
	await container.remove();
});

test("create with options that are seen in inspect; callbacks work as promises do", async () => {
	const container = await create("options", {
		Env: ["A=1"], Labels: { x: "y" }, WorkingDir: "/tmp", ExposedPorts: { "80/tcp": {} }, StopSignal: "SIGINT", Hostname: "nodebox",
		HostConfig: { Memory: 64 << 20, PortBindings: { "80/tcp": [{ HostPort: "8081" }] }, Binds: ["node-data:/data"], CapDrop: ["ALL"] },
	});
	const have = await new Promise((resolve, reject) => container.inspect((error, data) => error ? reject(error) : resolve(data)));
	assert.equal(have.Name, "/node-options");
	assert.deepEqual([have.Config.WorkingDir, have.Config.Labels.x, have.HostConfig.Memory, have.Mounts[0].Name], ["/tmp", "y", 64 << 20, "node-data"]);
	await container.start();
	const run = (await container.inspect()).NetworkSettings;
	assert.deepEqual(run.Ports["80/tcp"], [{ HostIp: "0.0.0.0", HostPort: "8081" },
		{ HostIp: "::", HostPort: "8081" }]);
	await container.remove({ force: true, v: true });
	await docker.getVolume("node-data").remove();
});

test("list: filters as objects of lists, all, limit", async () => {
	const made = [await create("list1", { Labels: { list: "1" } }), await start("list2", { Labels: { list: "2" } })];
	const names = async (options) => (await docker.listContainers(options)).map((item) => item.Names[0]).sort();
	assert.deepEqual(await names({ all: true, filters: { label: ["list"] } }), ["/node-list1", "/node-list2"]);
	assert.deepEqual(await names({ filters: { label: ["list"] } }), ["/node-list2"]);
	assert.deepEqual(await names({ all: true, filters: JSON.stringify({ status: ["created"], label: ["list=1"] }) }), ["/node-list1"]);
	assert.deepEqual(await names({ limit: 1, filters: { label: ["list"] } }), ["/node-list2"]);
	await assert.rejects(docker.listContainers({ filters: { odd: ["x"] } }), (error) => error.statusCode === 400 && /invalid filter 'odd'/.test(error.message));
	for (const container of made)
		await container.remove({ force: true });
});

test("start, stop, restart, kill, pause, unpause, rename, wait, remove; errors have status and text", async () => {
	const container = await start("verbs");
	await container.pause();
	assert.equal(await status(container), "paused");
	await container.unpause();
	await container.restart({ t: 1 });
	await until(async () => (await logs(container)).split("started").length === 3, "it was restarted");
	await assert.rejects(container.start(), (error) => error.statusCode === 304);
	await container.stop({ t: 20 });
	assert.equal((await container.wait()).StatusCode, 9);
	await assert.rejects(container.stop(), (error) => error.statusCode === 304);
	await assert.rejects(container.kill(), (error) => error.statusCode === 409 && /is not running/.test(error.message));
	await container.start();
	await container.kill({ signal: "SIGKILL" });
	assert.equal((await container.wait({ condition: "not-running" })).StatusCode, 137);
	await container.rename({ name: "node-renamed" });
	assert.equal((await container.inspect()).Name, "/node-renamed");
	await assert.rejects(create("renamed"), (error) => error.statusCode === 409 && /Conflict. The container name "\/node-renamed"/.test(error.message));
	await container.remove();
	await assert.rejects(container.inspect(), (error) => error.statusCode === 404 && error.reason === "no such container");
});

test("wait for removal of a container that removes itself", async () => {
	const container = await create("gone", { Cmd: ["sh", "-c", "exit 6"], HostConfig: { AutoRemove: true } });
	const gone = container.wait({ condition: "removed" });
	await container.start();
	assert.equal((await gone).StatusCode, 6);
});

test("attach: hijacked with standard input, and without upgrade", async () => {
	const options = { Cmd: ["sh", "-c", "read line; echo got $line; echo err >&2"], OpenStdin: true, StdinOnce: true, AttachStdin: true };
	let container = await create("attach", options);
	let stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
	let heard = split(stream);
	await container.start();
	stream.write("hello\n");
	stream.end();
	assert.deepEqual(await heard, ["got hello\n", "err\n"]);
	await container.remove();
	container = await create("attach", { Cmd: ["echo", "plain"] });
	stream = await container.attach({ stream: true, stdout: true, stderr: true });
	heard = split(stream);
	await container.start();
	assert.deepEqual(await heard, ["plain\n", ""]);
	await container.remove();
});

test("logs: whole, followed, tail, since and until, time stamps", async () => {
	const container = await start("logs", { Cmd: ["sh", "-c", "echo one; echo two >&2; sleep 2; echo three"] });
	assert.deepEqual(await split(await container.logs({ follow: true, stdout: true, stderr: true })), ["one\nthree\n", "two\n"]);
	assert.equal(await logs(container, { tail: 1 }), "three\n");
	assert.equal(await logs(container, { stderr: false }), "one\nthree\n");
	assert.match(await logs(container, { tail: 1, timestamps: true }), /^\d{4}-\d\d-\d\dT[0-9:.]+Z three\n$/);
	assert.equal(await logs(container, { since: 4000000000 }), "");
	assert.equal(await logs(container, { until: 1000000000.5 }), "");
	await container.remove();
});

test("exec: output apart, exit code, standard input, terminal and its size, in the background", async () => {
	const container = await start("exec");
	const exec = async (options, startOptions = {}) => {
		const made = await container.exec({ AttachStdout: true, AttachStderr: true, ...options });
		return [made, await made.start(startOptions)];
	};
	let [made, stream] = await exec({ Cmd: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
	assert.deepEqual(await split(stream), ["out\n", "err\n"]);
	assert.equal((await made.inspect()).ExitCode, 3);
	[made, stream] = await exec({ Cmd: ["cat"], AttachStdin: true }, { hijack: true, stdin: true });
	stream.end("typed\n");
	assert.deepEqual(await split(stream), ["typed\n", ""]);
	[made, stream] = await exec({ Cmd: ["sh", "-c", "read x; stty size"], Tty: true, AttachStdin: true }, { hijack: true, stdin: true, Tty: true });
	await made.resize({ h: 22, w: 66 });
	stream.write("\n");
	assert.match(await text(stream), /22 66\r\n$/);
	[made] = await exec({ Cmd: ["sh", "-c", "test $A = b && test $(id -u) = 1000"], User: "1000", Env: ["A=b"], WorkingDir: "/tmp" }, { Detach: true });
	await until(async () => (await made.inspect()).ExitCode === 0, "it ran in the background");
	await container.remove({ force: true });
});

test("terminal of a container: raw output, resize", async () => {
	const container = await start("tty", { Cmd: ["sh", "-c", "while [ ! -e /go ]; do sleep 1; done; stty size"], Tty: true });
	await container.resize({ h: 11, w: 44 });
	const made = await container.exec({ Cmd: ["touch", "/go"] });
	await made.start({ Detach: true });
	assert.equal((await container.wait()).StatusCode, 0);
	assert.equal((await container.logs({ stdout: true })).toString(), "11 44\r\n");
	await container.remove();
});

test("archives: put, stat, get, changes, export", async () => {
	const tar = require("tar-stream");
	const container = await start("files");
	const pack = tar.pack();
	pack.entry({ name: "new/file" }, "hello");
	pack.finalize();
	await container.putArchive(pack, { path: "/tmp" });
	const header = (await container.infoArchive({ path: "/tmp/new/file" })).headers["x-docker-container-path-stat"];
	assert.deepEqual((({ name, size }) => [name, size])(JSON.parse(Buffer.from(header, "base64"))), ["file", 5]);
	const entries = (stream) => new Promise((resolve, reject) => {
		const found = {}, extract = tar.extract();
		extract.on("entry", (entry, content, next) => {
			text(content).then((data) => {
				found[entry.name.replace(/^\.?\//, "")] = data;
				next();
			}, reject);
		});
		extract.on("finish", () => resolve(found));
		extract.on("error", reject);
		stream.pipe(extract);
	});
	assert.deepEqual(await entries(await container.getArchive({ path: "/tmp/new/file" })), { file: "hello" });
	assert((await container.changes()).some((item) => item.Path === "/tmp/new/file" && item.Kind === 1));
	assert.equal((await entries(await container.export()))["tmp/new/file"], "hello");
	await container.remove({ force: true });
});

test("top, stats once and as a stream, update", async () => {
	const container = await start("numbers");
	const top = await container.top();
	assert(top.Titles.includes("PID") && top.Processes.length >= 1);
	assert.equal((await container.top({ ps_args: "aux" })).Titles[0], "USER");
	const once = await container.stats({ stream: false });
	assert(once.cpu_stats.online_cpus >= 1 && once.memory_stats.usage > 0 && once.precpu_stats.system_cpu_usage > 0);
	assert.equal((await container.stats({ stream: false, "one-shot": true })).precpu_stats.system_cpu_usage, undefined);
	const stream = await container.stats({ stream: true });
	const lines = [];
	for await (const part of stream) {
		lines.push(...part.toString().split("\n").filter(Boolean));
		if (lines.length >= 2)
			break;
	}
	assert.equal(JSON.parse(lines[1]).preread, JSON.parse(lines[0]).read);
	await container.update({ Memory: 32 << 20, MemorySwap: 64 << 20 });
	assert.equal((await container.stats({ stream: false, "one-shot": true })).memory_stats.limit, 32 << 20);
	await container.remove({ force: true });
});

test("events: live and of the past, with filters", async () => {
	const live = await docker.getEvents({ filters: { container: ["node-events"], event: ["create", "destroy"] } });
	const container = await create("events");
	await container.remove();
	let seen = "";
	for await (const part of live) {
		seen += part;
		if (seen.includes("destroy"))
			break;
	}
	const actions = (lines) => lines.trim().split("\n").map((line) => JSON.parse(line).Action);
	assert.deepEqual(actions(seen), ["create", "destroy"]);
	const past = await docker.getEvents({ since: 1, until: JSON.parse(seen.trim().split("\n")[1]).time + 1, filters: { container: ["node-events"] } });
	assert.deepEqual(actions(await text(past)), ["create", "destroy"]);
});

test("prune and disk usage; networks and volumes are found", async () => {
	const container = await create("prune", { Labels: { prune: "node" } });
	assert((await docker.df()).Containers.some((item) => item.Id === container.id));
	assert.deepEqual((await docker.pruneContainers({ filters: { label: ["prune=node"] } })).ContainersDeleted, [container.id]);
	assert((await docker.listNetworks()).some((item) => item.Name === "bridge"));
	assert.equal((await docker.getNetwork("bridge").inspect()).Driver, "bridge");
	const volume = await docker.createVolume({ Name: "node-volume" });
	assert((await docker.listVolumes()).Volumes.some((item) => item.Name === "node-volume"));
	await volume.remove();
});

test("nothing of this program is left", async () => {
	assert.deepEqual(await docker.listContainers({ all: true, filters: { name: ["^/node-"] } }), []);
});

main();
