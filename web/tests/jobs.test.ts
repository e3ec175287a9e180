import { describe, expect, test } from "vitest";
import { MalformedGrid } from "../src/model/jobs.ts";
import { gridOf, job, madeJobs, readGrid } from "./support/labels.ts";
import { recordedJobs } from "./support/recorded.ts";

describe("jobs", () => {
  const made = [...recordedJobs(), ...madeJobs(3_000)];
  const jobs = readGrid(gridOf(made));

  test("have the words that the answer of the API has", () => {
    expect(jobs.size).toBe(made.length);
    expect(jobs.runnable).toBe(made.length);
    expect(jobs.project).toBe("try");
    for (const [number, { groupSymbol, groupName, ...expected }] of made.entries()) {
      const group = { symbol: groupSymbol.replace(/^\?$/, ""), name: groupName.replace(/^unknown$/, "") };
      expect(jobs.group(number)).toEqual(group);
      expect({
        name: jobs.name(number),
        platform: jobs.platform(number),
        option: jobs.option(number),
        symbol: jobs.symbol(number),
        tier: jobs.tier(number),
        buildSystem: jobs.buildSystem(number),
        build: jobs.build(number) ?? null,
      }).toEqual(expected);
    }
  });

  test("are found by their names", () => {
    for (const [number, { name }] of made.entries()) expect(jobs.find(name)).toBe(number);
    for (const name of ["", "a", "zzz", `${made[7].name} `, made[7].name.slice(0, -1)]) {
      expect(jobs.find(name)).toBe(made.some((one) => one.name === name) ? expect.anything() : undefined);
    }
  });

  test("are found in an answer that is not in the order of its names", () => {
    const unsorted = readGrid(gridOf([job("b"), job("d"), job("a"), job("c")]));
    expect(["a", "b", "c", "d", "e"].map((name) => unsorted.find(name))).toEqual([2, 0, 3, 1, undefined]);
  });

  test("that only ran stand behind the list", () => {
    const listed = readGrid(gridOf([job("a"), job("c")]));
    const decision = job("b", { platform: "gecko-decision", symbol: "D", groupSymbol: "?", groupName: "unknown" });
    const all = listed.with([decision, job("c"), decision, job("d")]);
    expect([all.size, all.runnable]).toEqual([4, 2]);
    expect(["a", "b", "c", "d"].map((name) => all.find(name))).toEqual([0, 2, 1, 3]);
    expect([all.name(2), all.platform(2), all.symbol(2), all.group(2).symbol]).toEqual([
      "b",
      "gecko-decision",
      "D",
      "",
    ]);
    expect(all.build(2)).toBeUndefined();
    expect(listed.size).toBe(2);
  });

  test("of a list are the same object where nothing else ran", () => {
    const listed = readGrid(gridOf([job("a")]));
    expect(listed.with([job("a")])).toBe(listed);
  });

  test("can be none", () => {
    const none = readGrid(gridOf([]));
    expect([none.size, none.find("a"), none.text]).toEqual([0, undefined, "\n"]);
    expect(none.with([job("a")]).find("a")).toBe(0);
  });

  test("of a malformed answer are refused", () => {
    const broken = gridOf([job("a"), job("b")]);
    broken.jobs.symbol.pop();
    expect(() => readGrid(broken)).toThrow(MalformedGrid);
    const strange = gridOf([job("a")]);
    strange.jobs.platform[0] = 7;
    expect(() => readGrid(strange)).toThrow(MalformedGrid);
    expect(() => readGrid(gridOf([job("a\nb")]))).toThrow(MalformedGrid);
  });
});
