// Quick picks: common selections, computed from the runs on pushes.

import type { Jobs } from "./jobs.ts";
import { FAILURES, isUnderway, isWithoutResult, type Run, type Runs } from "./runs.ts";

/** The result of a quick pick. */
export interface Pick {
  /** The jobs to select. */
  readonly jobs: readonly number[];
  /** Names that the list of this push does not have, so that they cannot run. */
  readonly notListed: readonly string[];
  /** Jobs that are left out, because they are pending or running on this push. */
  readonly underway: readonly number[];
}

/** The jobs that failed on this push: their last result is a failure. */
export function failedHere(runs: Runs, options: { readonly unclassifiedOnly?: boolean } = {}): Pick {
  const { jobs } = runs;
  const failed = numbers(jobs.size).filter((job) => {
    const last = runs.lastResult(job);
    return last && FAILURES.has(last.status) && !(options.unclassifiedOnly && last.isClassified);
  });
  return {
    jobs: failed.filter((job) => job < jobs.runnable && !runs.isUnderway(job)),
    notListed: failed.filter((job) => job >= jobs.runnable).map((job) => jobs.name(job)),
    underway: failed.filter((job) => job < jobs.runnable && runs.isUnderway(job)),
  };
}

/** The jobs that another push ran, or runs, and this push did not. */
export function ranThereNotHere(runs: Runs, others: Iterable<Run>, otherProject = runs.jobs.project): Pick {
  const { jobs } = runs;
  const found = new Set<number>();
  const notListed = new Set<string>();
  for (const run of others) {
    if (isWithoutResult(run)) continue;
    const name = otherProject === jobs.project ? run.name : inProject(run.name, otherProject, jobs.project);
    const job = jobs.find(name);
    if (job !== undefined && ranHere(runs, job)) continue;
    if (job !== undefined && job < jobs.runnable) found.add(job);
    else notListed.add(name);
  }
  return { jobs: [...found].sort((one, other) => one - other), notListed: [...notListed], underway: [] };
}

/** The tests of all builds that exist on this push. They start no new build. */
export function testsOfBuilds(runs: Runs, options: { readonly missingOnly?: boolean } = {}): Pick {
  const { jobs } = runs;
  const { builds, build } = jobs.words;
  const hasPackages = builds.map((name) => {
    const job = jobs.find(name);
    return job !== undefined && buildIsThere(jobs, runs, job);
  });
  const tests = numbers(jobs.runnable).filter(
    (job) => build[job] >= 0 && hasPackages[build[job]] && !(options.missingOnly && ranHere(runs, job)),
  );
  return {
    jobs: tests.filter((job) => !runs.isUnderway(job)),
    notListed: [],
    underway: tests.filter((job) => runs.isUnderway(job)),
  };
}

/** The name that a job of one project has in another: builder names have their project in them, labels do not. */
export function inProject(name: string, from: string, to: string): string {
  return name
    .split(" ")
    .map((word) => (word === from ? to : word))
    .join(" ");
}

/** Whether a job ran here, or runs, and was not cancelled or superseded. */
function ranHere(runs: Runs, job: number): boolean {
  return runs.has(job) && runs.of(job).some((run) => !isWithoutResult(run));
}

/**
 * Whether a run of a build left packages. One of Buildbot does so with failed tests too; Taskcluster runs tests only of
 * builds that succeeded.
 */
function buildIsThere(jobs: Jobs, runs: Runs, job: number): boolean {
  const isBuildbot = jobs.buildSystem(job) === "buildbot";
  return runs
    .of(job)
    .some(
      (run) =>
        !isUnderway(run) &&
        !isWithoutResult(run) &&
        (run.status === "success" || (isBuildbot && run.status === "testfailed")),
    );
}

function numbers(end: number): number[] {
  return Array.from({ length: end }, (_, number) => number);
}
