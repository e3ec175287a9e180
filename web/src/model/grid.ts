// The rows of the page: jobs by platform and option, in groups, with their chunks folded; in Treeherder's order.
//
// The layout of a list is computed once: the order of its jobs, and the places where rows, groups and folds begin. A
// view counts the jobs that pass a filter, in one loop over numbers.

import { chunkAt, formatRanges } from "./chunks.ts";
import type { Jobs } from "./jobs.ts";
import { rowTitle } from "./platforms.ts";
import { FAILURES, type Run, type Runs } from "./runs.ts";
import type { Mask } from "./search.ts";

/**
 * Maximum number of visible jobs that are drawn one by one. With more, groups stay folded until a person opens them.
 */
export const DRAWN_OPEN = 3_000;

/** A row of the grid: a platform with an option. Platforms with one title and one option share a row. */
export interface Row {
  readonly index: number;
  readonly title: string;
  readonly option: string;
  /** Its groups, by number, and its jobs, by place: from the first to the one before the end. */
  readonly firstGroup: number;
  readonly endGroup: number;
  readonly first: number;
  readonly end: number;
}

/** A group of a row, such as `M(1 2 bc3)`. */
export interface Group {
  readonly index: number;
  /** The number of its row. */
  readonly row: number;
  readonly symbol: string;
  /** The meaning of the symbol; empty if it is not known. */
  readonly name: string;
  readonly tier: number;
  /** Whether its jobs stand without symbol and brackets. */
  readonly isBare: boolean;
  readonly first: number;
  readonly end: number;
}

/** A part of a group: a job, or several chunks of a suite together. */
export type Item =
  | { readonly kind: "job"; readonly job: number }
  | {
      readonly kind: "chunks";
      /** The number of the fold. It does not depend on the filter. */
      readonly fold: number;
      /** The symbol of the chunks without their numbers, such as `bc`; may be empty. */
      readonly symbol: string;
      /** The visible chunks, by their numbers. */
      readonly jobs: readonly number[];
      /** `bc 1-24` */
      readonly text: string;
    };

/** A group with visible jobs. */
export interface GroupView {
  readonly group: Group;
  readonly visible: number;
  /** The visible jobs that can run: the others only ran. */
  readonly runnable: number;
  readonly selected: number;
}

/** A row with visible jobs. */
export interface RowView {
  readonly row: Row;
  readonly visible: number;
  readonly runnable: number;
  readonly selected: number;
  readonly groups: readonly GroupView[];
}

/** The rows with visible jobs. */
export interface GridView {
  readonly rows: readonly RowView[];
  readonly visible: number;
  readonly runnable: number;
  readonly selected: number;
  /** Whether groups are open, because few jobs are visible. */
  readonly isOpen: boolean;
}

/** The runs of a group: failures one by one, the others counted. */
export interface RunsView {
  readonly failures: readonly { readonly job: number; readonly run: Run }[];
  /** The number of other runs by status. */
  readonly counts: ReadonlyMap<string, number>;
}

const OPTION_ORDER = ["opt", "pgo", "asan", "tsan", "debug", "cc", "addon", "all", "debug-isolated-process"];
const NO_STEM = -1;

/** The order of the jobs of a list, and the rows, groups and folds in it. */
export class Layout {
  readonly rows: readonly Row[];
  readonly groups: readonly Group[];
  /** The jobs in the order in which they are drawn. */
  readonly order: Uint32Array;
  /** The places at which folds begin; a fold has one job, or several chunks. */
  private readonly folds: Uint32Array;
  /** The number of each job's chunk, or -1. */
  private readonly chunks: Int16Array;

  constructor(readonly jobs: Jobs) {
    const rows = rowsOf(jobs);
    const groups = groupsOf(jobs, rows);
    this.order = inGroups(groups);
    const ranks = rankJobs(jobs);
    this.chunks = ranks.chunk;
    const { symbol, stem, chunk } = ranks;
    const byRank = (one: number, other: number) =>
      symbol[one] - symbol[other] || stem[one] - stem[other] || chunk[one] - chunk[other] || one - other;
    this.groups = groups.drafts.map((draft, index) => {
      this.order.subarray(draft.first, draft.end).sort(byRank);
      const { row, symbol, name, tier, first, end } = draft;
      return { index, row: rows.rank[row], symbol, name, tier, isBare: symbol === "" && tier === 1, first, end };
    });
    this.folds = foldsOf(this.order, this.groups, ranks);
    this.rows = rows.titles.map((row, index) => this.row(row, index));
  }

