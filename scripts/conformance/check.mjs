// What npm's @huggingface/hub sees of an embedded Hub, against what hubfs sees of
// it: as check.py, for the second official client.

import { execFileSync } from "node:child_process";
import { deepStrictEqual, ok, rejects } from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as hf from "@huggingface/hub";

const { HUBFS, WORK, HF_ENDPOINT: hubUrl, HF_TOKEN: accessToken } = process.env;
const name = "alice/conformance";
const repo = { type: "model", name };
const common = { repo, hubUrl, accessToken };
console.debug = () => {}; // where the client tells of each download
let passed = 0;
let failed = 0;

async function check(title, fn) {
	const start = performance.now();
	const took = () => `(${((performance.now() - start) / 1000).toFixed(1)} s)`;
	try {
		await fn();
		passed++;
		console.log(`ok   ${title} ${took()}`);
	} catch (err) {
		failed++;
		console.log(`FAIL ${title} ${took()}\n${err.stack ?? err}`);
	}
}

function hubfs(args, env = {}) {
	return execFileSync(HUBFS, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 120_000, maxBuffer: 64 << 20, env: { ...process.env, ...env } });
}

function hubfsApi(method, parameters = {}) {
	const args = Object.entries(parameters).map(([k, v]) => (typeof v === "string" ? `${k}=${v}` : `${k}:=${JSON.stringify(v)}`));
	return JSON.parse(hubfs(["api", method, ...args]));
}

const byPath = (a, b) => (a.path < b.path ? -1 : 1);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = async (blob) => Buffer.from(await blob.arrayBuffer());

async function collect(iterator) {
	const all = [];
	for await (const item of iterator) {
		all.push(item);
	}
	return all;
}

// The files below a folder, as another process than the daemon reads them.
function readAll(dir) {
	const entries = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((e) => !e.isDirectory());
	return Object.fromEntries(
		entries.map((e) => {
			const path = join(e.parentPath, e.name);
			return [path.slice(dir.length + 1), sha256(readFileSync(path))];
		})
	);
}

let mounts = 0;

async function mounted(source, fn, env = {}) {
	const dir = join(WORK, `mnt${++mounts}`);
	mkdirSync(dir);
	hubfs(["mount", source, dir], { HF_HUB_CACHE: join(WORK, `cache${mounts}`), ...env });
	try {
		await fn(dir);
	} finally {
		hubfs(["umount", dir]);
	}
}

function sameTree(a, b) {
	execFileSync("diff", ["-r", a, b], { encoding: "utf8", timeout: 120_000 });
}

const files = {
	"README.md": "---\nlicense: mit\n---\n# From npm\n",
	"with space.txt": "a name with a space\n",
	"umlaut-äöü-日本.txt": "Grüße\n",
	"data/train.csv": "a,b\n".repeat(5000),
	"data/deep/er/leaf.json": "{}\n",
	"weights.bin": "0123456789abcdef".repeat(1 << 16), // LFS, in one request
	"large.safetensors": "fedcba9876543210".repeat((65 << 20) / 16), // LFS, in parts
};
// What this client can write but not download, for it doesn't quote a path, and asks
// for the first byte of every file: on a branch of its own.
const awkward = {
	"percent%41+&?.txt": "a name that must be quoted\n",
	"empty.txt": "",
};
const REVISIONS = ["main", "side", "refs/pr/1", "v1.0"];
const source = (revision) => `${name}@${encodeURIComponent(revision)}`;

await check("fill", async () => {
	await hf.createRepo({ ...common, license: "mit" });
	await rejects(hf.createRepo(common), { statusCode: 409 });
	await hf.commit({
		...common,
		title: "Files",
		description: "With a text\n\nof its own",
		useXet: false,
		operations: Object.entries(files).map(([path, text]) => ({ operation: "addOrUpdate", path, content: new Blob([text]) })),
	});
	hubfsApi("create_tag", { repo_id: name, tag: "v1.0" }); // which this client has no function for
	await hf.createBranch({ ...common, branch: "side" });
	await hf.createBranch({ ...common, branch: "short-lived" });
	await hf.deleteBranch({ ...common, branch: "short-lived" });
	await hf.commit({
		...common,
		title: "Delete and replace",
		branch: "side",
		useXet: false,
		operations: [
			{ operation: "delete", path: "with space.txt" },
			{ operation: "addOrUpdate", path: "data/train.csv", content: new Blob(["replaced\n"]) },
		],
	});
	await rejects(hf.commit({ ...common, title: "Stale", parentCommit: "0".repeat(39) + "1", useXet: false, operations: [{ operation: "delete", path: "README.md" }] }), { statusCode: 412 });
	const pr = await hf.commit({
		...common,
		title: "Propose",
		isPullRequest: true,
		useXet: false,
		operations: [{ operation: "addOrUpdate", path: "proposed.txt", content: new Blob(["proposed\n"]) }],
	});
	ok(/\/discussions\/1$/.test(pr.pullRequestUrl), pr.pullRequestUrl);
	await hf.uploadFile({ ...common, useXet: false, file: { path: "uploaded.txt", content: new Blob(["uploaded\n"]) } });
	await hf.createBranch({ ...common, branch: "awkward" });
	await hf.uploadFiles({ ...common, branch: "awkward", useXet: false, files: Object.entries(awkward).map(([path, text]) => ({ path, content: new Blob([text]) })) });
	await hf.uploadFiles({ ...common, useXet: false, files: ["a", "b", "c"].map((x) => ({ path: `more/${x}.txt`, content: new Blob([x]) })) });
	await hf.deleteFile({ ...common, path: "more/a.txt" });
	await hf.deleteFiles({ ...common, paths: ["more/b.txt", "data/deep/er/leaf.json"] });
	await hf.createRepo({ ...common, repo: { type: "dataset", name } });
	await hf.createRepo({ ...common, repo: { type: "space", name }, sdk: "static" });
});

