// Times what the page does with the jobs of a list, and the memory that they take:
//
//     npm run bench [-- GRID.json]
//
// GRID.json is an answer to `?view=grid`; without it, 30,000 made-up jobs are one. Times are the processor's, in
// milliseconds: the median and the worst of 30 rounds, after five that do not count. "first" is the first round, for
// which nothing is compiled. A ratio is a median through that of JSON.parse, which no page can avoid: it is much the
// same on a slower or a busy machine.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Layout } from "../src/model/grid.ts";
import { type Grid } from "../src/model/jobs.ts";
import { parseQuery } from "../src/model/query.ts";
import { readRuns, Runs } from "../src/model/runs.ts";
import { count, search } from "../src/model/search.ts";
import { Selection } from "../src/model/selection.ts";
import { gridOf, madeJobs, readGrid } from "../tests/support/labels.ts";

const [WARM_UP, ROUNDS] = [5, 30];
const QUERIES = ["m", "mochitest", "mochitest linux !asan", "^test-linux debug$", "wpt | web-platform 24h2 !opt", "1"];

const [path] = process.argv.slice(2);
const text = path === undefined ? JSON.stringify(gridOf(madeJobs(30_000))) : readFileSync(path, "utf8");

function time(action: () => unknown): { first: number; median: number; worst: number } {
  const times = Array.from({ length: WARM_UP + ROUNDS }, () => {
    const start = process.cpuUsage();
    action();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1_000;
  });
  const sorted = times.slice(WARM_UP).sort((one, other) => one - other);
  return { first: times[0], median: sorted[ROUNDS / 2], worst: sorted[ROUNDS - 1] };
}

/** The memory in use, without what is not needed any more. */
async function heap(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

let parse = 0;
function print(what: string, action: () => unknown): void {
  const { first, median, worst } = time(action);
  parse ||= median;
  const numbers = [first, median, worst].map((ms) => ms.toFixed(1).padStart(8)).join("");
  console.log(`${what.padEnd(46)}${numbers}${(median / parse).toFixed(2).padStart(8)}`);
}

const read = () => readGrid(JSON.parse(text) as Grid);
// Functions that are compiled and caches that are filled are not the jobs' memory.
new Layout(read());
const before = await heap();
const jobs = read();
const decoded = await heap();
const layout = new Layout(jobs);
const laid = await heap();
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const gzip = gzipSync(text).length;
console.log(`${jobs.size} jobs, ${layout.rows.length} rows, ${layout.groups.length} groups`);
console.log(`answer: ${megabytes(text.length)}, ${(gzip / 1e3).toFixed(0)} KB gzip`);
console.log(`heap: jobs ${megabytes(decoded - before)}, layout ${megabytes(laid - decoded)}\n`);

console.log(`${"".padEnd(46)}${["first", "median", "worst", "ratio"].map((word) => word.padStart(8)).join("")}`);
print("JSON.parse", () => JSON.parse(text) as unknown);
const answer = JSON.parse(text) as Grid;
print("jobs of the answer", () => readGrid(answer));
print("rows, groups, folds", () => new Layout(jobs));

const none = Selection.none(jobs);
const all = new Uint8Array(jobs.size).fill(1);
print("view of everything, groups folded", () => layout.view(all, none.mask));
for (const query of QUERIES) {
  const found = count(search(jobs, parseQuery(query)));
  print(`key: '${query}' (${found})`, () => {
    const visible = search(jobs, parseQuery(query));
    const view = layout.view(visible, none.mask);
    if (!view.isOpen) return view;
    return view.rows.flatMap(({ groups }) => groups.map(({ group }) => layout.items(group, visible)));
  });
}
print("select all visible", () => layout.view(all, none.set(all).mask));
const selection = none.set(all);
print("names of all selected", () => selection.names());
print("store all selected", () => selection.serialise());
const stored = selection.serialise();
print("restore all selected", () => Selection.read(jobs, stored));

const results = Array.from({ length: jobs.size }, (_, job) => job)
  .filter((job) => job % 10 === 0)
  .map((job, id) => ({
    id,
    build_system_type: "taskcluster",
    job_type_name: jobs.name(job),
    state: "completed",
    result: id % 20 === 0 ? "testfailed" : "success",
  }));
print(`${results.length} jobs of Treeherder's beside them`, () => {
  const ran = readRuns({ results });
  return new Runs(jobs.with(ran), ran);
});
