// Treeherder's API, as far as the page reads it: pushes, and the jobs on a push.

import { Failure, getJson } from "./client.ts";
import { readRuns, type Run, type TreeherderJobs } from "./model/runs.ts";

/** A push. */
export interface Push {
  /** Treeherder's number. */
  readonly id: number;
  readonly revision: string;
  readonly author: string;
  /** In seconds since 1970. */
  readonly time: number;
  /** The first line of the newest commit's comment. */
  readonly comment: string;
  /** The number of its commits. */
  readonly commits: number;
}

interface PushAnswer {
  readonly id: number;
  readonly revision: string;
  readonly author: string;
  readonly push_timestamp: number;
  /** The newest commits, newest first. */
  readonly revisions?: readonly { readonly comments: string }[];
  readonly revision_count?: number;
}

/** Which pushes of a project are asked for. */
export interface PushFilter {
  /** The first characters of the push's revision. */
  readonly revision?: string;
  readonly author?: string;
}

/** Pushes, newest first, and whether there may be older ones. */
export interface PushPage {
  readonly pushes: readonly Push[];
  readonly hasOlder: boolean;
}

const PAGE_PUSHES = 20;
/** The most jobs that Treeherder puts into an answer. */
const PAGE_JOBS = 2_000;
const REVISION_LENGTH = 12;

/** Loads the newest pushes, or those before a push that is known. */
export async function loadPushes(
  treeherder: string,
  project: string,
  filter: PushFilter = {},
  before?: Push,
  signal?: AbortSignal,
): Promise<PushPage> {
  // The push itself is in the answer, too: there may be older ones of the same second.
  const count = before ? PAGE_PUSHES + 1 : PAGE_PUSHES;
  const parameters = new URLSearchParams({ count: String(count), ...filter });
  if (before) parameters.set("push_timestamp__lt", String(before.time + 1));
  const results = await loadPushPage(treeherder, project, parameters, signal);
  const found = results.map(readPush).sort((one, other) => -order(one, other));
  const pushes = before ? found.filter((push) => order(push, before) < 0) : found;
  return { pushes, hasOlder: results.length >= count && pushes.length > 0 };
}

/** Loads a push by its number. A push that does not exist is a failure with the status 404. */
export async function loadPush(treeherder: string, project: string, push: number, signal?: AbortSignal): Promise<Push> {
  try {
    const { body } = await get<PushAnswer>(treeherder, project, `push/${push}/`, signal);
    return readPush(body);
  } catch (error) {
    throw isMissing(error) ? new Failure(`Treeherder has no push ${push} on ${project}.`, 404, "") : error;
  }
}

/** Loads the runs on a push: Treeherder's jobs. Large pushes take several requests, one after another. */
export async function loadRuns(
  treeherder: string,
  project: string,
  push: number,
  signal?: AbortSignal,
): Promise<Run[]> {
  const runs = new Map<number, Run>();
  let [offset, size] = [0, -1];
  // A service that ignores the offset would answer the same jobs for ever.
  while (runs.size > size) {
    size = runs.size;
    const path = `jobs/?push_id=${push}&count=${PAGE_JOBS}&offset=${offset}`;
    const { body } = await get<TreeherderJobs>(treeherder, project, path, signal);
    for (const run of readRuns(body)) runs.set(run.id, run);
    if (body.results.length < PAGE_JOBS) break;
    offset += body.results.length;
  }
  return [...runs.values()];
}

/** Loads the id of a push's decision task; undefined for a push without one. */
export async function loadDecisionTask(
  treeherder: string,
  project: string,
  push: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const path = `push/decisiontask/?push_ids=${push}`;
    const { body } = await get<Record<string, { id?: string }>>(treeherder, project, path, signal);
    return body[push]?.id;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The id of the decision task among the runs on a push; undefined if none of them is one. */
export function decisionTask(runs: readonly Run[]): string | undefined {
  return runs.findLast((run) => run.name === "Gecko Decision Task" && run.taskId !== undefined)?.taskId;
}

/** The address of a push in Treeherder; of its project if the revision is not known. */
export function pushUrl(treeherder: string, project: string, revision?: string): string {
  return `${treeherder}/jobs?${new URLSearchParams({ repo: project, ...(revision && { revision }) })}`;
}

/** The address of a run in Treeherder. */
export function runUrl(treeherder: string, project: string, run: number, revision?: string): string {
  return `${pushUrl(treeherder, project, revision)}&selectedJob=${run}`;
}

/** The address of a task in Taskcluster. */
export function taskUrl(taskcluster: string, task: string): string {
  return `${taskcluster}/tasks/${encodeURIComponent(task)}`;
}

/** The first characters of a revision, by which people name it. */
export function shortRevision(revision: string): string {
  return revision.slice(0, REVISION_LENGTH);
}

async function loadPushPage(
  treeherder: string,
  project: string,
  parameters: URLSearchParams,
  signal: AbortSignal | undefined,
): Promise<readonly PushAnswer[]> {
  try {
    const { body } = await get<{ results: PushAnswer[] }>(treeherder, project, `push/?${parameters}`, signal);
    return body.results;
  } catch (error) {
    throw isMissing(error) ? new Failure(`Treeherder has no project ${project}.`, 404, "") : error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Failure && error.status === 404;
}

function get<Body>(treeherder: string, project: string, path: string, signal: AbortSignal | undefined) {
  const url = `${treeherder}/api/project/${encodeURIComponent(project)}/${path}`;
  return getJson<Body>(url, signal ? { signal } : {});
}

function readPush(push: PushAnswer): Push {
  const { id, revision, author, push_timestamp: time, revisions = [], revision_count: commits } = push;
  const [comment = ""] = (revisions[0]?.comments ?? "").trim().split("\n", 1);
  return { id, revision, author, time, comment, commits: commits ?? revisions.length };
}

/** Negative if the first push is the older one. */
function order(one: Push, other: Push): number {
  return one.time - other.time || one.id - other.id;
}
