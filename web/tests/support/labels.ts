// Made-up jobs in the shape of Firefox's: which combinations exist is invented, how many and what they are called is
// not. The same number of jobs is always the same jobs.

import { readFileSync } from "node:fs";
import { Platforms } from "../../src/model/platforms.ts";
import { type Grid, type JobDescription, type Jobs, readGrid as readGridWith } from "../../src/model/jobs.ts";

export interface MadeJob extends JobDescription {
  readonly build: string | null;
}

const PLATFORMS = [
  ...["", "-asan", "-tsan", "-ccov", "-shippable", "-devedition"].map((variant) => `linux2404-64${variant}`),
  ...["linux1804-64-qr", "linux2204-64-wayland", "linux2404-32", "windows11-32-24h2", "windows11-aarch64-24h2"],
  ...["", "-ccov", "-shippable", "-hw-ref", "-asan"].map((variant) => `windows11-64-24h2${variant}`),
  ...["macosx1470-64", "macosx1015-64-qr", "macosx1500-aarch64", "macosx1500-aarch64-shippable"],
  ...["android-em-14-x86_64", "android-em-14-x86_64-lite", "android-hw-a55-14-0-aarch64"],
];
const ONE_OPTION = /shippable|ccov|devedition/;
// Suite, symbol, group, chunks.
const SUITES = [
  ["mochitest-plain", "", "M Mochitests", 18],
  ["mochitest-browser-chrome", "bc", "M Mochitests", 24],
  ["mochitest-devtools-chrome", "dt", "M Mochitests", 12],
  ["mochitest-chrome", "c", "M Mochitests", 4],
  ["mochitest-a11y", "a11y", "M Mochitests", 1],
  ["reftest", "R", "R Reftests", 9],
  ["crashtest", "C", "R Reftests", 3],
  ["jsreftest", "J", "R Reftests", 5],
  ["web-platform-tests", "wpt", "W Web platform tests", 30],
  ["web-platform-tests-reftest", "Wr", "W Web platform tests", 6],
  ["web-platform-tests-wdspec", "Wd", "W Web platform tests", 4],
  ["xpcshell", "X", "X Xpcshell tests", 16],
  ["marionette-integration", "Mn", "", 1],
  ["gtest-1proc", "GTest", "", 1],
  ["talos-tp5o", "tp5o", "T Talos performance tests", 1],
  ["browsertime-tp6-firefox-amazon", "amazon", "Btime Browsertime performance tests on Firefox", 1],
] as const;
const VARIANTS = ["", "swr", "spi-nw", "a11y-checks", "nofis", "1proc", "http3", "msix", "vt", "condprof"];

/** So many jobs, in the order of their names. */
export function madeJobs(size: number): MadeJob[] {
  const jobs: MadeJob[] = [];
  for (const made of allJobs()) {
    if (jobs.length >= size) break;
    jobs.push(made);
  }
  return jobs.sort((one, other) => (one.name < other.name ? -1 : Number(one.name > other.name)));
}

/** All jobs that there could be: without an end, as suites get ever more chunks. */
function* allJobs(): Generator<MadeJob> {
  for (let round = 0; ; round++) {
    for (const variant of VARIANTS) {
      for (const platform of PLATFORMS) {
        for (const option of ONE_OPTION.test(platform) ? ["opt"] : ["opt", "debug"]) {
          const build = `build-${platform}/${option}`;
          const shared = { platform, option, buildSystem: "taskcluster" };
          if (round === 0 && variant === "") yield job(build, shared);
          yield* suites(shared, variant, round, build);
        }
      }
    }
  }
}

function suites(
  shared: Pick<MadeJob, "platform" | "option" | "buildSystem">,
  variant: string,
  round: number,
  build: string,
) {
  return SUITES.flatMap(([suite, symbol, group, chunks]): MadeJob[] => {
    if (chunks === 1 && round > 0) return [];
    const [groupSymbol = "", ...words] = group.split(" ");
    const suffix = variant === "" ? "" : `-${variant}`;
    return Array.from({ length: chunks }, (_, place) => {
      const chunk = chunks === 1 ? "" : String(round * chunks + place + 1);
      return {
        ...shared,
        name: `test-${shared.platform}/${shared.option}-${suite}${suffix}${chunk && `-${chunk}`}`,
        symbol: `${symbol}${chunk}`,
        groupSymbol: groupSymbol && `${groupSymbol}${suffix}`,
        groupName: words.join(" ") + (words.length > 0 && variant ? ` with ${variant}` : ""),
        tier: variant ? 2 : 1,
        build,
      };
    });
  });
}

/** The titles of platforms, as the page has them. */
export const TITLES = new Platforms(
  readFileSync(new URL("../../../crates/catalog/data/platform-titles.table", import.meta.url), "utf8"),
);

/** Reads an answer of the API. */
export function readGrid(grid: Grid): Jobs {
  return readGridWith(grid, TITLES);
}

/** The answer of the API for jobs in the order of their names. */
export function gridOf(jobs: readonly MadeJob[], project = "try"): Grid {
  const platforms: string[] = [];
  const options: string[] = [];
  const symbols: string[] = [];
  const groups: string[] = [];
  const systems: string[] = [];
  const builds: string[] = [];
  const places = new Map<string[], Map<string, number>>();
  const place = (words: string[], word: string) => {
    const known = places.get(words) ?? new Map<string, number>();
    places.set(words, known);
    const found = known.get(word) ?? words.push(word) - 1;
    known.set(word, found);
    return found;
  };
  const columns: Grid["jobs"] = {
    shared: [],
    rest: [],
    platform: jobs.map((job) => place(platforms, job.platform)),
    option: jobs.map((job) => place(options, job.option)),
    group: jobs.map((job) => place(groups, `${job.groupSymbol}\n${job.groupName}`)),
    symbol: jobs.map((job) => place(symbols, job.symbol)),
    tier: jobs.map((job) => (job.buildSystem === "buildbot" ? null : job.tier)),
    build_system: jobs.map((job) => place(systems, job.buildSystem)),
    upstream: jobs.map((job) => (job.build === null ? null : place(builds, job.build))),
  };
  let before = "";
  for (const { name } of jobs) {
    let shared = 0;
    while (shared < name.length && name[shared] === before[shared]) shared++;
    columns.shared.push(shared);
    columns.rest.push(name.slice(shared));
    before = name;
  }
  return {
    meta: { repository: project, total: jobs.length },
    platforms,
    options,
    symbols,
    groups: groups.map((words) => ({ symbol: words.split("\n")[0], name: words.split("\n")[1] })),
    build_systems: systems,
    builds,
    jobs: columns,
  };
}

/** A job of which only some things matter. */
export function job(name: string, others: Partial<MadeJob> = {}): MadeJob {
  return {
    name,
    platform: "linux2404-64",
    option: "opt",
    groupSymbol: "",
    groupName: "",
    symbol: "B",
    tier: 1,
    buildSystem: "taskcluster",
    build: null,
    ...others,
  };
}

/** Numbers from 0 to below 1 that look random, and are the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
