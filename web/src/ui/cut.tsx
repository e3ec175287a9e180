// Long lists, of which the first entries are shown until a person wants all.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { digits } from "./words.ts";

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
  const list = useRef<HTMLUListElement>(null);
  // The button is gone: the keyboard goes on at the first new entry.
  useLayoutEffect(() => {
    if (!showsAll) return;
    const entry = list.current?.children[most] as HTMLElement | undefined;
    const next = entry?.querySelector<HTMLElement>("button, a") ?? entry;
    if (next === entry) entry?.setAttribute("tabindex", "-1");
    next?.focus();
  }, [showsAll]);
  const isCut = !showsAll && entries.length > most;
  return (
    <ul class={name} ref={list}>
      {(isCut ? entries.slice(0, most) : entries).map(children)}
      {isCut && (
        <li key="all">
          <button type="button" onClick={() => setShowsAll(true)}>
            Show all {digits(entries.length)} {words}
          </button>
        </li>
      )}
    </ul>
  );
}
