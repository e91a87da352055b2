// The frame of the programs in this folder: `node X.js --list` prints the cases, one per line; `node X.js` runs them in order and
// prints a line of JSON for each, {"name", "error"}. A case is an async function; what it throws is the error.
"use strict";

const cases = [];

exports.test = (name, body) => cases.push({ name, body });

exports.until = async (look, what, seconds = 60) => {
	const end = Date.now() + seconds * 1000;
	while (!(await look())) {
		if (Date.now() > end)
			throw new Error(`${what}: not within ${seconds} s`);
		await new Promise((resolve) => setTimeout(resolve, 200));
	}
};

// Everything that a stream has, as text.
exports.text = (stream) => new Promise((resolve, reject) => {
	const parts = [];
	stream.on("data", (part) => parts.push(part));
	stream.on("end", () => resolve(Buffer.concat(parts).toString()));
	stream.on("error", reject);
});

const limited = (promise, seconds) => {
	let timer;
	const late = new Promise((_resolve, reject) => {
		timer = setTimeout(() => reject(new Error(`not within ${seconds} s`)), seconds * 1000);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

exports.main = async () => {
	if (process.argv[2] === "--list") {
		for (const { name } of cases)
			console.log(name);
		return;
	}
	for (const { name, body } of cases) {
		let error = null;
		try {
			await limited(body(), 120);
		} catch (thrown) {
			error = String(thrown && thrown.stack || thrown);
		}
		console.log(JSON.stringify({ name, error }));
	}
	process.exit(0);
};