  /** The jobs of a row or a group, in order. */
  jobsOf({ first, end }: Row | Group): Uint32Array {
    return this.order.subarray(first, end);
  }

  /** The jobs of a fold: a suite's chunks. */
  chunksOf(fold: number): Uint32Array {
    return this.order.subarray(this.folds[fold], this.folds[fold + 1]);
  }

  /** The number of a job's chunk; undefined if it is not one of several. */
  chunk(job: number): number | undefined {
    return this.chunks[job] < 0 ? undefined : this.chunks[job];
  }

  /** Counts visible jobs, and the selected ones among them. A selection as both masks gives the rows of the tray. */
  view(visible: Mask, selected: Mask): GridView {
    const rows: RowView[] = [];
    const { runnable: end } = this.jobs;
    let [allVisible, allRunnable, allSelected] = [0, 0, 0];
    for (const row of this.rows) {
      const groups: GroupView[] = [];
      let [rowVisible, rowRunnable, rowSelected] = [0, 0, 0];
      for (let index = row.firstGroup; index < row.endGroup; index++) {
        const group = this.groups[index];
        let [seen, runnable, marked] = [0, 0, 0];
        for (let place = group.first; place < group.end; place++) {
          const job = this.order[place];
          seen += visible[job];
          if (job < end) runnable += visible[job];
          marked += visible[job] & selected[job];
        }
        if (seen === 0) continue;
        groups.push({ group, visible: seen, runnable, selected: marked });
        rowVisible += seen;
        rowRunnable += runnable;
        rowSelected += marked;
      }
      if (rowVisible === 0) continue;
      rows.push({ row, visible: rowVisible, runnable: rowRunnable, selected: rowSelected, groups });
      allVisible += rowVisible;
      allRunnable += rowRunnable;
      allSelected += rowSelected;
    }
    const isOpen = allVisible <= DRAWN_OPEN;
    return { rows, visible: allVisible, runnable: allRunnable, selected: allSelected, isOpen };
  }

  /** The visible jobs of a group. Chunks are folded where several of a suite are visible. */
  items(group: Group, visible: Mask): Item[] {
    const items: Item[] = [];
    for (let fold = this.foldAt(group.first); this.folds[fold] < group.end; fold++) {
      const jobs = [...this.chunksOf(fold)].filter((job) => visible[job] === 1);
      if (jobs.length === 1) items.push({ kind: "job", job: jobs[0] });
      if (jobs.length < 2) continue;
      const symbol = foldSymbol(this.jobs.symbol(jobs[0]), this.chunks[jobs[0]]);
      const ranges = formatRanges(jobs.map((job) => this.chunks[job]));
      items.push({ kind: "chunks", fold, symbol, jobs, text: symbol === "" ? ranges : `${symbol} ${ranges}` });
    }
    return items;
  }

  /** The runs of a group's visible jobs, as Treeherder folds them. */
  runs(group: Group, visible: Mask, runs: Runs): RunsView {
    const failures: { job: number; run: Run }[] = [];
    const counts = new Map<string, number>();
    for (const job of this.jobsOf(group)) {
      if (visible[job] === 0 || !runs.has(job)) continue;
      for (const run of runs.of(job)) {
        if (FAILURES.has(run.status)) failures.push({ job, run });
        else counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
      }
    }
    return { failures, counts };
  }

  private row({ title, option }: RowTitle, index: number): Row {
    const firstGroup = lowerBound(this.groups, (group) => group.row >= index);
    const endGroup = lowerBound(this.groups, (group) => group.row > index);
    const [first, end] = [this.groups[firstGroup].first, this.groups[endGroup - 1].end];
    return { index, title, option, firstGroup, endGroup, first, end };
  }

  private foldAt(place: number): number {
    return lowerBound(this.folds, (start) => start >= place);
  }
}

interface RowTitle {
  readonly title: string;
  readonly option: string;
}

