import { expect, test } from "vitest";
import type { RequestSummary } from "../src/model/requests.ts";
import type { WatchRow } from "../src/model/watch.ts";
import { byStatus, newsOf, progressOf, statusOf } from "../src/ui/watch/words.ts";
import { duration } from "../src/ui/wait.ts";
import { listed, count } from "../src/ui/words.ts";

const row = (name: string, stage: WatchRow["stage"], status: string, detail?: string) =>
  ({ name, stage, status, detail }) as WatchRow;

test("numbers and times are words", () => {
  expect([count(1, "job"), count(1_200, "job")]).toEqual(["1 job", "1,200 jobs"]);
  expect(listed([[2, "failed"], [0, "running"], [3, "waiting"]])).toBe("2 failed, 3 waiting"); // prettier-ignore
  expect([500, 42_000, 300_000, 3_600_000].map(duration)).toEqual(["1 s", "42 s", "5 min", "60 min"]);
});

test("jobs with the same status for the same reason are together", () => {
  const rows = [row("a", "waiting", "waiting", "For x."), row("b", "waiting", "pending"), row("c", "waiting", "waiting", "For x.")]; // prettier-ignore
  expect(byStatus(rows).map(({ status, detail, rows }) => [status, detail, rows.map(({ name }) => name)])).toEqual([
    ["waiting", "For x.", ["a", "c"]],
    ["pending", "", ["b"]],
  ]);
});

test("news are short: a name for one job, counts for several, and the end", () => {
  const changed = [
    row("a", "failed", "testfailed"),
    row("b", "succeeded", "success"),
    row("c", "succeeded", "success"),
  ];
  expect(newsOf(changed.slice(0, 1), false)).toBe("a: tests failed.");
  expect(newsOf(changed, false)).toBe("1 now failed, 2 now succeeded.");
  expect(newsOf([], true)).toBe("The request has ended.");
  expect(newsOf([], false)).toBe("");
});

test("a request in a list says how far it is", () => {
  const progress = { waiting: 0, running: 2, succeeded: 3, failed: 1 };
  const summary = (others: Partial<RequestSummary>) => ({ job_counts: {}, ...others }) as RequestSummary;
  expect(progressOf(summary({ progress, job_counts: { forwarded: 6, rejected: 1 } }))).toBe(
    "1 failed, 2 running, 3 succeeded, 1 refused",
  );
  // Of a request that an earlier version stored.
  expect(progressOf(summary({ job_counts: { forwarded: 6 } }))).toBe("6 jobs");
});

test("a status that is not known is shown as it is", () => {
  expect(statusOf("of_a_newer_version")).toBe("of a newer version");
});