await check("trees are alike", async () => {
	for (const revision of [...REVISIONS, "awkward"]) {
		for (const expand of [false, true]) {
			const official = (await collect(hf.listFiles({ ...common, revision, recursive: true, expand }))).sort(byPath).map((e) => ({
				path: e.path,
				oid: e.oid,
				commit: e.lastCommit?.id,
				...(e.type === "file" ? { size: e.size, sha256: e.lfs?.oid } : {}),
			}));
			const ours = hubfsApi("list_repo_tree", { repo_id: name, revision, recursive: true, expand }).sort(byPath).map((e) => ({
				path: e.path,
				oid: e.blob_id ?? e.tree_id,
				commit: e.last_commit?.oid,
				...(e.blob_id ? { size: e.size, sha256: e.lfs?.sha256 } : {}),
			}));
			deepStrictEqual(ours, official);
		}
	}
	const paths = (await collect(hf.listFiles({ ...common, recursive: true }))).filter((e) => e.type === "file").map((e) => e.path);
	const expected = [".gitattributes", "uploaded.txt", "more/c.txt", ...Object.keys(files).filter((p) => p !== "data/deep/er/leaf.json")];
	deepStrictEqual(paths.sort(), expected.sort());
});

await check("commits are alike", async () => {
	for (const revision of REVISIONS) {
		const official = (await collect(hf.listCommits({ ...common, revision }))).map((c) => [c.oid, c.title, c.message, c.date.toISOString(), c.authors.map((a) => a.username)]);
		const ours = hubfsApi("list_repo_commits", { repo_id: name, revision }).map((c) => [c.commit_id, c.title, c.message, c.created_at, c.authors]);
		deepStrictEqual(ours, official);
		deepStrictEqual(await hf.countCommits({ ...common, revision }), official.length);
	}
});

await check("infos are alike", async () => {
	for (const [type, info, method] of [["model", hf.modelInfo, "model_info"], ["dataset", hf.datasetInfo, "dataset_info"], ["space", hf.spaceInfo, "space_info"]]) {
		const official = await info({ name, hubUrl, accessToken, additionalFields: ["sha", "author", "tags"] });
		const ours = hubfsApi(method, { repo_id: name });
		deepStrictEqual(
			[ours._id, ours.id, ours.sha, ours.author, ours.tags, ours.private, ours.likes, ours.last_modified],
			[official.id, official.name, official.sha, official.author, official.tags, official.private, official.likes, official.updatedAt.toISOString()],
			type
		);
	}
	const { name: user, type } = await hf.whoAmI({ hubUrl, accessToken });
	const ours = hubfsApi("whoami");
	deepStrictEqual([ours.name, ours.type], [user, type]);
});

await check("lists of repositories are alike", async () => {
	for (const [list, method] of [[hf.listModels, "list_models"], [hf.listDatasets, "list_datasets"], [hf.listSpaces, "list_spaces"]]) {
		const official = (await collect(list({ hubUrl, accessToken, search: { owner: "alice" } }))).map((r) => r.name);
		deepStrictEqual(official, [name]);
		deepStrictEqual(hubfsApi(method, { author: "alice" }).map((r) => r.id), official);
	}
});

await check("paths info is alike", async () => {
	const paths = ["README.md", "data", "weights.bin", "umlaut-äöü-日本.txt", "not-there"];
	const official = (await hf.pathsInfo({ ...common, paths, expand: true })).sort(byPath).map((e) => [e.path, e.oid, e.lastCommit.id, e.lfs?.oid]);
	const ours = hubfsApi("get_paths_info", { repo_id: name, paths, expand: true }).sort(byPath).map((e) => [e.path, e.blob_id ?? e.tree_id, e.last_commit.oid, e.lfs?.sha256]);
	deepStrictEqual(ours, official);
});

