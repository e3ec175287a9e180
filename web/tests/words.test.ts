import { expect, test } from "vitest";
import { age, count } from "../src/ui/words.ts";

test("numbers have their word in the singular or the plural", () => {
  expect([0, 1, 2, 30_000].map((number) => count(number, "job"))).toEqual(["0 jobs", "1 job", "2 jobs", "30,000 jobs"]);
  expect(count(2, "name is", "names are")).toBe("2 names are");
});

test("ages are in the largest unit that fits", () => {
  const now = Date.UTC(2026, 10, 26, 12) / 1_000;
  const ages = [-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 172_800].map((seconds) => age(now - seconds, now));
  expect(ages).toEqual([
    ...["just now", "just now", "just now", "1 min ago", "59 min ago", "1 h ago", "23 h ago"],
    ...["1 day ago", "2 days ago"],
  ]);
});

test("old times are dates", () => {
  const now = Date.UTC(2026, 10, 26) / 1_000;
  expect(age(now - 31 * 86_400, now)).toBe("2026-10-26");
});