interface RowDraft extends RowTitle {
  readonly position: number;
}

interface RowDrafts {
  /** The drafted row of each job. */
  readonly of: Uint32Array;
  /** The place of each draft among the rows. */
  readonly rank: Uint32Array;
  /** In the order of the rows. */
  readonly titles: readonly RowTitle[];
}

function rowsOf(jobs: Jobs): RowDrafts {
  const { platform, option, platforms, titles, options } = jobs.words;
  const drafts: RowDraft[] = [];
  const byTitle = new Map<string, number>();
  const byWords = new Map<number, number>();
  const of = new Uint32Array(jobs.size);
  for (let job = 0; job < jobs.size; job++) {
    const words = platform[job] * options.length + option[job];
    let row = byWords.get(words);
    if (row === undefined) {
      const name = platforms[platform[job]];
      const { title, position } = titles[platform[job]];
      const key = `${title}\n${options[option[job]]}`;
      row = byTitle.get(key) ?? drafts.length;
      if (row === drafts.length) {
        const shown = rowTitle(name, title, options[option[job]]);
        drafts.push({ title: shown, option: options[option[job]], position });
      }
      byTitle.set(key, row);
      byWords.set(words, row);
    }
    of[job] = row;
  }
  const order = drafts.map((_, row) => row).sort((one, other) => compareRows(drafts[one], drafts[other]));
  const rank = new Uint32Array(drafts.length);
  order.forEach((row, place) => (rank[row] = place));
  return { of, rank, titles: unambiguous(order.map((row) => drafts[row])) };
}

function compareRows(one: RowDraft, other: RowDraft): number {
  return (
    one.position - other.position ||
    compare(one.position < 0 ? one.title : "", other.position < 0 ? other.title : "") ||
    optionOrder(one.option) - optionOrder(other.option) ||
    compare(one.option, other.option)
  );
}

function optionOrder(option: string): number {
  const place = OPTION_ORDER.indexOf(option);
  return place < 0 ? OPTION_ORDER.length : place;
}

/** Adds the option to titles that occur twice: Treeherder has two rows "Linux 24.04 asan". */
function unambiguous(rows: readonly RowTitle[]): RowTitle[] {
  const seen = new Set<string>();
  return rows.map(({ title, option }) => {
    const shown = seen.has(title) ? `${title} ${option}` : title;
    seen.add(shown);
    return { title: shown, option };
  });
}

interface GroupDraft {
  readonly row: number;
  readonly symbol: string;
  readonly name: string;
  readonly tier: number;
  readonly first: number;
  readonly end: number;
}

interface GroupDrafts {
  /** The place of each job's group among all groups. */
  readonly of: Uint32Array;
  /** In their order. */
  readonly drafts: readonly GroupDraft[];
}

function groupsOf(jobs: Jobs, rows: RowDrafts): GroupDrafts {
  const { group, groups, tier } = jobs.words;
  const symbols = new Map<string, number>();
  const symbolOf = groups.map(({ symbol }) => numbered(symbols, symbol));
  const numbers = new Map<number, number>();
  const found: { row: number; symbol: string; name: string; tier: number; size: number }[] = [];
  const of = new Uint32Array(jobs.size);
  for (let job = 0; job < jobs.size; job++) {
    const { symbol, name } = groups[group[job]];
    const level = tier[job] || 1;
    const key = (rows.of[job] * symbols.size + symbolOf[group[job]]) * 256 + level;
    const number = numbered(numbers, key);
    if (number === found.length) found.push({ row: rows.of[job], symbol, name, tier: level, size: 0 });
    found[number].name ||= name;
    found[number].size++;
    of[job] = number;
  }
  const order = found.map((_, number) => number);
  order.sort((one, other) => compareGroups(rows, found[one], found[other]));
  let first = 0;
  const drafts = order.map((number) => {
    const { size, ...draft } = found[number];
    first += size;
    return { ...draft, first: first - size, end: first };
  });
  const rank = new Uint32Array(order.length);
  order.forEach((number, place) => (rank[number] = place));
  return { of: of.map((number) => rank[number]), drafts };
}

