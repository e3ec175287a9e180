// What a quick pick says before and after it.

import type { Pick } from "../../model/quickpicks.ts";
import { count } from "../words.ts";

/** What a pick would select. */
export function pickCount({ jobs, underway }: Pick): string {
  const more = underway.length > 0 ? `; ${count(underway.length, "more runs", "more run")} already` : "";
  return count(jobs.length, "job") + more;
}

/** What a pick did. `added` is how many of its jobs were not selected before. */
export function pickResult(pick: Pick, added: number): string[] {
  const before = pick.jobs.length - added;
  const [underway, missing] = [pick.underway.length, pick.notListed.length];
  const sentences = [`${count(added, "job is", "jobs are")} added to the selection.`];
  if (before > 0) sentences.push(`${count(before, "job was", "jobs were")} selected before.`);
  if (underway > 0) sentences.push(`Left out: ${count(underway, "job that runs", "jobs that run")} already.`);
  if (missing > 0) {
    sentences.push(`Left out: ${count(missing, "name that is", "names that are")} not in the list of this push.`);
  }
  return sentences;
}
