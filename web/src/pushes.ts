// Treeherder's lists of pushes. Only views that look for a push load them.

import { Failure } from "./client.ts";
import { get, isMissing, type Push, type PushAnswer, readPush } from "./treeherder.ts";

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

/** Negative if the first push is the older one. */
function order(one: Push, other: Push): number {
  return one.time - other.time || one.id - other.id;
}
