// Which jobs are selected. A selection never changes: each step makes a new one, so that a page sees what changed.
//
// Every step sets or clears the jobs that it is given, and leaves the others, also those that a filter hides. What is set
// twice stays set.

import { isIn, type Range } from "./chunks.ts";
import type { Jobs } from "./jobs.ts";
import type { Mask } from "./search.ts";

/** How many jobs a request may have; a push with more runs at a lower priority, and may miss its deadline. */
export const REQUEST_JOBS = 1_000;
/** How large the body of a request may be, in bytes. */
const REQUEST_BYTES = 250_000;

const VERSION = 1;

/** Some of the jobs of a list: a mask or their numbers. */
export type Some = Mask | Iterable<number>;

/** The selected jobs of a list. */
export class Selection {
  /** How many jobs are selected. */
  readonly size: number;

  private constructor(
    readonly jobs: Jobs,
    /** 1 for each job that is selected. */
    readonly mask: Mask,
    /** Names that were selected and are not in this list, or cannot run; they are back with a list that has them. */
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

  /** Selects these jobs too, as far as they can run. */
  set(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] = 1)));
  }

  /** Takes these jobs out. */
  clear(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] = 0)));
  }

  /** Takes all jobs out. */
  clearAll(): Selection {
    return Selection.none(this.jobs);
  }

  /** Selects those of these jobs that are not selected, and takes out the others. */
  invert(jobs: Some): Selection {
    return this.change((mask) => each(jobs, (job) => (mask[job] ^= 1)));
  }

  /** Selects, of these chunks, those with a number in the ranges, and takes out the others. */
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

  /** The selection that was stored; none if the text is not one. */
  static read(jobs: Jobs, text: string | null): Selection {
    return Selection.of(jobs, storedNames(text));
  }

  private change(apply: (mask: Mask) => void): Selection {
    const mask = this.mask.slice();
    apply(mask);
    // What only ran, such as the decision task, cannot be requested.
    mask.fill(0, this.jobs.runnable);
    return new Selection(this.jobs, mask, this.absent);
  }
}

/** Whether so many jobs are too many for one request. */
export function isLarge(size: number): boolean {
  return size > REQUEST_JOBS;
}

/** Names in as few requests as the limits of the API allow, in their order. */
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
