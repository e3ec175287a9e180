// Loads what the picker shows: the list of jobs that can run on the push, the push, and its runs.

import type { Answer } from "../../client.ts";
import { Failure, getJson, partIsMissing } from "../../client.ts";
import { BASE, type Config } from "../../config.ts";
import { type Grid, type Jobs, MalformedGrid, readGrid } from "../../model/jobs.ts";
import { Platforms } from "../../model/platforms.ts";
import tableUrl from "../../../../crates/catalog/data/platform-titles.table?url";
import { loadDecisionTask } from "../../treeherder.ts";

/** The list of a push. */
export interface List {
  readonly jobs: Jobs;
  readonly decisionTask: string | undefined;
  /** What is not as it should be, in sentences. */
  readonly warnings: readonly string[];
}

/** The titles of platforms, once they are loaded. */
let platforms: Promise<Platforms> | undefined;

function loadPlatforms(): Promise<Platforms> {
  platforms ??= fetchPlatforms();
  platforms.catch(() => (platforms = undefined));
  return platforms;
}

async function fetchPlatforms(): Promise<Platforms> {
  const answer = await fetch(tableUrl).catch(() => undefined);
  if (answer?.ok) return new Platforms(await answer.text());
  throw partIsMissing();
}

/**
 * Loads the list of a push: that of its decision task, or the project's list where the push has none, or where
 * Treeherder or Taskcluster does not answer.
 */
export async function loadList(config: Config, project: string, push: number, signal: AbortSignal): Promise<List> {
  // At the same time as the list.
  loadPlatforms().catch(() => {});
  const warnings: string[] = [];
  let decisionTask: string | undefined;
  try {
    decisionTask = await loadDecisionTask(config.treeherder, project, push, signal);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    warnings.push(`${error.message} The list is that of the project: it lacks jobs that only this push has.`);
  }
  if (decisionTask !== undefined) {
    try {
      const answer = await loadGrid(project, decisionTask, signal);
      return { jobs: await read(answer), decisionTask, warnings: [...warnings, ...staleness(answer)] };
    } catch (error) {
      // Without the push's list there is still that of the project, unless the service itself fails.
      if (!(error instanceof Failure) || error.code === "unknown_project" || error.status === 0) throw error;
      warnings.push(`${error.message} The list is that of the project: it lacks jobs that only this push has.`);
    }
  }
  const answer = await loadGrid(project, undefined, signal);
  return { jobs: await read(answer), decisionTask, warnings: [...warnings, ...staleness(answer)] };
}

function loadGrid(project: string, decisionTask: string | undefined, signal: AbortSignal): Promise<Answer<Grid>> {
  const url = new URL(`api/project/${encodeURIComponent(project)}/runnable_jobs/?view=grid`, BASE);
  if (decisionTask !== undefined) url.searchParams.set("decision_task_id", decisionTask);
  return getJson<Grid>(url, { signal });
}

async function read({ body }: Answer<Grid>): Promise<Jobs> {
  const titles = await loadPlatforms();
  try {
    return readGrid(body, titles);
  } catch (error) {
    if (!(error instanceof MalformedGrid || error instanceof TypeError)) throw error;
    throw new Failure(`The list of jobs cannot be read (${error.message}). Reload the page.`, 0, "");
  }
}

function staleness({ headers }: Answer<Grid>): string[] {
  if (!headers.get("Warning")?.startsWith("110")) return [];
  const minutes = Math.round(Number(headers.get("Age")) / 60);
  return [`The list may be out of date: it was read ${minutes} min ago, and the store does not answer now.`];
}
