// A request's status as rows for the view that watches it, and the pause after failed polls.

import { pauseBefore, SHORTEST_PAUSE } from "./pause.ts";
import { wayOf, type Way } from "./plan.ts";
import type { ActionStatus, RequestedJob, TriggerRequest } from "./requests.ts";

/** How far a job is. */
export type Stage = "waiting" | "running" | "succeeded" | "failed" | "refused";

/** The way to run a failed job again: retry the request (the job was not delivered), or request the job anew. */
export type Again = "retry" | "request";

/** A job of the request. */
export interface WatchRow {
  readonly name: string;
  readonly askedAs: string | undefined;
  readonly stage: Stage;
  /**
   * The most precise word for it: a result (`testfailed`), the state of the run (`pending`) or of the job (`waiting`).
   */
  readonly status: string;
  readonly detail: string | undefined;
  /** A page about its run. */
  readonly url: string | undefined;
  readonly taskId: string | undefined;
  /** The time of the last change. */
  readonly since: string | undefined;
  readonly way: Way | undefined;
  /** Whether it is a build that the plan added. */
  readonly isAdded: boolean;
  readonly again: Again | undefined;
}

/** A request that is watched. */
export interface Watch {
  readonly rows: readonly WatchRow[];
  readonly counts: Readonly<Record<Stage, number>>;
  /** Whether the request has ended. A retry opens it again. */
  readonly isFinished: boolean;
  /** The path that retries the request; undefined while it cannot be retried. */
  readonly retryPath: string | undefined;
  /** The jobs that a retry sends. */
  readonly retried: readonly string[];
  /** How many of these may have arrived although no answer says so: a retry may run them twice. */
  readonly uncertain: number;
  /** The jobs that ran and failed, or were not seen. A new request runs them again. */
  readonly requestedAnew: readonly string[];
  readonly actions: readonly ActionStatus[];
}

/** Makes rows of a request's status. */
export function readWatch(request: TriggerRequest): Watch {
  const retryPath = request.links.retry ?? undefined;
  const rows = request.jobs.map((job) => rowOf(job, retryPath !== undefined));
  const counts = { waiting: 0, running: 0, succeeded: 0, failed: 0, refused: 0 };
  for (const { stage } of rows) counts[stage]++;
  const names = (again: Again) => rows.filter((row) => row.again === again).map((row) => row.name);
  return {
    rows,
    counts,
    isFinished: hasEnded(request),
    retryPath,
    retried: names("retry"),
    uncertain: rows.filter(({ again, detail }) => again === "retry" && detail?.includes("may have arrived")).length,
    requestedAnew: names("request"),
    actions: request.actions ?? [],
  };
}

/** The rows whose status changed, for a live region. */
export function changes(before: Watch, after: Watch): WatchRow[] {
  const known = new Map(before.rows.map((row) => [row.name, row.status]));
  return after.rows.filter((row) => known.get(row.name) !== row.status);
}

/** The pause after a number of failed polls in a row, in milliseconds. */
export function pauseAfterFailures(failures: number, retryAfter: string | null, now: number): number {
  const grown = Math.min(SHORTEST_PAUSE * 2 ** failures, LONGEST_FAILURE_PAUSE);
  return Math.max(pauseBefore(retryAfter, now) ?? 0, grown);
}

const LONGEST_FAILURE_PAUSE = 300_000;

/** Requests that an earlier version of the API forwarded have no progress: their jobs are not followed. */
function hasEnded({ state, progress }: TriggerRequest): boolean {
  return state === "finished" || state === "failed" || (state === "forwarded" && progress === undefined);
}

function rowOf(job: RequestedJob, canRetry: boolean): WatchRow {
  const stage = stageOf(job);
  const isDelivered = job.state === "forwarded";
  const again = isDelivered ? "request" : canRetry ? "retry" : undefined;
  const { outcome } = job;
  return {
    name: job.name,
    askedAs: job.asked_as,
    stage,
    status: outcome?.result ?? outcome?.state ?? job.state,
    detail: job.detail,
    url: outcome?.url,
    taskId: outcome?.task_id,
    since: outcome?.since,
    way: wayOf(job),
    isAdded: job.code === "needed_build",
    again: stage === "failed" ? again : undefined,
  };
}

function stageOf({ state, outcome }: RequestedJob): Stage {
  switch (state) {
    case "rejected":
      return "refused";
    case "failed":
    case "unroutable":
      return "failed";
    case "forwarded":
      break;
    default:
      return "waiting";
  }
  switch (outcome?.state) {
    case "running":
      return "running";
    case "completed":
      return outcome.result === "success" ? "succeeded" : "failed";
    case "not_seen":
      return "failed";
    default:
      return "waiting";
  }
}
