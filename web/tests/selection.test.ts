import { expect, test } from "vitest";
import { Layout } from "../src/model/grid.ts";
import { parseQuery } from "../src/model/query.ts";
import { search } from "../src/model/search.ts";
import { isLarge, requestsOf, Selection } from "../src/model/selection.ts";
import { gridOf, job, madeJobs, readGrid } from "./support/labels.ts";

const jobs = readGrid(gridOf(["a", "b", "c", "d", "e"].map((name) => job(name))));
const none = Selection.none(jobs);

test("nothing is selected at first", () => {
  expect([none.size, none.names(), none.has(0)]).toEqual([0, [], false]);
});

test("setting sets, however often, and clearing clears", () => {
  const set = none.set([1, 3]).set([3, 4]);
  expect([set.size, set.names()]).toEqual([3, ["b", "d", "e"]]);
  expect(set.clear([3, 0]).names()).toEqual(["b", "e"]);
  expect(set.clearAll().size).toBe(0);
});

test("a step leaves the selection before it as it was", () => {
  const set = none.set([1]);
  set.clear([1]);
  set.set([2]);
  expect([none.size, set.names()]).toEqual([0, ["b"]]);
});

test("visible jobs can be set, cleared and inverted, and the others stay", () => {
  const visible = Uint8Array.of(0, 1, 1, 1, 0);
  const set = none.set([0, 1]);
  expect(set.set(visible).names()).toEqual(["a", "b", "c", "d"]);
  expect(set.clear(visible).names()).toEqual(["a"]);
  expect(set.invert(visible).names()).toEqual(["a", "c", "d"]);
});

test("a selection outlives the filter", () => {
  const listed = readGrid(gridOf(madeJobs(500)));
  const set = Selection.none(listed).set(search(listed, parseQuery("mochitest debug")));
  const both = set.set(search(listed, parseQuery("xpcshell opt")));
  expect(both.size).toBeGreaterThan(set.size);
  expect(set.names().every((name) => both.names().includes(name))).toBe(true);
});

test("chunks are set by ranges, and the others of the suite cleared", () => {
  const suite = readGrid(gridOf([1, 2, 3, 4, 5, 6].map((chunk) => job(`mochitest-${chunk}`, { symbol: `${chunk}` }))));
  const layout = new Layout(suite);
  const set = Selection.none(suite).set([1]);
  const ranges = [[1, 1], [4, 6]] as const; // prettier-ignore
  expect(set.setChunks(layout.chunksOf(0), ranges, (one) => layout.chunk(one)).names()).toEqual([
    "mochitest-1",
    "mochitest-4",
    "mochitest-5",
    "mochitest-6",
  ]);
});

test("a job that is not in the list cannot be selected", () => {
  const all = jobs.with([job("Gecko Decision Task")]);
  expect(Selection.none(all).set([4, 5]).names()).toEqual(["e"]);
  expect(Selection.none(all).invert(new Uint8Array(6).fill(1)).size).toBe(5);
  expect(Selection.of(all, ["Gecko Decision Task"]).absent).toEqual(["Gecko Decision Task"]);
});

test("a selection stays while more jobs run on the push", () => {
  const set = Selection.of(jobs, ["b", "e", "elsewhere"]);
  const later = set.in(jobs.with([job("Gecko Decision Task"), job("e")]));
  expect([later.jobs.size, later.mask.length, later.size]).toEqual([6, 6, 2]);
  expect([later.names(), later.absent]).toEqual([["b", "e"], ["elsewhere"]]);
  expect(later.in(jobs).mask).toEqual(set.mask);
});

test("a selection is stored and read, in another list too", () => {
  const stored = none.set([0, 4]).serialise();
  expect(Selection.read(jobs, stored).names()).toEqual(["a", "e"]);
  const other = readGrid(gridOf([job("e"), job("f")]));
  const moved = Selection.read(other, stored);
  expect([moved.names(), moved.absent, moved.size]).toEqual([["e"], ["a"], 1]);
  // Nothing is lost on the way back.
  expect(moved.set([1]).in(jobs).names()).toEqual(["a", "e"]);
  expect(moved.set([1]).in(jobs).absent).toEqual(["f"]);
});

test.each([null, "", "{", "[]", "null", '{"version":2,"names":["a"]}', '{"version":1,"names":"a"}'])(
  "the invalid selection %s is empty",
  (text) => {
    expect(Selection.read(jobs, text).size).toBe(0);
  },
);

test("the tray is the view of the selection", () => {
  const listed = readGrid(gridOf(madeJobs(2_000)));
  const layout = new Layout(listed);
  const { mask, size } = Selection.none(listed).set(search(listed, parseQuery("mochitest-plain linux2404-64")));
  const tray = layout.view(mask, mask);
  expect(tray.visible).toBe(size);
  expect(tray.rows.length).toBeGreaterThan(1);
  expect(layout.items(tray.rows[0].groups[0].group, mask)).toMatchObject([{ kind: "chunks", text: "1-18" }]);
});

test("more than 1,000 jobs are large, and are several requests", () => {
  const names = Array.from({ length: 2_001 }, (_, number) => `job-${number}`);
  expect([isLarge(1_000), isLarge(1_001)]).toEqual([false, true]);
  expect(requestsOf(names).map((request) => request.length)).toEqual([1_000, 1_000, 1]);
  expect(requestsOf(names).flat()).toEqual(names);
  expect(requestsOf([])).toEqual([]);
});

test("builds are requested before the jobs that need them", () => {
  const buildbot = readGrid(gridOf([job("test a", { build: "z build" }), job("test b"), job("z build")]));
  expect(Selection.none(buildbot).set([0, 1, 2]).requests()).toEqual([["z build", "test a", "test b"]]);
  expect(Selection.none(buildbot).requests()).toEqual([]);
});

test("a request of long names has fewer", () => {
  const names = Array.from({ length: 600 }, (_, number) => "é".repeat(490) + number);
  const requests = requestsOf(names);
  expect(requests.flat()).toEqual(names);
  for (const request of requests) {
    expect(new TextEncoder().encode(JSON.stringify(request)).length).toBeLessThan(256 * 1024 - 1_000);
  }
});
