// The jobs of a list as columns: 30,000 of them take 3 MB, where an object for each would take ten times that.
//
// A job is a number, its place in the columns. Words that jobs share are in tables, as in the answer of the API, and
// all names are one string, which is searched as a whole.

import type { components } from "../api.ts";
import type { Platforms, PlatformTitle } from "./platforms.ts";

export type Grid = components["schemas"]["Grid"];

/** The group of a job; both words are empty for jobs without one. */
export interface JobGroup {
  readonly symbol: string;
  readonly name: string;
}

/** A job with its words, such as one that ran and is not in the list. */
export interface JobDescription {
  readonly name: string;
  readonly platform: string;
  readonly option: string;
  readonly groupSymbol: string;
  readonly groupName: string;
  readonly symbol: string;
  readonly tier: number;
  readonly buildSystem: string;
}

interface Columns {
  readonly project: string;
  readonly runnable: number;
  readonly text: string;
  readonly starts: Uint32Array;
  readonly platforms: readonly string[];
  /** The titles of these platforms. */
  readonly titles: readonly PlatformTitle[];
  readonly options: readonly string[];
  readonly groups: readonly JobGroup[];
  readonly symbols: readonly string[];
  readonly buildSystems: readonly string[];
  readonly builds: readonly string[];
  readonly platform: Uint16Array;
  readonly option: Uint16Array;
  readonly group: Uint32Array;
  readonly symbol: Uint32Array;
  readonly tier: Uint8Array;
  readonly buildSystem: Uint8Array;
  readonly build: Int32Array;
}

/** The answer of the API is not a grid. */
export class MalformedGrid extends Error {}

/** The jobs of a push: first the list of jobs that can run, in the order of their names, then jobs that only ran. */
export class Jobs {
  readonly size: number;
  /** All names in lower case, for searches; the same string as the names where those have no capitals. */
  readonly lowerText: string;
  /** The jobs that do not stand in the order of their names, by name. */
  private readonly unsorted = new Map<string, number>();

  /** `sorted` is how many jobs stand in the order of their names. */
  constructor(
    private readonly columns: Columns,
    private readonly sorted: number,
    private readonly titles: Platforms,
  ) {
    this.size = columns.starts.length - 1;
    this.lowerText = columns.text.toLowerCase();
    for (let job = sorted; job < this.size; job++) this.unsorted.set(this.name(job), job);
  }

  /** The project of the list. */
  get project(): string {
    return this.columns.project;
  }

  /** The number of jobs in the list. Jobs from this number on ran on the push, and cannot be requested. */
  get runnable(): number {
    return this.columns.runnable;
  }

  /** All names, each behind a line feed. */
  get text(): string {
    return this.columns.text;
  }

  /** The place in the text where each name begins; at last, the end of the text. */
  get starts(): Uint32Array {
    return this.columns.starts;
  }

  /** The tables of words, and the place in them for each job. */
  get words(): Readonly<Columns> {
    return this.columns;
  }

  /** The builder name or the label: requests name the job by it. */
  name(job: number): string {
    const { text, starts } = this.columns;
    return text.slice(starts[job], starts[job + 1] - 1);
  }

  platform(job: number): string {
    return this.columns.platforms[this.columns.platform[job]];
  }

  option(job: number): string {
    return this.columns.options[this.columns.option[job]];
  }

  group(job: number): JobGroup {
    return this.columns.groups[this.columns.group[job]];
  }

  symbol(job: number): string {
    return this.columns.symbols[this.columns.symbol[job]];
  }

  /** The tier; 1 for jobs of Buildbot, which have none. */
  tier(job: number): number {
    return this.columns.tier[job] || 1;
  }

  buildSystem(job: number): string {
    return this.columns.buildSystems[this.columns.buildSystem[job]];
  }

  /** The name of the build that the job needs. */
  build(job: number): string | undefined {
    const build = this.columns.build[job];
    return build < 0 ? undefined : this.columns.builds[build];
  }

  /** Whether both come from the same answer, so that jobs of the list have the same numbers. */
  isSameList(other: Jobs): boolean {
    return this.columns.builds === other.columns.builds;
  }

