// What npm's @huggingface/hub sees of an embedded Hub, against what hubfs sees of
// it: as check.py, for the second official client.

import { execFileSync } from "node:child_process";
import { deepStrictEqual } from "node:assert";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as hf from "@huggingface/hub";

const { HUBFS, WORK, HF_ENDPOINT: hubUrl, HF_TOKEN: accessToken } = process.env;
const repo = { type: "model", name: "alice/conformance" };
const common = { repo, hubUrl, accessToken };
let passed = 0;
let failed = 0;

async function check(name, fn) {
	try {
		await fn();
		passed++;
		console.log(`ok   ${name}`);
	} catch (err) {
		failed++;
		console.log(`FAIL ${name}\n${err.stack ?? err}`);
	}
}

const hubfs = (...args) => execFileSync(HUBFS, args, { encoding: "utf8", timeout: 120_000 });
const hubfsApi = (method, ...args) => JSON.parse(hubfs("api", method, `repo_id=${repo.name}`, ...args));
const byPath = (a, b) => (a.path < b.path ? -1 : 1);

async function collect(iterator) {
	const all = [];
	for await (const item of iterator) {
		all.push(item);
	}
	return all;
}

const files = {
	"README.md": "---\nlicense: mit\n---\n# From npm\n",
	"with space.txt": "a name with a space\n",
	"umlaut-äöü-日本.txt": "Grüße\n",
	"data/train.csv": "a,b\n".repeat(5000),
	"weights.safetensors": "0123456789abcdef".repeat(1 << 18),
};

await check("fill", async () => {
	await hf.createRepo({ ...common, license: "mit" });
	await hf.commit({
		...common,
		title: "Files",
		useXet: false,
		operations: Object.entries(files).map(([path, text]) => ({ operation: "addOrUpdate", path, content: new Blob([text]) })),
	});
	await hf.createBranch({ ...common, branch: "side" });
	await hf.commit({ ...common, title: "Delete", branch: "side", useXet: false, operations: [{ operation: "delete", path: "with space.txt" }] });
	const pr = await hf.commit({
		...common,
		title: "Propose",
		isPullRequest: true,
		useXet: false,
		operations: [{ operation: "addOrUpdate", path: "proposed.txt", content: new Blob(["proposed\n"]) }],
	});
	if (!/\/discussions\/1$/.test(pr.pullRequestUrl)) {
		throw new Error(`pull request at ${pr.pullRequestUrl}`);
	}
});

await check("trees are alike", async () => {
	for (const revision of ["main", "side", "refs/pr/1"]) {
		const official = (await collect(hf.listFiles({ ...common, revision, recursive: true }))).sort(byPath).map((e) => ({
			path: e.path,
			oid: e.oid,
			...(e.type === "file" ? { size: e.size, sha256: e.lfs?.oid } : {}),
		}));
		const ours = hubfsApi("list_repo_tree", `revision=${revision}`, "recursive:=true").sort(byPath).map((e) => ({
			path: e.path,
			oid: e.blob_id ?? e.tree_id,
			...(e.blob_id ? { size: e.size, sha256: e.lfs?.sha256 } : {}),
		}));
		deepStrictEqual(ours, official);
	}
});

await check("commits are alike", async () => {
	const official = (await collect(hf.listCommits(common))).map((c) => [c.oid, c.title, c.message]);
	deepStrictEqual(hubfsApi("list_repo_commits").map((c) => [c.commit_id, c.title, c.message]), official);
});

await check("info is alike", async () => {
	const official = await hf.modelInfo({ name: repo.name, hubUrl, accessToken, additionalFields: ["sha"] });
	const ours = hubfsApi("model_info");
	deepStrictEqual([ours.id, ours.sha, ours.private], [official.name, official.sha, official.private]);
	deepStrictEqual((await hf.whoAmI({ hubUrl, accessToken })).name, JSON.parse(hubfs("api", "whoami")).name);
	deepStrictEqual(await hf.repoExists({ ...common, repo: { type: "model", name: "alice/not-there" } }), false);
	deepStrictEqual(await hf.fileExists({ ...common, path: "not-there" }), false);
});

await check("paths info is alike", async () => {
	const paths = ["README.md", "data", "weights.safetensors", "not-there"];
	const official = (await hf.pathsInfo({ ...common, paths })).sort(byPath).map((e) => [e.path, e.oid]);
	const ours = hubfsApi("get_paths_info", `paths:=${JSON.stringify(paths)}`).sort(byPath).map((e) => [e.path, e.blob_id ?? e.tree_id]);
	deepStrictEqual(ours, official);
});

await check("bytes are alike", async () => {
	const dir = join(WORK, "mnt-npm");
	mkdirSync(dir);
	hubfs("mount", repo.name, dir);
	try {
		for (const [path, text] of Object.entries(files)) {
			const blob = await hf.downloadFile({ ...common, path, xet: false });
			const official = await blob.text();
			// Another process than this one reads, too: a mount serves everybody.
			const mounted = execFileSync("cat", [join(dir, path)], { encoding: "utf8", maxBuffer: 64 << 20 });
			if (official !== text || mounted !== text || readFileSync(join(dir, path), "utf8") !== text) {
				throw new Error(`${path} differs`);
			}
		}
	} finally {
		hubfs("umount", dir);
	}
});

await check("delete", async () => {
	await hf.deleteFile({ ...common, path: "data/train.csv" });
	deepStrictEqual(await hf.fileExists({ ...common, path: "data/train.csv" }), false);
	await hf.deleteRepo(common);
	deepStrictEqual(await hf.repoExists(common), false);
});

console.log(`${passed} passed, ${failed} failed`);
