import { expect, test } from "vitest";
import { pickCount, pickResult } from "../src/ui/picks/sentences.ts";

const PICK = { jobs: [1, 2, 3], underway: [4], notListed: ["a", "b"] };

test("a pick says what it would select", () => {
  expect(pickCount({ ...PICK, underway: [] })).toBe("3 jobs");
  expect(pickCount(PICK)).toBe("3 jobs; 1 more runs already");
  expect(pickCount({ ...PICK, jobs: [1], underway: [4, 5] })).toBe("1 job; 2 more run already");
});

test("a pick says what it did, and what it left out", () => {
  expect(pickResult({ ...PICK, underway: [], notListed: [] }, 3)).toEqual(["3 jobs are added to the selection."]);
  expect(pickResult(PICK, 1)).toEqual([
    "1 job is added to the selection.",
    "2 jobs were selected before.",
    "Left out: 1 job that runs already.",
    "Left out: 2 names that are not in the list of this push.",
  ]);
});
