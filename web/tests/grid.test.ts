import { describe, expect, test } from "vitest";
import { DRAWN_OPEN, Layout } from "../src/model/grid.ts";
import { parseQuery } from "../src/model/query.ts";
import { readRuns, Runs } from "../src/model/runs.ts";
import { search } from "../src/model/search.ts";
import { gridOf, job, madeJobs, type MadeJob, readGrid } from "./support/labels.ts";

const byName = (one: MadeJob, other: MadeJob) => (one.name < other.name ? -1 : 1);

function layoutOf(jobs: MadeJob[]): Layout {
  return new Layout(readGrid(gridOf([...jobs].sort(byName))));
}

/** The rows as texts: `Linux 24.04 opt: B M(1-2 bc1)`. */
function drawn(layout: Layout, visible = new Uint8Array(layout.jobs.size).fill(1)): string[] {
  return layout.view(visible, new Uint8Array(layout.jobs.size)).rows.map(({ row, groups }) => {
    const texts = groups.map(({ group }) => {
      const items = layout.items(group, visible);
      const text = items.map((item) => (item.kind === "job" ? layout.jobs.symbol(item.job) : item.text)).join(" ");
      const tier = group.tier === 1 ? "" : `[tier ${group.tier}]`;
      return group.isBare ? text : `${group.symbol}${tier}(${text})`;
    });
    return `${row.title}: ${texts.join(" ")}`;
  });
}

const mochitest = (chunk: number, others: Partial<MadeJob> = {}) =>
  job(`test-linux2404-64/opt-mochitest-browser-chrome-${chunk}`, {
    symbol: `bc${chunk}`,
    groupSymbol: "M",
    groupName: "Mochitests",
    ...others,
  });

describe("rows", () => {
  test("are platforms with an option, unknown platforms first, then in Treeherder's order", () => {
    const jobs = [
      job("a", { platform: "toolchains" }),
      job("b", { platform: "windows11-64-24h2", option: "debug" }),
      job("c", { platform: "windows11-64-24h2" }),
      job("d", { platform: "windows11-64-24h2", option: "ccov" }),
      job("e", { platform: "windows11-64-24h2", option: "tsan" }),
      job("f", { platform: "linux2404-64-shippable" }),
      job("g", { platform: "planet-9" }),
      job("h", { platform: "amiga" }),
      job("i", { platform: "linux64" }),
    ];
    expect(drawn(layoutOf(jobs)).map((row) => row.split(":")[0])).toEqual([
      "amiga opt",
      "planet-9 opt",
      "Linux opt",
      "Linux 24.04 Shippable",
      "Windows 11 24H2 opt",
      "Windows 11 24H2 tsan",
      "Windows 11 24H2 debug",
      "Windows 11 24H2 ccov",
      "Toolchains",
    ]);
  });

  test("are shared by platforms with one title", () => {
    const jobs = [job("a", { platform: "linux1804-64" }), job("b", { platform: "linux1804-64-qr", symbol: "C" })];
    expect(drawn(layoutOf(jobs))).toEqual(["Linux 18.04 opt: B C"]);
  });

  test("with one title say their options", () => {
    const asan = { platform: "linux2404-64-asan" };
    const jobs = [job("a", asan), job("b", { ...asan, option: "debug" })];
    expect(drawn(layoutOf(jobs))).toEqual(["Linux 24.04 asan: B", "Linux 24.04 asan debug: B"]);
  });
});

