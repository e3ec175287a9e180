// Chunks: the numbered parts of a suite, such as `test-linux2404-64/opt-mochitest-browser-chrome-3`, and ranges of
// them.

/** Where the number of a chunk stands in its name. */
export interface Chunk {
  readonly number: number;
  /** The place of the hyphen before the number. The suite's name ends there. */
  readonly hyphen: number;
  /** Whether the job confirms a failure of the chunk: its name ends in `-cf`. */
  readonly isConfirming: boolean;
}

const [HYPHEN, ZERO, NINE] = ["-", "0", "9"].map((character) => character.charCodeAt(0));
const MOST_DIGITS = 4;

/**
 * Finds the chunk that a name is of, in a text with many names; undefined for a name without a number at its end. It
 * runs for each job of a list, so it makes no strings.
 */
export function chunkAt(text: string, start: number, end: number): Chunk | undefined {
  const isConfirming = text.endsWith("-cf", end);
  let place = isConfirming ? end - 4 : end - 1;
  let [number, unit] = [0, 1];
  for (let digits = 0; digits < MOST_DIGITS && place > start; digits++, place--) {
    const digit = text.charCodeAt(place);
    if (digit < ZERO || digit > NINE) break;
    number += (digit - ZERO) * unit;
    unit *= 10;
  }
  if (unit === 1 || place === start || text.charCodeAt(place) !== HYPHEN) return undefined;
  return { number, hyphen: place, isConfirming };
}

/** Numbers from the first to the last, both included. */
export type Range = readonly [first: number, last: number];

/** Reads ranges as people write them: `1,4-6`, `3-` (to the end), `-3`. Undefined for any other text. */
export function parseRanges(text: string): Range[] | undefined {
  const ranges: Range[] = [];
  const parts = text.replace(/\s*[-–]\s*/g, "-").split(/[\s,;]+/);
  for (const part of parts.filter(Boolean)) {
    const found = /^(\d*)(-?)(\d*)$/.exec(part);
    if (!found || part === "-") return undefined;
    const [, from, hyphen, to] = found;
    const first = from ? Number(from) : 0;
    const range: Range = [first, hyphen ? (to ? Number(to) : Infinity) : first];
    if (range[0] > range[1]) return undefined;
    ranges.push(range);
  }
  return ranges.length > 0 ? ranges : undefined;
}

/** Whether a number is in one of the ranges. */
export function isIn(number: number, ranges: readonly Range[]): boolean {
  return ranges.some(([first, last]) => first <= number && number <= last);
}

/** Writes numbers as ranges: `1-3,7`. */
export function formatRanges(numbers: Iterable<number>): string {
  const ranges: [number, number][] = [];
  for (const number of [...new Set(numbers)].sort((one, other) => one - other)) {
    const last = ranges.at(-1);
    if (last && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
