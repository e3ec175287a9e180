// Addresses of runs and tasks.

import { pushUrl } from "./treeherder.ts";

/** The address of a run in Treeherder. */
export function runUrl(treeherder: string, project: string, run: number, revision?: string): string {
  return `${pushUrl(treeherder, project, revision)}&selectedJob=${run}`;
}

/** The address of a task in Taskcluster. */
export function taskUrl(taskcluster: string, task: string): string {
  return `${taskcluster}/tasks/${encodeURIComponent(task)}`;
}