function compareGroups(rows: RowDrafts, one: Omit<GroupDraft, "first" | "end">, other: typeof one): number {
  return (
    rows.rank[one.row] - rows.rank[other.row] ||
    one.symbol.length + one.tier - other.symbol.length - other.tier ||
    compare(one.symbol, other.symbol)
  );
}

/** All jobs, those of each group together. */
function inGroups({ of, drafts }: GroupDrafts): Uint32Array {
  const order = new Uint32Array(of.length);
  const next = Uint32Array.from(drafts, ({ first }) => first);
  for (let job = 0; job < of.length; job++) order[next[of[job]]++] = job;
  return order;
}

interface Ranks {
  /** The place of each job's symbol among all; that of a chunk without its number. */
  readonly symbol: Uint32Array;
  /** A number for the rest of a chunk's name, or -1. */
  readonly stem: Int32Array;
  readonly chunk: Int16Array;
}

/** Computes sort keys of the jobs in a group. They keep the chunks of a suite together. */
function rankJobs(jobs: Jobs): Ranks {
  const { symbols, symbol: symbolOf } = jobs.words;
  const stems = new Map<string, number>();
  const confirmed = new Map<string, number>();
  const stem = new Int32Array(jobs.size).fill(NO_STEM);
  const chunk = new Int16Array(jobs.size).fill(-1);
  const { text, starts } = jobs;
  for (let job = 0; job < jobs.size; job++) {
    const found = chunkAt(text, starts[job], starts[job + 1] - 1);
    if (!found) continue;
    const head = text.slice(starts[job], found.hyphen);
    // Even numbers are for chunks, odd ones for the jobs that confirm their failures.
    stem[job] = found.isConfirming ? numbered(confirmed, head) * 2 + 1 : numbered(stems, head) * 2;
    chunk[job] = found.number;
  }
  const endings = symbols.map((symbol) => /(?<!\d)0*(\d{1,4})$/.exec(symbol)?.[1]);
  const heads = symbols.map((symbol, place) => foldSymbol(symbol, Number(endings[place] ?? NaN)));
  const sorted = [...new Set([...symbols, ...heads])].map((symbol) => ({ symbol, key: sortKey(symbol) }));
  sorted.sort((one, other) => compare(one.key, other.key) || compare(one.symbol, other.symbol));
  const rank = new Map(sorted.map(({ symbol }, place) => [symbol, place]));
  const rankOf = symbols.map((symbol) => rank.get(symbol) ?? 0);
  const headRankOf = heads.map((head) => rank.get(head) ?? 0);
  const numberOf = endings.map(Number);
  const symbol = Uint32Array.from(symbolOf, (word, job) =>
    chunk[job] === numberOf[word] ? headRankOf[word] : rankOf[word],
  );
  return { symbol, stem, chunk };
}

/** The symbol of a chunk without its number: `bc` of `bc3`. */
function foldSymbol(symbol: string, chunk: number): string {
  const ending = /(?<!\d)0*(\d{1,4})$/.exec(symbol);
  return ending && Number(ending[1]) === chunk ? symbol.slice(0, ending.index) : symbol;
}

/** A symbol with its numbers filled up, so that R10 comes after R2. */
function sortKey(symbol: string): string {
  return symbol.replace(/\d+/g, (digits) => digits.padStart(6, "0"));
}

/** Finds the places where folds begin. Chunks of one suite share a fold. */
function foldsOf(order: Uint32Array, groups: readonly Group[], { symbol, stem }: Ranks): Uint32Array {
  const folds: number[] = [];
  for (const { first, end } of groups) {
    for (let place = first; place < end; place++) {
      const [job, before] = [order[place], order[place - 1]];
      const isMore = place > first && stem[job] !== NO_STEM && stem[job] === stem[before];
      if (!isMore || symbol[job] !== symbol[before]) folds.push(place);
    }
  }
  return Uint32Array.from([...folds, order.length]);
}

/** The number of a key: the next one for a key that is new. */
function numbered<Key>(numbers: Map<Key, number>, key: Key): number {
  const known = numbers.get(key);
  if (known !== undefined) return known;
  numbers.set(key, numbers.size);
  return numbers.size - 1;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** Finds the first place at which a condition holds. It has to hold from there on. */
function lowerBound<Value>(values: ArrayLike<Value>, isLate: (value: Value) => boolean): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isLate(values[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
