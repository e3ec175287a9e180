import { describe, expect, test } from "vitest";
import type { RequestedJob, TriggerRequest } from "../src/model/requests.ts";
import { pauseBefore } from "../src/model/pause.ts";
import { changes, pauseAfterFailures, readWatch } from "../src/model/watch.ts";

const SINCE = "2026-11-26T12:00:00Z";

function requestOf(jobs: RequestedJob[], others: Partial<TriggerRequest> = {}): TriggerRequest {
  return {
    request_id: "01KAS4B0MRJ6WJ0RGDX8T0E4JQ",
    project: "try",
    push_id: 1001,
    revision: null,
    state: "forwarded",
    job_counts: {},
    created_at: SINCE,
    requester: null,
    links: { self: "/request/", retry: null, push: null },
    history: [],
    progress: { waiting: 0, running: 0, succeeded: 0, failed: 0 },
    finished_at: null,
    actions: [],
    ...others,
    jobs,
  };
}

function forwarded(name: string, state?: string, result?: string): RequestedJob {
  if (state === undefined) return { name, state: "forwarded" };
  return { name, state: "forwarded", outcome: { state, since: SINCE, ...(result !== undefined && { result }) } };
}

const JOBS: RequestedJob[] = [
  { name: "accepted", state: "accepted" },
  { name: "waiting", state: "waiting", code: "build_running", detail: "It waits." },
  { name: "triggering", state: "triggering", destination: "taskcluster" },
  forwarded("forwarded"),
  forwarded("unscheduled", "unscheduled"),
  forwarded("pending", "pending"),
  forwarded("running", "running"),
  forwarded("green", "completed", "success"),
  forwarded("orange", "completed", "testfailed"),
  forwarded("not seen", "not_seen"),
  { name: "unroutable", state: "unroutable" },
  { name: "failed", state: "failed", code: "build_failed" },
  { name: "rejected", state: "rejected", code: "unknown_job" },
];

describe("a watched request", () => {
  test("has a row for each job, with how far it is", () => {
    const { rows, counts } = readWatch(requestOf(JOBS));
    expect(rows.map(({ name, stage, status }) => `${name}: ${stage}, ${status}`)).toEqual([
      "accepted: waiting, accepted",
      "waiting: waiting, waiting",
      "triggering: waiting, triggering",
      "forwarded: waiting, forwarded",
      "unscheduled: waiting, unscheduled",
      "pending: waiting, pending",
      "running: running, running",
      "green: succeeded, success",
      "orange: failed, testfailed",
      "not seen: failed, not_seen",
      "unroutable: failed, unroutable",
      "failed: failed, failed",
      "rejected: refused, rejected",
    ]);
    expect(counts).toEqual({ waiting: 6, running: 1, succeeded: 1, failed: 4, refused: 1 });
  });

  test("retries jobs that were not delivered where the API allows it, and requests failed jobs anew", () => {
    const open = readWatch(requestOf(JOBS));
    expect([open.retryPath, open.retried, open.requestedAnew]).toEqual([undefined, [], ["orange", "not seen"]]);
    const links = { self: "/request/", retry: "/request/retry/", push: null };
    const ended = readWatch(requestOf(JOBS, { links }));
    expect([ended.retryPath, ended.retried]).toEqual(["/request/retry/", ["unroutable", "failed"]]);
  });

  test("says how many of the jobs that a retry sends may have arrived", () => {
    const jobs: RequestedJob[] = [
      {
        name: "lost",
        state: "failed",
        detail: "No confirm. It may have arrived at Pulse all the same: a retry may run it twice.",
      },
      { name: "unroutable", state: "unroutable", detail: "No listener takes it." },
    ];
    const links = { self: "/request/", retry: "/request/retry/", push: null };
    expect(readWatch(requestOf(jobs, { links })).uncertain).toBe(1);
    expect(readWatch(requestOf(jobs)).uncertain).toBe(0);
  });

  test("has links to the runs", () => {
    const outcome = { state: "running", since: SINCE, task_id: "fN1SbArXTPSVFNUvaOlinQ", url: "https://tc.example/t" };
    const [row] = readWatch(requestOf([{ name: "a", state: "forwarded", destination: "taskcluster", outcome }])).rows;
    expect(row).toMatchObject({ url: outcome.url, taskId: outcome.task_id, since: SINCE, way: "taskcluster" });
  });

  test("has ended when the API says so", () => {
    const isFinished = (others: object) => readWatch(requestOf([], others)).isFinished;
    expect(["accepted", "queued", "waiting", "forwarded"].map((state) => isFinished({ state }))).not.toContain(true);
    expect(["finished", "failed"].map((state) => isFinished({ state }))).toEqual([true, true]);
    // Of a request that an earlier version forwarded.
    expect(readWatch({ ...requestOf([]), progress: undefined } as never).isFinished).toBe(true);
  });

  test("says which rows changed", () => {
    const before = readWatch(requestOf([forwarded("a", "running"), forwarded("b", "running")]));
    const after = readWatch(
      requestOf([forwarded("a", "running"), forwarded("b", "completed", "busted"), forwarded("c")]),
    );
    expect(changes(before, after).map(({ name, status }) => `${name} ${status}`)).toEqual(["b busted", "c forwarded"]);
    expect(changes(after, after)).toEqual([]);
  });
});

describe("the next poll is", () => {
  const now = Date.parse("2026-11-26T12:00:00Z");

  test.each([
    ["2", 2_000],
    ["900", 900_000],
    ["0", 1_000],
    ["Thu, 26 Nov 2026 12:00:30 GMT", 30_000],
    ["Thu, 26 Nov 2026 11:00:00 GMT", 1_000],
    ["999999999", 3_600_000],
    ["soon", 3_600_000],
  ])("after Retry-After: %s", (header, pause) => {
    expect(pauseBefore(header, now)).toBe(pause);
  });

  test("none once the request has ended", () => {
    expect(pauseBefore(null, now)).toBeUndefined();
  });

  test("later after each failure", () => {
    expect([1, 2, 3, 20].map((failures) => pauseAfterFailures(failures, null, now))).toEqual([
      2_000, 4_000, 8_000, 300_000,
    ]);
    expect(pauseAfterFailures(1, "60", now)).toBe(60_000);
  });
});
