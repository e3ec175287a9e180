// Queries at random, made of pieces of the lines that they are tried on.

/** A query of one to four words, with the operators of the grammar. */
export function randomQuery(lines: readonly string[], random: () => number): string {
  const below = (end: number) => Math.floor(random() * end);
  const words: string[] = [];
  for (let left = 1 + below(4); left > 0; left--) {
    const line = lines[below(lines.length)];
    const kind = below(10);
    const first = kind === 0 ? 0 : below(line.length);
    const last = kind === 1 ? line.length : first + 1 + below(kind === 2 ? 20 : 7);
    let word = line.slice(first, last).replace(/^'+/, "");
    word = kind < 3 ? word.replaceAll(" ", "\\ ") : (word.trim().split(" ")[0] ?? "");
    if (below(8) === 0) word = word.toUpperCase();
    if (below(3) === 0) word = word.toLowerCase();
    if (kind === 0 || below(12) === 0) word = `^${word}`;
    if (kind === 1 || below(12) === 0) word = `${word}$`;
    if (below(4) === 0) word = `!${word}`;
    words.push(word);
    if (below(4) === 0) words.push("|");
  }
  return words.join(below(5) === 0 ? "  " : " ");
}