  /** The job with a name, whether it can run or only ran. */
  find(name: string): number | undefined {
    const { text, starts } = this.columns;
    let [low, high] = [0, this.sorted];
    // How many characters the name has in common with those before `low` and from `high` on: all between have them too.
    let [lowCommon, highCommon] = [0, 0];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const [start, end] = [starts[middle], starts[middle + 1] - 1];
      let common = Math.min(lowCommon, highCommon);
      while (common < name.length && text.charCodeAt(start + common) === name.charCodeAt(common)) common++;
      const isEnd = start + common === end;
      if (common === name.length && isEnd) return middle;
      const isBefore = isEnd || (common < name.length && text.charCodeAt(start + common) < name.charCodeAt(common));
      if (isBefore) [low, lowCommon] = [middle + 1, common];
      else [high, highCommon] = [middle, common];
    }
    return this.unsorted.get(name);
  }

  /** Appends jobs that the list does not have. Returns the same object if it has them all. */
  with(others: Iterable<JobDescription>): Jobs {
    const added = new Map<string, JobDescription>();
    for (const other of others) {
      const place = this.find(other.name);
      if (place === undefined) added.set(other.name, other);
    }
    return added.size === 0 ? this : this.append([...added.values()]);
  }

  private append(added: readonly JobDescription[]): Jobs {
    const old = this.columns;
    const size = this.size + added.length;
    const platforms = new WordTable(old.platforms);
    const options = new WordTable(old.options);
    const symbols = new WordTable(old.symbols);
    const buildSystems = new WordTable(old.buildSystems);
    const groups = new WordTable(old.groups, (group) => `${group.symbol}\n${group.name}`);
    const { text, starts } = joined(
      added.map((job) => job.name),
      old.text,
      old.starts,
    );
    const column = <T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
      values: T,
      make: new (size: number) => T,
      of: (job: JobDescription) => number,
    ): T => {
      const all = new make(size);
      all.set(values);
      added.forEach((job, place) => (all[this.size + place] = of(job)));
      return all;
    };
    const columns = {
      project: old.project,
      runnable: old.runnable,
      text,
      starts,
      builds: old.builds,
      platform: column(old.platform, Uint16Array, (job) => platforms.place(job.platform)),
      option: column(old.option, Uint16Array, (job) => options.place(job.option)),
      group: column(old.group, Uint32Array, (job) => groups.place(groupOf(job.groupSymbol, job.groupName))),
      symbol: column(old.symbol, Uint32Array, (job) => symbols.place(job.symbol)),
      tier: column(old.tier, Uint8Array, (job) => job.tier),
      buildSystem: column(old.buildSystem, Uint8Array, (job) => buildSystems.place(job.buildSystem)),
      build: column(old.build, Int32Array, () => -1),
      platforms: platforms.words,
      titles: platforms.words.map((platform) => this.titles.title(platform)),
      options: options.words,
      symbols: symbols.words,
      groups: groups.words,
      buildSystems: buildSystems.words,
    };
    return new Jobs(columns, this.sorted, this.titles);
  }
}

/** Reads the answer to `GET /api/project/{project}/runnable_jobs/?view=grid`. */
export function readGrid(grid: Grid, titles: Platforms): Jobs {
  const { jobs } = grid;
  const size = jobs.rest.length;
  for (const [name, column] of Object.entries(jobs)) {
    if (!Array.isArray(column) || column.length !== size) throw new MalformedGrid(`the column ${name} is incomplete`);
  }
  const names = new Array<string>(size);
  let [name, sorted] = ["", size];
  for (let job = 0; job < size; job++) {
    const before = name;
    name = name.slice(0, jobs.shared[job]) + jobs.rest[job];
    if (name.includes("\n")) throw new MalformedGrid("a name has a line feed");
    if (name < before) sorted = Math.min(sorted, job);
    names[job] = name;
  }
  const { text, starts } = joined(names);
  const columns = {
    project: grid.meta.repository,
    runnable: size,
    text,
    starts,
    platforms: grid.platforms,
    titles: grid.platforms.map((platform) => titles.title(platform)),
    options: grid.options,
    groups: grid.groups.map(({ symbol, name }) => groupOf(symbol, name)),
    symbols: grid.symbols,
    buildSystems: grid.build_systems,
    builds: grid.builds,
    platform: places(new Uint16Array(size), jobs.platform, grid.platforms.length),
    option: places(new Uint16Array(size), jobs.option, grid.options.length),
    group: places(new Uint32Array(size), jobs.group, grid.groups.length),
    symbol: places(new Uint32Array(size), jobs.symbol, grid.symbols.length),
    tier: Uint8Array.from(jobs.tier, (tier) => tier ?? 0),
    buildSystem: places(new Uint8Array(size), jobs.build_system, grid.build_systems.length),
    build: Int32Array.from(jobs.upstream, (build) => build ?? -1),
  };
  return new Jobs(columns, sorted, titles);
}

/** Makes a group. Treeherder writes `?` and `unknown` for jobs without one. */
export function groupOf(symbol: string, name: string): JobGroup {
  return { symbol: symbol === "?" ? "" : symbol, name: name === "unknown" ? "" : name };
}

function places<T extends Uint8Array | Uint16Array | Uint32Array>(column: T, values: number[], size: number): T {
  for (let job = 0; job < values.length; job++) {
    if (!(values[job] < size)) throw new MalformedGrid(`job ${job} has a word that is in no table`);
    column[job] = values[job];
  }
  return column;
}

/** Appends names to a text, each with a line feed behind it. */
function joined(
  names: string[],
  text = "\n",
  before: Uint32Array = new Uint32Array([1]),
): { text: string; starts: Uint32Array } {
  const starts = new Uint32Array(before.length + names.length);
  starts.set(before);
  let end = text.length;
  for (let place = 0; place < names.length; place++) {
    end += names[place].length + 1;
    starts[before.length + place] = end;
  }
  return { text: names.length === 0 ? text : `${text}${names.join("\n")}\n`, starts };
}

/** Words, each once, to which more are added. */
class WordTable<Word> {
  readonly words: Word[];
  private readonly known = new Map<unknown, number>();

  constructor(
    words: readonly Word[],
    private readonly key: (word: Word) => unknown = (word) => word,
  ) {
    this.words = [...words];
    words.forEach((word, place) => this.known.set(key(word), place));
  }

  place(word: Word): number {
    const key = this.key(word);
    let place = this.known.get(key);
    if (place === undefined) {
      place = this.words.push(word) - 1;
      this.known.set(key, place);
    }
    return place;
  }
}
