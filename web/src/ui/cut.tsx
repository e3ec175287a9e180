// Long lists, of which the first entries are shown until a person wants all.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface CutProps<Entry> {
  readonly class?: string;
  readonly entries: readonly Entry[];
  /** How many entries are shown at first. */
  readonly most: number;
  /** What the entries are, such as `names`. */
  readonly words: string;
  /** Draws an entry, as an `<li>`. */
  readonly children: (entry: Entry) => ComponentChildren;
}

export function Cut<Entry>({ class: name, entries, most, words, children }: CutProps<Entry>) {
  const [showsAll, setShowsAll] = useState(false);
  const isCut = !showsAll && entries.length > most;
  return (
    <ul class={name}>
      {(isCut ? entries.slice(0, most) : entries).map(children)}
      {isCut && (
        <li key="all">
          <button type="button" onClick={() => setShowsAll(true)}>
            Show all {entries.length.toLocaleString("en")} {words}
          </button>
        </li>
      )}
    </ul>
  );
}
