// The grammar of the query field: that of `fzf -e`, without quotes, scores and a new order.
//
//     linux mochitest       lines with both words, anywhere
//     linux | mac           lines with one of the two; `|` binds stronger than a blank: `mochitest linux | mac`
//     !asan                 lines without the word
//     ^test-linux  !^build  lines that begin with the word, that do not
//     debug$       !opt$    lines that end with the word, that do not
//     ^word$                lines that are the word
//     opt\ test             a word with a blank in it
//
// A word with capitals has to match their case, as with fzf; others match any case. A quote before a word, with which
// fzf switches between exact and fuzzy words, changes nothing: all words are exact. Letters with accents are only
// themselves; fzf takes them for those without, too. Names are ASCII.
//
// `tests/data/query-cases.json` has cases that every implementation passes.

/** A word of a query, and where it has to be in a line. */
export interface Term {
  readonly kind: "within" | "prefix" | "suffix" | "equal";
  readonly text: string;
  /** Whether lines match that do not have it. */
  readonly isInverse: boolean;
  readonly isCaseSensitive: boolean;
}

/** All of the sets have to match a line, and of each set one term. */
export type Query = readonly (readonly Term[])[];

/** Reads a query. Every text is one; words without letters, such as `!` or `^`, are left out. */
export function parseQuery(text: string): Query {
  const query: Term[][] = [];
  // An escaped blank is a tab until the words are split.
  const words = text.replace(/\s/g, " ").replaceAll("\\ ", "\t").split(/ +/);
  let isAfterBar = false;
  // The next term joins the set before it: also if a word that is left out stands between.
  let joins = false;
  for (const escaped of words) {
    const word = escaped.replaceAll("\t", " ");
    if (word === "|" && query.length > 0 && !isAfterBar) {
      isAfterBar = joins = true;
      continue;
    }
    isAfterBar = false;
    const term = parseTerm(word);
    if (!term) continue;
    if (joins) query[query.length - 1].push(term);
    else query.push([term]);
    joins = false;
  }
  return query;
}

function parseTerm(word: string): Term | undefined {
  const isCaseSensitive = word !== word.toLowerCase();
  let text = word;
  const isInverse = text.startsWith("!");
  if (isInverse) text = text.slice(1);
  const isSuffix = text !== "$" && text.endsWith("$");
  if (isSuffix) text = text.slice(0, -1);
  const isPrefix = text.startsWith("^");
  if (isPrefix || text.startsWith("'")) text = text.slice(1);
  if (text === "") return undefined;
  const kind = isPrefix ? (isSuffix ? "equal" : "prefix") : isSuffix ? "suffix" : "within";
  return { kind, text, isInverse, isCaseSensitive };
}

/** Whether a line matches. A caller with many queries passes the line in lower case too. */
export function matches(query: Query, line: string, lowerLine = line.toLowerCase()): boolean {
  return query.every((set) => set.some((term) => isHit(term, term.isCaseSensitive ? line : lowerLine)));
}

/** Whether a term matches a line, which is in lower case unless the term is sensitive to case. */
export function isHit(term: Term, line: string): boolean {
  return has(term, line) !== term.isInverse;
}

function has({ kind, text }: Term, line: string): boolean {
  switch (kind) {
    case "within":
      return line.includes(text);
    case "prefix":
      return trimmed(line, text).startsWith(text);
    case "suffix":
      return trimmed(line, text).endsWith(text);
    case "equal":
      return trimmed(line, text) === text;
  }
}

/** A line without blanks at an end where the term has none. */
function trimmed(line: string, text: string): string {
  const begun = text.startsWith(" ") ? line : line.trimStart();
  return text.endsWith(" ") ? begun : begun.trimEnd();
}
