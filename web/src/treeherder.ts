// Treeherder's API, as far as the first view reads it: a push and its jobs.

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

/** Treeherder's answer about a push. */
export interface PushAnswer {
  readonly id: number;
  readonly revision: string;
  readonly author: string;
  readonly push_timestamp: number;
  /** The newest commits, newest first. */
  readonly revisions?: readonly { readonly comments: string }[];
  readonly revision_count?: number;
}

/** The most jobs that Treeherder puts into an answer. */
const PAGE_JOBS = 2_000;
const REVISION_LENGTH = 12;

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

/** The address of a push in Treeherder; of its project if the revision is not known. */
export function pushUrl(treeherder: string, project: string, revision?: string): string {
  return `${treeherder}/jobs?${new URLSearchParams({ repo: project, ...(revision && { revision }) })}`;
}

/** The first characters of a revision, by which people name it. */
export function shortRevision(revision: string): string {
  return revision.slice(0, REVISION_LENGTH);
}

/** Whether Treeherder does not have it. */
export function isMissing(error: unknown): boolean {
  return error instanceof Failure && error.status === 404;
}

/** Gets what is at a path of a project. */
export function get<Body>(treeherder: string, project: string, path: string, signal: AbortSignal | undefined) {
  const url = `${treeherder}/api/project/${encodeURIComponent(project)}/${path}`;
  return getJson<Body>(url, signal ? { signal } : {});
}

export function readPush(push: PushAnswer): Push {
  const { id, revision, author, push_timestamp: time, revisions = [], revision_count: commits } = push;
  const [comment = ""] = (revisions[0]?.comments ?? "").trim().split("\n", 1);
  return { id, revision, author, time, comment, commits: commits ?? revisions.length };
}
