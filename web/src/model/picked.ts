// What a quick pick says before and after it.

import type { Pick } from "./quickpicks.ts";
import { counted } from "./words.ts";

/** What a pick would select. */
export function pickCount({ jobs, underway }: Pick): string {
  const more = underway.length > 0 ? `; ${counted(underway.length, "more runs", "more run")} already` : "";
  return counted(jobs.length, "job") + more;
}

/** What a pick did. `added` is how many of its jobs were not selected before. */
export function pickResult(pick: Pick, added: number): string[] {
  const before = pick.jobs.length - added;
  const [underway, missing] = [pick.underway.length, pick.notListed.length];
  const sentences = [`${counted(added, "job is", "jobs are")} added to the selection.`];
  if (before > 0) sentences.push(`${counted(before, "job was", "jobs were")} selected before.`);
  if (underway > 0) sentences.push(`Left out: ${counted(underway, "job that runs", "jobs that run")} already.`);
  if (missing > 0) {
    sentences.push(`Left out: ${counted(missing, "name that is", "names that are")} not in the list of this push.`);
  }
  return sentences;
}
