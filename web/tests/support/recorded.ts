// Builder names of Buildbot's years, with what Treeherder said of them.

import { readFileSync } from "node:fs";
import type { MadeJob } from "./labels.ts";

const FILE = new URL("../../../crates/catalog/tests/fixtures/recorded/buildernames.jsonl", import.meta.url);

/** The recorded builders, in the order of their names. */
export function recordedJobs(): MadeJob[] {
  const lines = readFileSync(FILE, "utf8").trim().split("\n");
  const jobs = lines.map((line): MadeJob => {
    const builder = JSON.parse(line) as Record<string, string>;
    return {
      name: builder.ref_data_name,
      platform: builder.platform,
      option: builder.option,
      groupSymbol: builder.job_group_symbol,
      groupName: builder.job_group_name,
      symbol: builder.job_type_symbol,
      tier: 1,
      buildSystem: "buildbot",
      build: null,
    };
  });
  const unique = new Map(jobs.map((job) => [job.name, job]));
  return [...unique.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}
