// Words of the preview.

import type { Plan, Reason } from "../../model/plan.ts";
import { count, jobs as jobsOf, listed } from "../words.ts";
import type { Batch } from "./sending.ts";

/** What a plan comes to. */
export function summaryOf({ runs, builds, waits, again, leftAlone, refused }: Plan): string {
  const text = listed([
    [runs.length, runs.length === 1 ? "runs" : "run"],
    [builds.length, builds.length === 1 ? "build is added" : "builds are added"],
    [totalOf(waits), totalOf(waits) === 1 ? "waits" : "wait"],
    [again.length, again.length === 1 ? "runs once more" : "run once more"],
    [leftAlone.length, "already running and left alone"],
    [totalOf(refused), "refused"],
  ]);
  return text === "" ? "Nothing would run." : `${text}.`;
}

/** The number of jobs with a reason. */
export function totalOf(reasons: readonly Reason[]): number {
  return reasons.reduce((sum, { jobs }) => sum + jobs.length, 0);
}

/** What the view does, for a screen reader. */
export function newsOf(
  isChecking: boolean,
  lists: Plan | undefined,
  place: number | undefined,
  requests: number,
): string {
  if (place !== undefined) return `Sending request ${place + 1} of ${requests}.`;
  if (isChecking) return "Asking what would happen.";
  return lists ? `The preview is there. ${summaryOf(lists)}` : "";
}

/** The words of the button that sends. */
export function runLabel(requested: number, isStarted: boolean, hasFailed: boolean): string {
  const verb = isStarted ? "Continue: run" : hasFailed ? "Try again: run" : "Run";
  return `${verb} ${count(requested, "job")}`;
}

/** What is known of batches without an answer; undefined if there are none. */
export function warningOf(batches: readonly Batch[], isSelected: (name: string) => boolean): string | undefined {
  const names = batches.filter((batch) => batch.isUnanswered).flatMap((batch) => batch.names);
  if (names.length === 0) return undefined;
  const left = names.filter((name) => !isSelected(name)).length;
  return [
    `${jobsOf(names.length, "was", "were")} sent before, without an answer, and may have arrived.`,
    names.length === 1
      ? "It is sent again first, as it was: it does not run twice."
      : "They are sent again first, as they were: they do not run twice.",
    ...(left > 0 ? [`${count(left, "of them is", "of them are")} not selected any more.`] : []),
  ].join(" ");
}

const TITLES: Readonly<Record<string, string>> = {
  build_running: "Wait for a build that runs",
  build_requested: "Wait for a build that is added",
  unknown_job: "No such jobs on this push",
  not_triggerable: "Taskcluster jobs cannot be run here",
  no_decision_task: "The push has no usable decision task",
  action_unusable: "The push's action cannot be used",
  hook_not_allowed: "The push's hook is not allowed",
  schema_changed: "The push's action has an unknown form",
  input_refused: "Taskcluster refuses the input",
  hook_missing: "The push's hook does not exist",
  missing_scopes: "This service may not call the push's hook",
};

/** The heading above jobs with the same reason. */
export function titleOf(code: string, build: string | undefined, detail: string): string {
  if (build !== undefined && (code === "build_running" || code === "build_requested")) {
    return `Wait for ${build}, which ${code === "build_running" ? "runs" : "is added"}`;
  }
  return TITLES[code] ?? (detail || "For other reasons");
}
