// A query over the jobs of a list.
//
// A job's line is `label symbol group groupname platform title option`, without empty parts. A query matches the jobs
// whose lines it matches. The search does not build the lines: a word without a blank is in a line if it is in one of
// its parts, and thousands of jobs share most parts. So it looks at some hundred words, and once at the text of all
// names.

import type { Jobs } from "./jobs.ts";
import { isHit, type Query, type Term } from "./query.ts";

/** Some of the jobs: 1 for each that is among them. */
export type Mask = Uint8Array;

/** The number of jobs in a mask. */
export function count(mask: Mask): number {
  let sum = 0;
  for (let job = 0; job < mask.length; job++) sum += mask[job];
  return sum;
}

/** The line of a job, which queries match. */
export function lineOf(jobs: Jobs, job: number): string {
  const group = jobs.group(job);
  const platform = jobs.platform(job);
  const parts = [
    jobs.name(job),
    jobs.symbol(job),
    group.symbol,
    group.name,
    ...titled(platform, jobs.words.titles[jobs.words.platform[job]].title),
    jobs.option(job),
  ];
  return parts.filter((part) => part !== "").join(" ");
}

/** The jobs that match a query. */
export function search(jobs: Jobs, query: Query): Mask {
  const found = new Uint8Array(jobs.size).fill(1);
  for (const set of query) {
    if (set.length === 1) {
      const [term] = set;
      const hits = termHits(jobs, term);
      const miss = term.isInverse ? 1 : 0;
      for (let job = 0; job < found.length; job++) if (hits[job] === miss) found[job] = 0;
      continue;
    }
    const any = new Uint8Array(jobs.size);
    for (const term of set) {
      const hits = termHits(jobs, term);
      const miss = term.isInverse ? 1 : 0;
      for (let job = 0; job < any.length; job++) if (hits[job] !== miss) any[job] = 1;
    }
    for (let job = 0; job < found.length; job++) found[job] &= any[job];
  }
  return found;
}

/** The jobs whose lines have a term, whether or not it is inverse. */
function termHits(jobs: Jobs, term: Term): Mask {
  if (term.kind === "equal" || term.text.includes(" ")) return lineHits(jobs, term);
  const hits = new Uint8Array(jobs.size);
  if (term.kind === "within") {
    addNameHits(jobs, term, term.text, hits);
    addWordHits(jobs, term, hits);
  } else if (term.kind === "prefix") {
    // Every line begins with the name, which is not empty.
    addNameHits(jobs, term, `\n${term.text}`, hits);
  } else {
    addLastWordHits(jobs, term, hits);
  }
  return hits;
}

function addNameHits(jobs: Jobs, term: Term, text: string, hits: Mask): void {
  const all = term.isCaseSensitive ? jobs.text : jobs.lowerText;
  // Lower case may be longer or shorter in some languages; then places in the text differ.
  if (all.length !== jobs.text.length) return addLongNameHits(jobs, term, hits);
  const { starts } = jobs;
  let job = 0;
  let at = all.indexOf(text);
  while (at >= 0) {
    while (starts[job + 1] <= at + 1) job++;
    hits[job] = 1;
    at = all.indexOf(text, starts[job + 1] - 1);
  }
}

function addLongNameHits(jobs: Jobs, term: Term, hits: Mask): void {
  const positive = { ...term, isInverse: false };
  for (let job = 0; job < jobs.size; job++) if (isHit(positive, cased(term, jobs.name(job)))) hits[job] = 1;
}

function addWordHits(jobs: Jobs, term: Term, hits: Mask): void {
  const { words } = jobs;
  const has = (word: string) => cased(term, word).includes(term.text);
  const platforms = Uint8Array.from(words.platforms, (platform, place) =>
    Number(titled(platform, words.titles[place].title).some(has)),
  );
  const options = marks(words.options, has);
  const symbols = marks(words.symbols, has);
  const groups = marks(words.groups, ({ symbol, name }) => has(symbol) || has(name));
  const { platform, option, symbol, group } = words;
  for (let job = 0; job < hits.length; job++) {
    hits[job] |= platforms[platform[job]] | options[option[job]] | symbols[symbol[job]] | groups[group[job]];
  }
}

function addLastWordHits(jobs: Jobs, term: Term, hits: Mask): void {
  const { words } = jobs;
  const isEnd = (word: string) => cased(term, word).endsWith(term.text);
  const options = marks(words.options, isEnd);
  for (let job = 0; job < hits.length; job++) {
    const isLast = words.options[words.option[job]] !== "";
    hits[job] = isLast ? options[words.option[job]] : Number(isEnd(lineOf(jobs, job)));
  }
}

interface Lines {
  readonly lines: readonly string[];
  readonly lowerLines: readonly string[];
}

/** Only terms with blanks need the lines, so they are made when the first one is searched. */
const LINES = new WeakMap<Jobs, Lines>();

function linesOf(jobs: Jobs): Lines {
  const known = LINES.get(jobs);
  if (known) return known;
  const lines = Array.from({ length: jobs.size }, (_, job) => lineOf(jobs, job));
  const made = { lines, lowerLines: lines.map((line) => line.toLowerCase()) };
  LINES.set(jobs, made);
  return made;
}

/** For terms that may be in several parts of a line. */
function lineHits(jobs: Jobs, term: Term): Mask {
  const hits = new Uint8Array(jobs.size);
  const positive = { ...term, isInverse: false };
  const lines = linesOf(jobs)[term.isCaseSensitive ? "lines" : "lowerLines"];
  for (let job = 0; job < hits.length; job++) hits[job] = Number(isHit(positive, lines[job]));
  return hits;
}

function marks<Word>(words: readonly Word[], has: (word: Word) => boolean): Uint8Array {
  return Uint8Array.from(words, (word) => Number(has(word)));
}

function cased(term: Term, text: string): string {
  return term.isCaseSensitive ? text : text.toLowerCase();
}

/** A platform and its title, if that is another. */
function titled(platform: string, title: string): string[] {
  return title === platform ? [platform] : [platform, title];
}