describe("groups", () => {
  test("are in the order of the length of their symbols and their tiers", () => {
    const jobs = [
      job("a", { groupSymbol: "Btime", tier: 2 }),
      job("b", { groupSymbol: "M-swr" }),
      job("c", { groupSymbol: "X" }),
      job("d", { groupSymbol: "M" }),
      job("e", { groupSymbol: "M", tier: 3 }),
      job("f"),
      job("g", { groupSymbol: "?", tier: 2 }),
      job("h", { groupSymbol: "?", symbol: "A" }),
    ];
    expect(drawn(layoutOf(jobs))).toEqual([
      "Linux 24.04 opt: A B [tier 2](B) M(B) X(B) M[tier 3](B) M-swr(B) Btime[tier 2](B)",
    ]);
  });

  test("have the name of the first job that has one", () => {
    const layout = layoutOf([job("a", { groupSymbol: "M" }), job("b", { groupSymbol: "M", groupName: "Mochitests" })]);
    expect(layout.groups.map(({ name }) => name)).toEqual(["Mochitests"]);
  });

  test("have their jobs by symbol, numbers by size", () => {
    const symbols = ["R10", "R2", "R1", "Ra", "10", "9", "J1"];
    const jobs = symbols.map((symbol, place) => job(`job-${"abcdefgh"[place]}`, { symbol, groupSymbol: "R" }));
    expect(drawn(layoutOf(jobs))).toEqual(["Linux 24.04 opt: R(9 10 J1 R1 R2 R10 Ra)"]);
  });
});

describe("chunks", () => {
  test("are folded", () => {
    const jobs = [1, 2, 3, 5, 10, 11].map((chunk) => mochitest(chunk));
    const plain = [1, 2].map((chunk) =>
      job(`test-linux2404-64/opt-plain-${chunk}`, { symbol: `${chunk}`, groupSymbol: "M" }),
    );
    expect(drawn(layoutOf([...jobs, ...plain]))).toEqual(["Linux 24.04 opt: M(1-2 bc 1-3,5,10-11)"]);
  });

  test("of which one is visible are that job", () => {
    const layout = layoutOf([1, 2, 3].map((chunk) => mochitest(chunk)));
    expect(drawn(layout, Uint8Array.of(0, 1, 0))).toEqual(["Linux 24.04 opt: M(bc2)"]);
    expect(drawn(layout, Uint8Array.of(1, 0, 1))).toEqual(["Linux 24.04 opt: M(bc 1,3)"]);
    expect(drawn(layout, new Uint8Array(3))).toEqual([]);
  });

  test("of suites with one symbol are folded by suite", () => {
    const suites = ["one", "two"].flatMap((suite) =>
      [1, 2].map((chunk) => job(`${suite}-${chunk}`, { symbol: `${chunk}`, groupSymbol: "M" })),
    );
    expect(drawn(layoutOf(suites))).toEqual(["Linux 24.04 opt: M(1-2 1-2)"]);
  });

  test("without their numbers in their symbols are folded by the numbers in their names", () => {
    const jobs = [15, 16].map((version) => job(`toolchain-clang-${version}`, { symbol: "TL" }));
    expect(drawn(layoutOf(jobs))).toEqual(["Linux 24.04 opt: TL 15-16"]);
  });

  test("keep their number and their fold under any filter", () => {
    const layout = layoutOf([1, 2, 3].map((chunk) => mochitest(chunk)));
    const [item] = layout.items(layout.groups[0], Uint8Array.of(1, 0, 1));
    expect(item).toMatchObject({ kind: "chunks", symbol: "bc", jobs: [0, 2] });
    const all = item.kind === "chunks" ? [...layout.chunksOf(item.fold)] : [];
    expect(all.map((one) => layout.chunk(one))).toEqual([1, 2, 3]);
  });
});

