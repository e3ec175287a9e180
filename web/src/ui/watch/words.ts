// Words for the states of requests and jobs.

import type { RequestSummary } from "../../model/requests.ts";
import type { Stage, WatchRow } from "../../model/watch.ts";
import { listed, count } from "../words.ts";

/** The stages, in the order in which a person wants to see them. */
export const STAGES: readonly (readonly [Stage, string, string])[] = [
  ["failed", "Failed", "✗"],
  ["running", "Running", "▶"],
  ["waiting", "Waiting", "…"],
  ["succeeded", "Succeeded", "✓"],
  ["refused", "Refused", "⊘"],
];

const STATES: Readonly<Record<string, string>> = {
  accepted: "Accepted: it is stored and about to be queued",
  queued: "Queued: its jobs are about to be sent",
  waiting: "Some jobs wait",
  forwarded: "All jobs are sent, and followed to their end",
  finished: "Ended: all jobs that were sent have ended",
  failed: "Failed: no job could be sent",
};

/** What the state of a request means. */
export function stateOf(state: string): string {
  return STATES[state] ?? state;
}

const STATUSES: Readonly<Record<string, string>> = {
  accepted: "on its way",
  waiting: "waits",
  triggering: "its action is being called",
  forwarded: "sent, not seen yet",
  unroutable: "not delivered: no listener takes it",
  failed: "not delivered",
  rejected: "refused",
  unscheduled: "waits for other tasks",
  pending: "pending",
  running: "running",
  success: "succeeded",
  testfailed: "tests failed",
  busted: "broken (busted)",
  exception: "exception",
  usercancel: "cancelled",
  superseded: "superseded",
  not_seen: "did not appear in time",
};

/** What the status of a job means. */
export function statusOf(status: string): string {
  return STATUSES[status] ?? status.replaceAll("_", " ");
}

/** Jobs with the same status for the same reason. */
interface Alike {
  readonly status: string;
  readonly detail: string;
  readonly rows: readonly WatchRow[];
}

/** Puts jobs with the same status and detail together, in the order of the first of them. */
export function byStatus(rows: readonly WatchRow[]): Alike[] {
  const groups = new Map<string, { status: string; detail: string; rows: WatchRow[] }>();
  for (const row of rows) {
    const { status, detail = "" } = row;
    const key = `${status}\n${detail}`;
    const group = groups.get(key) ?? { status, detail, rows: [] };
    group.rows.push(row);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** How far a request in a list is. */
export function progressOf({ progress, job_counts: jobs }: RequestSummary): string {
  const refused = jobs.rejected ?? 0;
  const { failed = 0, running = 0, waiting = 0, succeeded = 0 } = progress ?? {};
  const text = listed([
    [failed, "failed"],
    [running, "running"],
    [waiting, "waiting"],
    [succeeded, "succeeded"],
    [refused, "refused"],
  ]);
  if (progress && text !== "") return text;
  return count(
    Object.values(jobs).reduce((sum, number) => sum + number, 0),
    "job",
  );
}

/** Says which jobs changed, for a screen reader; a name only where one job changed. */
export function newsOf(changed: readonly WatchRow[], isFinished: boolean): string {
  const [row] = changed;
  const news =
    changed.length === 1
      ? `${row.name}: ${statusOf(row.status)}`
      : listed(
          STAGES.map(([stage, word]) => [
            changed.filter((row) => row.stage === stage).length,
            `now ${word.toLowerCase()}`,
          ]),
        );
  const sentence = news === "" ? "" : `${news}.`;
  return isFinished ? `${sentence} The request has ended.`.trim() : sentence;
}
