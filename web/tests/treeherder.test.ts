import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runUrl, taskUrl } from "../src/links.ts";
import { loadPushes } from "../src/pushes.ts";
import { loadDecisionTask, loadPush, loadRuns, pushUrl } from "../src/treeherder.ts";

const TREEHERDER = "https://treeherder.example.org";
let asked: string[] = [];
let answer: (url: URL) => unknown = () => undefined;

beforeEach(() => {
  asked = [];
  answer = () => undefined;
  vi.stubGlobal("location", { href: "https://page.example.org/" });
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url.slice(TREEHERDER.length));
    const body = answer(new URL(url));
    return new Response(JSON.stringify(body ?? "not found"), { status: body === undefined ? 404 : 200 });
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function pushOf(id: number, time = id) {
  const revisions = [{ comments: `Bug ${id}\n\nmore` }, { comments: "older" }];
  return { id, revision: `${id}`, author: "dev@example.org", push_timestamp: time, revisions, revision_count: 7 };
}

function jobOf(id: number, others: object = {}) {
  const type = { build_system_type: "taskcluster", job_type_name: `test-${id}` };
  return { id, ...type, state: "completed", result: "success", ...others };
}

test("a push is read from Treeherder's answer", async () => {
  answer = () => pushOf(5);
  const push = await loadPush(TREEHERDER, "try", 5);
  expect(push).toMatchObject({ id: 5, author: "dev@example.org", time: 5, comment: "Bug 5", commits: 7 });
  expect(asked).toEqual(["/api/project/try/push/5/"]);
});

test("older pushes are those before one, also within its second", async () => {
  answer = () => ({ results: [pushOf(9, 90), pushOf(8, 90), pushOf(7, 80)] });
  const newest = await loadPushes(TREEHERDER, "try", { author: "dev@example.org" });
  expect(newest.pushes.map(({ id }) => id)).toEqual([9, 8, 7]);
  expect(newest.hasOlder).toBe(false);
  const older = await loadPushes(TREEHERDER, "try", {}, newest.pushes[0]);
  expect(older.pushes.map(({ id }) => id)).toEqual([8, 7]);
  expect(asked).toEqual([
    "/api/project/try/push/?count=20&author=dev%40example.org",
    "/api/project/try/push/?count=21&push_timestamp__lt=91",
  ]);
});

test("a push or a project that Treeherder does not have is a sentence", async () => {
  await expect(loadPush(TREEHERDER, "try", 5)).rejects.toThrow("Treeherder has no push 5 on try.");
  await expect(loadPushes(TREEHERDER, "x")).rejects.toThrow("Treeherder has no project x.");
});

test("a full page may have older pushes behind it", async () => {
  answer = () => ({ results: Array.from({ length: 20 }, (_, place) => pushOf(100 - place)) });
  expect((await loadPushes(TREEHERDER, "try")).hasOlder).toBe(true);
});

test("all pages of runs are loaded", async () => {
  const all = Array.from({ length: 4_100 }, (_, place) => jobOf(place + 1));
  answer = ({ searchParams }) => {
    const offset = Number(searchParams.get("offset"));
    return { results: all.slice(offset, offset + Number(searchParams.get("count"))) };
  };
  const runs = await loadRuns(TREEHERDER, "try", 5);
  expect(runs.length).toBe(4_100);
  expect(asked.map((path) => path.replace(/^.*offset=/, ""))).toEqual(["0", "2000", "4000"]);
});

test("a service that ignores the offset is not asked for ever", async () => {
  answer = () => ({ results: Array.from({ length: 2_000 }, (_, place) => jobOf(place + 1)) });
  expect((await loadRuns(TREEHERDER, "try", 5)).length).toBe(2_000);
  expect(asked.length).toBe(2);
});

test("a push may have a decision task", async () => {
  answer = () => ({ "5": { id: "abc", run: "0" } });
  expect(await loadDecisionTask(TREEHERDER, "try", 5)).toBe("abc");
  expect(asked).toEqual(["/api/project/try/push/decisiontask/?push_ids=5"]);
  answer = () => undefined;
  expect(await loadDecisionTask(TREEHERDER, "try", 5)).toBeUndefined();
});

test("pushes, runs and tasks have addresses", () => {
  expect(pushUrl(TREEHERDER, "try")).toBe(`${TREEHERDER}/jobs?repo=try`);
  expect(runUrl(TREEHERDER, "try", 7, "ab")).toBe(`${TREEHERDER}/jobs?repo=try&revision=ab&selectedJob=7`);
  expect(taskUrl("https://tc.example.org", "a-_b")).toBe("https://tc.example.org/tasks/a-_b");
});