await check("metadata is alike", async () => {
	for (const path of ["README.md", "weights.bin", "with space.txt", "umlaut-äöü-日本.txt"]) {
		const official = await hf.fileDownloadInfo({ ...common, path });
		const url = `${hubUrl}/${name}/resolve/main/${encodeURIComponent(path)}`;
		const ours = hubfsApi("get_hf_file_metadata", { url });
		deepStrictEqual([`"${ours.etag}"`, ours.size], [official.etag, official.size], path);
	}
	deepStrictEqual(await hf.fileDownloadInfo({ ...common, path: "not-there" }), null);
});

await check("existence and refusals are alike", async () => {
	deepStrictEqual(await hf.repoExists({ ...common, repo: { type: "model", name: "alice/not-there" } }), hubfsApi("repo_exists", { repo_id: "alice/not-there" }));
	deepStrictEqual(await hf.fileExists({ ...common, path: "not-there" }), hubfsApi("file_exists", { repo_id: name, filename: "not-there" }));
	deepStrictEqual(await hf.fileExists({ ...common, path: "with space.txt" }), hubfsApi("file_exists", { repo_id: name, filename: "with space.txt" }));
	await hf.checkRepoAccess(common);
	const missing = { ...common, repo: { type: "model", name: "alice/not-there" } };
	await rejects(hf.checkRepoAccess(missing), (err) => {
		ok(err.statusCode === 404 && err.message, err);
		try {
			hubfsApi("model_info", { repo_id: "alice/not-there" });
		} catch (ours) {
			return ours.stderr.includes(err.message.split(".")[0]);
		}
		return false;
	});
	await rejects(hf.checkRepoAccess({ ...common, accessToken: "hf_wrong" }), { statusCode: 401 });
});

await check("bytes are alike", async () => {
	await mounted(source("awkward"), async (dir) => {
		for (const [path, text] of Object.entries(awkward)) {
			deepStrictEqual(readFileSync(join(dir, path), "utf8"), text, path);
		}
	});
	await mounted(name, async (dir) => {
		for (const [path, text] of Object.entries(files)) {
			const blob = await hf.downloadFile({ ...common, path, revision: "v1.0", xet: false });
			deepStrictEqual((await bytesOf(blob)).equals(Buffer.from(text)), true, path);
			if (path !== "data/deep/er/leaf.json") {
				deepStrictEqual(readFileSync(join(dir, path)).equals(Buffer.from(text)), true, path);
			}
		}
		const part = await hf.downloadFile({ ...common, path: "large.safetensors", xet: false });
		deepStrictEqual(await part.slice(1000, 1016).text(), files["large.safetensors"].slice(1000, 1016));
	});
});

await check("mount equals snapshot", async () => {
	const cacheDir = join(WORK, "snapshots");
	for (const revision of REVISIONS) {
		const snapshot = await hf.snapshotDownload({ ...common, revision, cacheDir });
		await mounted(source(revision), async (dir) => sameTree(snapshot, dir));
	}
});

await check("the cache is shared", async () => {
	const cacheDir = join(WORK, "shared");
	const env = { HF_HUB_CACHE: cacheDir };
	const noRequest = () => {
		throw new Error("a request for what is cached");
	};
	// What was read through the mount is found by the client, which needs no request for a commit's file.
	await mounted(source("side"), async (dir) => deepStrictEqual(Object.keys(readAll(dir)).length > 5, true), env);
	const { sha } = hubfsApi("model_info", { repo_id: name, revision: "side" });
	for (const path of ["weights.bin", "data/train.csv"]) {
		const found = await hf.downloadFileToCacheDir({ ...common, path, revision: sha, cacheDir, fetch: noRequest });
		ok(found.startsWith(cacheDir), found);
	}
	// And the mount reads what the client downloaded, also without the network.
	const snapshot = await hf.snapshotDownload({ ...common, revision: "v1.0", cacheDir });
	await mounted(source("v1.0"), async (dir) => sameTree(snapshot, dir), env);
	const scan = await hf.scanCacheDir(cacheDir);
	deepStrictEqual(scan.repos.map((r) => r.id.name), [name]);
});

await check("what hubfs writes is read by the client", async () => {
	const other = { ...common, repo: { type: "model", name: "alice/by-hubfs" } };
	hubfsApi("create_repo", { repo_id: other.repo.name });
	hubfsApi("upload_folder", { repo_id: other.repo.name, folder_path: await hf.snapshotDownload({ ...common, revision: "v1.0", cacheDir: join(WORK, "snapshots") }) });
	const ids = async (where) => (await collect(hf.listFiles({ ...where, recursive: true }))).sort(byPath).map((e) => [e.path, e.oid]);
	deepStrictEqual(await ids(other), await ids({ ...common, revision: "v1.0" }));
});

await check("delete", async () => {
	await hf.deleteRepo(common);
	deepStrictEqual(await hf.repoExists(common), false);
	deepStrictEqual(hubfsApi("repo_exists", { repo_id: name }), false);
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
