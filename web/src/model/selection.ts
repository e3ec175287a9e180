// The selected jobs. A selection is immutable: each step returns a new one, so that a page can compare the two.
//
// A step sets or clears the given jobs and leaves all others as they are, including jobs that a filter hides. Setting a
// job twice leaves it set.

import { isIn, type Range } from "./chunks.ts";
import type { Jobs } from "./jobs.ts";
import type { Mask } from "./search.ts";

/** Maximum number of jobs of a request. Taskcluster runs larger pushes at a lower priority. */
export const REQUEST_JOBS = 1_000;
/** Maximum size of the names of a request, in bytes of JSON. The API accepts bodies of 256 KiB. */
const REQUEST_BYTES = 250_000;

const VERSION = 1;

/** Jobs of a list: a mask or their numbers. */
export type Some = Mask | Iterable<number>;

/** The selected jobs of a list. */
export class Selection {
  /** How many jobs are selected. */
  readonly size: number;

  private constructor(
    readonly jobs: Jobs,
    /** 1 for each job that is selected. */
    readonly mask: Mask,
    /** Selected names that this list does not have. A list that has them selects them again. */
    readonly absent: readonly string[],
    size?: number,
  ) {
    this.size = size ?? mask.reduce((sum, mark) => sum + mark, 0);
  }

  static none(jobs: Jobs): Selection {
    return new Selection(jobs, new Uint8Array(jobs.size), [], 0);
  }

  /** The jobs with these names. */
  static of(jobs: Jobs, names: Iterable<string>): Selection {
    const mask = new Uint8Array(jobs.size);
    const absent = new Set<string>();
    for (const name of names) {
      const job = jobs.find(name);
      if (job !== undefined && job < jobs.runnable) mask[job] = 1;
      else absent.add(name);
    }
    return new Selection(jobs, mask, [...absent]);
  }

  has(job: number): boolean {
    return this.mask[job] === 1;
  }

  /** Adds these jobs, as far as they can run. */
  set(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] = 1)));
  }

  /** Removes these jobs. */
  clear(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] = 0)));
  }

  /** Removes all jobs. */
  clearAll(): Selection {
    return Selection.none(this.jobs);
  }

  /** Adds those of these jobs that are not selected, and removes the others. */
  invert(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] ^= 1)));
  }

  /** Adds the chunks with a number in the ranges, and removes the other chunks. */
  setChunks(
    chunks: Iterable<number>,
    ranges: readonly Range[],
    numberOf: (job: number) => number | undefined,
  ): Selection {
    const all = [...chunks];
    const chosen = all.filter((job) => isIn(numberOf(job) ?? NaN, ranges));
    return this.clear(all).set(chosen);
  }

  /** The names of the selected jobs, in the order of the list. */
  names(): string[] {
    const names: string[] = [];
    for (let job = 0; job < this.mask.length; job++) if (this.mask[job] === 1) names.push(this.jobs.name(job));
    return names;
  }

  /**
   * The names of the selected jobs in requests that the API accepts. Builds that jobs need come first: a request adds a
   * build that is missing on the push, and a later request would run it a second time.
   */
  requests(): string[][] {
    const builds = new Set(this.jobs.words.builds);
    const names = this.names();
    return requestsOf([...names.filter((name) => builds.has(name)), ...names.filter((name) => !builds.has(name))]);
  }

  /** The same names selected in another list, such as that of another push, or in this one after more jobs ran. */
  in(jobs: Jobs): Selection {
    if (!jobs.isSameList(this.jobs)) return Selection.of(jobs, [...this.names(), ...this.absent]);
    const mask = new Uint8Array(jobs.size);
    mask.set(this.mask.subarray(0, jobs.runnable));
    return new Selection(jobs, mask, this.absent, this.size);
  }

  /** The selection as a text to store. */
  serialise(): string {
    return JSON.stringify({ version: VERSION, names: [...this.names(), ...this.absent] });
  }

  /** Reads a stored selection. An invalid text is an empty selection. */
  static read(jobs: Jobs, text: string | null): Selection {
    return Selection.of(jobs, storedNames(text));
  }

  private change(apply: (mask: Mask) => void): Selection {
    const mask = this.mask.slice();
    apply(mask);
    // Jobs that are not in the list, such as the decision task, cannot be requested.
    mask.fill(0, this.jobs.runnable);
    return new Selection(this.jobs, mask, this.absent);
  }
}

/** Whether the number of jobs exceeds that of one request. */
export function isLarge(size: number): boolean {
  return size > REQUEST_JOBS;
}

/** Splits names into requests that the API accepts. The names keep their order. */
export function requestsOf(names: readonly string[]): string[][] {
  const requests: string[][] = [];
  let bytes = Infinity;
  for (const name of names) {
    const size = new TextEncoder().encode(JSON.stringify(name)).length + 1;
    const last = requests.at(-1);
    if (last && last.length < REQUEST_JOBS && bytes + size <= REQUEST_BYTES) {
      last.push(name);
      bytes += size;
    } else {
      requests.push([name]);
      bytes = size;
    }
  }
  return requests;
}

function each(jobs: Some, apply: (job: number) => void): void {
  if (jobs instanceof Uint8Array) {
    for (let job = 0; job < jobs.length; job++) if (jobs[job] === 1) apply(job);
  } else {
    for (const job of jobs) apply(job);
  }
}

function storedNames(text: string | null): string[] {
  try {
    const stored: unknown = JSON.parse(text ?? "");
    if (typeof stored !== "object" || stored === null) return [];
    const { version, names } = stored as { version?: unknown; names?: unknown };
    if (version !== VERSION || !Array.isArray(names)) return [];
    return names.filter((name): name is string => typeof name === "string");
  } catch {
    return [];
  }
}
