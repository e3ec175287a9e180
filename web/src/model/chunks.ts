// Chunks: the numbered parts of a suite, such as `test-linux2404-64/opt-mochitest-browser-chrome-3`, and ranges of them.

/** The number of a chunk, and the rest of its name. */
export interface Chunk {
  readonly stem: string;
  readonly number: number;
}

/** A number at the end of a name, or before `-cf`, the ending of jobs that confirm a failure. */
const CHUNK = /-(\d{1,4})(-cf)?$/;

/** The chunk that a name is of; undefined for a name without a number at its end. */
export function chunkOf(name: string): Chunk | undefined {
  // Most names without a chunk end with a letter: no need to search them.
  const last = name.charCodeAt(name.length - 1);
  if (last !== 0x66 && !(last >= 0x30 && last <= 0x39)) return undefined;
  const found = CHUNK.exec(name);
  if (!found) return undefined;
  return { stem: `${name.slice(0, found.index)}-*${found[2] ?? ""}`, number: Number(found[1]) };
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
