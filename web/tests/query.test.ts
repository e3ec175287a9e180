import { describe, expect, test } from "vitest";
import { matches, parseQuery } from "../src/model/query.ts";
import { count, lineOf, search } from "../src/model/search.ts";
import { CASES } from "./support/cases.ts";
import { gridOf, job, madeJobs, randomOf, readGrid } from "./support/labels.ts";
import { randomQuery } from "./support/queries.ts";
import { recordedJobs } from "./support/recorded.ts";

describe("a query matches the lines that the table of cases says", () => {
  test.each(CASES.cases)("$query", ({ query, hits }) => {
    const parsed = parseQuery(query);
    const found = CASES.lines.flatMap((line, place) => (matches(parsed, line) ? [place] : []));
    expect(found).toEqual(hits);
  });
});

describe("a search", () => {
  const jobs = readGrid(gridOf([...recordedJobs(), ...madeJobs(1_000)]));
  const lines = Array.from({ length: jobs.size }, (_, number) => lineOf(jobs, number));
  const lowerLines = lines.map((line) => line.toLowerCase());

  function expectSame(query: string) {
    const parsed = parseQuery(query);
    const expected = lines.map((line, job) => Number(matches(parsed, line, lowerLines[job])));
    expect(search(jobs, parsed).join(""), query).toBe(expected.join(""));
  }

  test("finds the jobs whose lines match, for the queries of the table", () => {
    for (const { query } of CASES.cases) expectSame(query);
  });

  test("finds the jobs whose lines match, for queries at random", () => {
    const random = randomOf(17);
    for (let round = 0; round < 300; round++) expectSame(randomQuery(lines, random));
  });

  test("looks at label, symbol, group, platform, its title, and option", () => {
    const made = job("test-linux2404-64/debug-xpcshell-1", {
      symbol: "X1",
      groupSymbol: "X-swr",
      groupName: "Xpcshell tests",
      option: "debug",
    });
    const found = readGrid(gridOf([made]));
    expect(lineOf(found, 0)).toBe(
      "test-linux2404-64/debug-xpcshell-1 X1 X-swr Xpcshell tests linux2404-64 Linux 24.04 debug",
    );
    expect(count(search(found, parseQuery("xpcshell tests 24.04 ^test-linux debug$")))).toBe(1);
  });

  test("does not find the words that stand for no group", () => {
    const found = readGrid(gridOf([job("Linux try build", { groupSymbol: "?", groupName: "unknown" })]));
    expect(count(search(found, parseQuery("unknown")))).toBe(0);
    expect(count(search(found, parseQuery("!unknown !?")))).toBe(1);
  });

  test("finds the end of a line whose job has no option, no platform and no group", () => {
    const found = readGrid(gridOf([job("a", { platform: "", option: "", symbol: "Xy" }), job("b", { option: "" })]));
    expect([...search(found, parseQuery("xy$"))]).toEqual([1, 0]);
    expect([...search(found, parseQuery("24.04$"))]).toEqual([0, 1]);
  });

  test("does not match across two names", () => {
    const found = readGrid(gridOf([job("one", { symbol: "s" }), job("two", { symbol: "s" })]));
    expect(count(search(found, parseQuery("one\ntwo")))).toBe(0);
    expect(count(search(found, parseQuery("^two")))).toBe(1);
  });
});