describe("a view", () => {
  const jobs = readGrid(gridOf(madeJobs(6_000)));
  const layout = new Layout(jobs);

  test("has every job once", () => {
    expect([...layout.order].sort((one, other) => one - other)).toEqual(Array.from({ length: 6_000 }, (_, job) => job));
    const visible = new Uint8Array(jobs.size).fill(1);
    const drawnJobs = layout.groups.flatMap((group) =>
      layout.items(group, visible).flatMap((item) => (item.kind === "job" ? [item.job] : item.jobs)),
    );
    expect(drawnJobs).toEqual([...layout.order]);
    expect(layout.rows.flatMap((row) => [...layout.jobsOf(row)])).toEqual([...layout.order]);
  });

  test("counts visible and selected jobs in rows and groups", () => {
    const visible = search(jobs, parseQuery("mochitest linux2404"));
    const selected = search(jobs, parseQuery("debug"));
    const view = layout.view(visible, selected);
    const both = visible.filter((mark, job) => mark & selected[job]).length;
    expect([view.visible, view.selected]).toEqual([visible.filter(Boolean).length, both]);
    const sum = (numbers: number[]) => numbers.reduce((one, other) => one + other, 0);
    expect(sum(view.rows.map((row) => row.visible))).toBe(view.visible);
    expect(sum(view.rows.flatMap((row) => row.groups.map((group) => group.selected)))).toBe(view.selected);
    expect(view.rows.every((row) => row.row.title.startsWith("Linux 24.04"))).toBe(true);
  });

  test("is open when few jobs are visible", () => {
    const none = new Uint8Array(jobs.size);
    expect(layout.view(new Uint8Array(jobs.size).fill(1), none).isOpen).toBe(false);
    expect(layout.view(none.slice().fill(1, 0, DRAWN_OPEN), none).isOpen).toBe(true);
  });

  test("of no jobs has no rows", () => {
    expect(new Layout(readGrid(gridOf([]))).rows).toEqual([]);
  });
});

describe("runs", () => {
  const run = (id: number, name: string, others: object) => ({
    id,
    build_system_type: "taskcluster",
    job_type_name: name,
    ref_data_name: "0123456789abcdef",
    state: "completed",
    result: "success",
    ...others,
  });
  const ran = readRuns({
    results: [
      run(3, "test-1", { result: "testfailed" }),
      run(1, "test-1", { result: "success" }),
      run(2, "test-2", { state: "running", result: "unknown" }),
      run(4, "Gecko Decision Task", { platform: "gecko-decision", platform_option: "opt", job_type_symbol: "D" }),
    ],
  });
  const listed = readGrid(
    gridOf([job("test-1", { groupSymbol: "M" }), job("test-2", { groupSymbol: "M" }), job("test-3")]),
  );
  const jobs = listed.with(ran);
  const runs = new Runs(jobs, ran);

  test("stand beside the jobs that can run", () => {
    expect(runs.size).toBe(4);
    expect(runs.of(0).map(({ id, status }) => `${id} ${status}`)).toEqual(["1 success", "3 testfailed"]);
    expect([runs.has(1), runs.isUnderway(1), runs.has(2)]).toEqual([true, true, false]);
    expect(runs.lastResult(0)?.status).toBe("testfailed");
    expect(runs.lastResult(1)).toBeUndefined();
    expect(drawn(new Layout(jobs)).at(-1)).toBe("Gecko Decision Task: D");
  });

  test("of a folded group are counted, failures one by one", () => {
    const layout = new Layout(jobs);
    const group = layout.groups.find(({ symbol }) => symbol === "M");
    const view = layout.runs(group ?? layout.groups[0], new Uint8Array(jobs.size).fill(1), runs);
    expect(view.failures.map((failure) => failure.run.id)).toEqual([3]);
    expect([...view.counts]).toEqual([["success", 1], ["running", 1]]); // prettier-ignore
  });

  test("are read from lists of properties too", () => {
    const names = ["id", "build_system_type", "ref_data_name", "job_type_name", "state", "result", "platform"];
    const results = [[7, "buildbot", "Linux try build", "Build", "completed", "busted", "linux64"]];
    expect(readRuns({ results, job_property_names: names })).toMatchObject([
      { id: 7, name: "Linux try build", status: "busted", platform: "linux64" },
    ]);
  });

  test("that are not jobs are left out", () => {
    expect(readRuns({ results: [{}, { ref_data_name: "a" }, { state: "running" }] })).toEqual([]);
  });
});
