import { expect, test } from "vitest";
import { Failure } from "../src/client.ts";
import { waitAfter } from "../src/ui/wait.ts";

test("the wait after a failure counts down from what the service asks for", () => {
  const error = new Failure("Busy.", 503, "", {}, "40");
  const after = (seconds: number) => waitAfter(error, error.at + seconds * 1_000);
  expect([0, 30, 40, 100].map(after)).toEqual([40_000, 10_000, 0, 0]);
});

test.each([
  ["no error", undefined],
  ["an error of the page", new Error("broken")],
  ["a failure without a Retry-After", new Failure("Lost.", 0, "")],
])("there is no wait after %s", (_, error) => {
  expect(waitAfter(error, Date.now())).toBe(0);
});
