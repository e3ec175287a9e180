import { expect, test } from "vitest";
import { Failure } from "../src/client.ts";
import { readPlan } from "../src/model/plan.ts";
import { isSendable, refusedDryRun } from "../src/ui/plan/send.ts";
import type { Batch } from "../src/ui/plan/sending.ts";
import { runLabel, warningOf } from "../src/ui/plan/words.ts";

const batch = (names: string[], known: Partial<Batch> = {}): Batch => ({
  names,
  decisionTask: undefined,
  isUnanswered: false,
  request: undefined,
  ...known,
});

const REFUSED = [{ name: "lint", state: "rejected", code: "unknown_job", detail: "There is none.", closest: "lints" }];

test("a request of which all jobs are refused is a dry run with the reasons", () => {
  const error = new Failure("try has none of them.", 422, "no_known_jobs", { jobs: REFUSED });
  const answer = refusedDryRun(error);
  expect(answer?.jobs).toBe(REFUSED);
  expect(answer && readPlan(answer).refused.map(({ code, jobs }) => [code, jobs[0].closest])).toEqual([
    ["unknown_job", "lints"],
  ]);
});

test.each([
  ["another code", new Failure("Too many.", 422, "too_many_jobs", { jobs: REFUSED })],
  ["no jobs", new Failure("try has none of them.", 422, "no_known_jobs")],
  ["another error", new Error("broken")],
])("an error with %s is an error", (_, error) => {
  expect(refusedDryRun(error)).toBeUndefined();
});

test("a request of refused jobs alone is not sent, unless it may have arrived", () => {
  const refused = { jobs: REFUSED } as Parameters<typeof readPlan>[0];
  expect(isSendable(batch(["lint"]), refused)).toBe(false);
  expect(isSendable(batch(["lint"], { isUnanswered: true }), refused)).toBe(true);
  expect(isSendable(batch(["lint"]), undefined)).toBe(true);
});

test("a warning says which jobs may have arrived, and that some are not selected any more", () => {
  const batches = [batch(["a"], { request: "REQUEST" }), batch(["b", "c"], { isUnanswered: true }), batch(["d"])];
  expect(warningOf(batches, () => true)).toBe(
    "2 jobs were sent before, without an answer, and may have arrived. " +
      "They are sent again first, as they were: they do not run twice.",
  );
  expect(warningOf(batches, (name) => name !== "c")).toMatch(/ 1 of them is not selected any more\.$/);
  expect(warningOf([batch(["a"], { isUnanswered: true })], () => true)).toBe(
    "1 job was sent before, without an answer, and may have arrived. " +
      "It is sent again first, as it was: it does not run twice.",
  );
  expect(warningOf([batch(["a"])], () => true)).toBeUndefined();
});

test("the button says whether it begins, goes on, or tries again", () => {
  expect([runLabel(1, false, false), runLabel(1_200, true, true), runLabel(2, false, true)]).toEqual([
    "Run 1 job",
    "Continue: run 1,200 jobs",
    "Try again: run 2 jobs",
  ]);
});
