// The grammar against fzf itself, on recorded builder names and made-up labels. Debian's package is called `fzf`.

import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { matches, parseQuery } from "../src/model/query.ts";
import { lineOf } from "../src/model/search.ts";
import { gridOf, madeJobs, randomOf, readGrid } from "./support/labels.ts";
import { randomQuery } from "./support/queries.ts";
import { recordedJobs } from "./support/recorded.ts";
import { CASES } from "./support/cases.ts";

const QUERIES = Number(process.env.FZF_QUERIES ?? 80);
const HAS_FZF = spawnSync("fzf", ["--version"]).status === 0;
if (!HAS_FZF)
  console.warn("fzf is not installed, so the grammar is NOT compared with it (REQUIRE_FZF=1 fails instead)");

test.runIf(process.env.REQUIRE_FZF)("fzf is installed, as REQUIRE_FZF says", () => {
  expect(HAS_FZF).toBe(true);
});

describe.runIf(HAS_FZF)("the same lines as `fzf -e -f` are found", () => {
  test("for the table of cases", () => {
    for (const { query } of CASES.cases.filter(({ fzf }) => fzf !== false)) expectSame(CASES.lines, query);
  });

  test("for queries at random", { timeout: 120_000 }, () => {
    const jobs = readGrid(gridOf([...recordedJobs(), ...madeJobs(1_000)]));
    const lines = Array.from({ length: jobs.size }, (_, number) => lineOf(jobs, number));
    const random = randomOf(2026);
    for (let round = 0; round < QUERIES; round++) expectSame(lines, randomQuery(lines, random));
  });
});

function expectSame(lines: readonly string[], query: string) {
  const parsed = parseQuery(query);
  const found = lines.filter((line) => matches(parsed, line));
  const expected = fzf(lines, query);
  // The first lines show a difference better than all 1,400 do.
  const onlyHere = found.filter((line) => !expected.includes(line)).slice(0, 3);
  const onlyFzf = expected.filter((line) => !found.includes(line)).slice(0, 3);
  expect({ query, onlyHere, onlyFzf }).toEqual({ query, onlyHere: [], onlyFzf: [] });
}

function fzf(lines: readonly string[], query: string): string[] {
  const { status, stdout, stderr } = spawnSync("fzf", ["-e", "--no-sort", "-f", query], {
    input: `${lines.join("\n")}\n`,
    encoding: "utf8",
    env: { ...process.env, FZF_DEFAULT_OPTS: "" },
  });
  // 1 says that nothing matches.
  if (status !== 0 && status !== 1) throw new Error(`fzf -e -f '${query}': ${stderr}`);
  return stdout.split("\n").filter(Boolean);
}
