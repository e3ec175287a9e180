// The runs on a push, which are Treeherder's jobs. A job of a list has any number of runs.

import type { JobDescription, Jobs } from "./jobs.ts";

/** A job of Treeherder's, which is one run of a job of the list. */
export interface Run extends JobDescription {
  /** Treeherder's number. */
  readonly id: number;
  /**
   * `unscheduled`, `pending`, `running`, or the result: `success`, `testfailed`, `busted`, `exception`, `retry`, ...;
   * `superseded` if another run stands for this one, which was never started.
   */
  readonly status: string;
  readonly taskId: string | undefined;
  /** Whether a person has classified the failure. */
  readonly isClassified: boolean;
  /** In seconds since 1970; 0 while it is not known. */
  readonly submittedAt: number;
}

export const FAILURES: ReadonlySet<string> = new Set(["testfailed", "busted", "exception"]);
const UNDERWAY: ReadonlySet<string> = new Set(["unscheduled", "pending", "running"]);
/** Results of runs that did not reach their end. They say nothing about the job. */
const WITHOUT_RESULT: ReadonlySet<string> = new Set([
  "coalesced",
  "retry",
  "skipped",
  "superseded",
  "unknown",
  "usercancel",
]);
/** The ids of classifications that give no cause: not classified, or classified by a program. */
const UNCLASSIFIED: ReadonlySet<number> = new Set([0, 1, 6, 7, 8]);

type Properties = Record<string, unknown>;

/** Treeherder's answer: jobs as objects (`/api/project/P/jobs/`), or as lists with their names (`/api/jobs/`). */
export interface TreeherderJobs {
  readonly results: readonly (Properties | readonly unknown[])[];
  readonly job_property_names?: readonly string[];
}

/** Reads a page of Treeherder's jobs. Entries that are not jobs are left out. */
export function readRuns({ results, job_property_names: names = [] }: TreeherderJobs): Run[] {
  return results.flatMap((result) => {
    const job = Array.isArray(result)
      ? Object.fromEntries(names.map((name, place) => [name, result[place]]))
      : (result as Properties);
    return readRun(job) ?? [];
  });
}

function readRun(job: Properties): Run | undefined {
  const text = (key: string) => (typeof job[key] === "string" ? job[key] : "");
  const number = (key: string) => (typeof job[key] === "number" ? job[key] : 0);
  const buildSystem = text("build_system_type");
  // Of a job of Taskcluster `ref_data_name` is a hash, and its type is its label.
  const name = (buildSystem === "taskcluster" && text("job_type_name")) || text("ref_data_name");
  if (name === "" || name.includes("\n") || text("state") === "") return undefined;
  const isCoalesced = text("job_coalesced_to_guid") !== "";
  return {
    id: number("id"),
    name,
    status: isCoalesced ? "superseded" : text("state") === "completed" ? text("result") : text("state"),
    taskId: text("task_id") || undefined,
    isClassified: !UNCLASSIFIED.has(number("failure_classification_id")),
    submittedAt: number("submit_timestamp"),
    platform: text("platform"),
    option: text("platform_option"),
    groupSymbol: text("job_group_symbol"),
    groupName: text("job_group_name"),
    symbol: text("job_type_symbol") || "?",
    tier: number("tier") || 1,
    buildSystem,
  };
}

/** Whether a run has not ended. */
export function isUnderway({ status }: Run): boolean {
  return UNDERWAY.has(status);
}

/** Whether a run ended without a result for its job: it was cancelled, superseded, or the like. */
export function isWithoutResult({ status }: Run): boolean {
  return WITHOUT_RESULT.has(status);
}

/** The runs on a push, by job. */
export class Runs {
  private readonly starts: Uint32Array;
  private readonly ordered: readonly Run[];

  /** The jobs have to be those with the runs: `jobs.with(runs)`. */
  constructor(
    readonly jobs: Jobs,
    runs: Iterable<Run>,
  ) {
    const found = [...runs].flatMap((run) => {
      const job = jobs.find(run.name);
      return job === undefined ? [] : [{ job, run }];
    });
    found.sort((one, other) => one.job - other.job || one.run.id - other.run.id);
    this.starts = new Uint32Array(jobs.size + 1);
    for (const { job } of found) this.starts[job + 1]++;
    for (let job = 0; job < jobs.size; job++) this.starts[job + 1] += this.starts[job];
    this.ordered = found.map(({ run }) => run);
  }

  /** The runs of a job, oldest first. */
  of(job: number): readonly Run[] {
    return this.ordered.slice(this.starts[job], this.starts[job + 1]);
  }

  /** Whether a job has a run. */
  has(job: number): boolean {
    return this.starts[job] < this.starts[job + 1];
  }

  /** The last run that ended with a result. */
  lastResult(job: number): Run | undefined {
    return this.of(job).findLast((run) => !isUnderway(run) && !isWithoutResult(run));
  }

  /** Whether a run has not ended. */
  isUnderway(job: number): boolean {
    return this.has(job) && this.of(job).some(isUnderway);
  }

  get size(): number {
    return this.ordered.length;
  }
}
