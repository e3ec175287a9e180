// The plan: a dry run's answer, with its jobs sorted into lists. Jobs run, are added as builds, wait, run once more,
// are left alone, or are refused.

import type { ActionPreview, RequestedJob, Triggered } from "./requests.ts";

/** The destination of a job: builder names go to Pulse, labels to Taskcluster. */
export type Way = "pulse" | "taskcluster";

/** What a request would do: as much of the answer as there is of a request without known jobs, too. */
export type DryRun = Pick<Triggered, "jobs" | "actions">;

/** Jobs that wait, or are refused, for the same reason. */
export interface Reason {
  /** The API's code; empty if it has none. */
  readonly code: string;
  /** The sentence for people; that of the first job where the sentences differ. */
  readonly detail: string;
  /** The build that the jobs wait for, if that is known. */
  readonly build?: string;
  readonly jobs: readonly RequestedJob[];
}

/** The plan. Each job is in one of the lists from `runs` to `refused`. */
export interface Plan {
  /** Jobs that are sent at once. Taskcluster runs a label after the builds that it needs. */
  readonly runs: readonly RequestedJob[];
  /** Builds that are added to the request, because jobs need them. */
  readonly builds: readonly RequestedJob[];
  /** Jobs that wait, by reason. */
  readonly waits: readonly Reason[];
  /** Jobs that are pending or running on the push already, and run once more. */
  readonly again: readonly RequestedJob[];
  /** Jobs that are pending or running on the push already, and are not requested. */
  readonly leftAlone: readonly RequestedJob[];
  /** Jobs that are not requested, by reason. */
  readonly refused: readonly Reason[];

  /** Builds that Taskcluster starts by itself, because a label needs them. */
  readonly alsoStarts: readonly string[];
  /** Jobs that go by another name than was asked for. */
  readonly renamed: readonly RequestedJob[];
  /** Whether parts of the plan are uncertain, because Treeherder or Taskcluster did not answer. */
  readonly isUncertain: boolean;
  /** The number of requested jobs and builds, by destination. */
  readonly ways: Readonly<Record<Way, number>>;
  /** The number of requested jobs and builds. */
  readonly requested: number;
  /** The actions of Taskcluster that would run the labels, one after the other. */
  readonly actions: readonly ActionPreview[];
}

const UNCERTAIN: ReadonlySet<string> = new Set(["unplanned", "taskcluster_unavailable"]);

/** Sorts the answer of a dry run. `buildOf` returns the build that a job needs. */
export function readPlan(
  { jobs, actions = [] }: DryRun,
  buildOf: (name: string) => string | undefined = () => undefined,
): Plan {
  const lists = { runs: [], builds: [], waits: [], again: [], leftAlone: [], refused: [] } as Record<
    Place,
    RequestedJob[]
  >;
  for (const job of jobs) lists[placeOf(job)].push(job);
  const requested = [...lists.runs, ...lists.builds, ...lists.waits, ...lists.again];
  const ways = { pulse: 0, taskcluster: 0 };
  for (const job of requested) {
    const way = wayOf(job);
    if (way) ways[way]++;
  }
  return {
    ...lists,
    waits: byReason(lists.waits, (job) => buildOf(job.name)),
    refused: byReason(lists.refused, () => undefined),
    alsoStarts: [...new Set(actions.flatMap((action) => action.also_starts))],
    renamed: requested.filter((job) => job.asked_as !== undefined),
    isUncertain: jobs.some((job) => UNCERTAIN.has(job.code ?? "")),
    ways,
    requested: requested.length,
    actions,
  };
}

/** The dry runs of several requests as one. A build that an earlier request has already is not added again. */
export function joinDryRuns(answers: readonly DryRun[]): DryRun {
  const known = new Set<string>();
  const jobs = answers.flatMap(({ jobs }) => {
    const added = jobs.filter((job) => job.code !== "needed_build" || !known.has(job.name));
    for (const { name } of added) known.add(name);
    return added;
  });
  return { jobs, actions: answers.flatMap(({ actions = [] }) => actions) };
}

/** The level of a hook, which its name contains. */
export function levelOf(hook: string): string | undefined {
  return /\/in-tree-action-(\d)-/.exec(hook)?.[1];
}

/** The destination of a job; undefined for a name that is not known. */
export function wayOf({ destination }: RequestedJob): Way | undefined {
  return destination === "taskcluster" || destination === "pulse" ? destination : undefined;
}

type Place = "runs" | "builds" | "waits" | "again" | "leftAlone" | "refused";

function placeOf({ state, code }: RequestedJob): Place {
  switch (state) {
    case "accepted":
      return code === "needed_build" ? "builds" : code === "already_running" ? "again" : "runs";
    case "waiting":
      return "waits";
    case "rejected":
      return code === "already_running" ? "leftAlone" : "refused";
    default:
      return "refused";
  }
}

function byReason(jobs: readonly RequestedJob[], buildOf: (job: RequestedJob) => string | undefined): Reason[] {
  const reasons = new Map<string, { code: string; detail: string; build?: string; jobs: RequestedJob[] }>();
  for (const job of jobs) {
    const { code = "", detail = "" } = job;
    const build = buildOf(job);
    // With a code, sentences differ only in names.
    const key = [code, build ?? (code === "" ? detail : "")].join("\n");
    const reason = reasons.get(key) ?? { code, detail, ...(build !== undefined && { build }), jobs: [] };
    reason.jobs.push(job);
    reasons.set(key, reason);
  }
  return [...reasons.values()].sort((one, other) => other.jobs.length - one.jobs.length);
}
