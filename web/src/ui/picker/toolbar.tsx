// The field that filters, the counts, and the buttons for all visible jobs.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

import { QUERY_LENGTH } from "../../model/address.ts";
import type { GridView } from "../../model/grid.ts";
import { firstStop } from "./grid.tsx";

/** A change of the selection that all visible jobs, or all selected ones, take part in. */
export type Change = "set" | "clear" | "invert" | "clearAll";

interface ToolbarProps {
  readonly field: RefObject<HTMLInputElement | null>;
  readonly query: string;
  readonly view: GridView;
  readonly total: number;
  readonly selected: number;
  readonly onQuery: (query: string) => void;
  readonly onChange: (change: Change) => void;
  readonly onPreview: () => void;
}

export function Toolbar({ field, query, view, total, selected, onQuery, onChange, onPreview }: ToolbarProps) {
  const press = (event: KeyboardEvent) => {
    const { key, code, altKey, ctrlKey, metaKey } = event;
    const input = field.current;
    if (!input) return;
    const isAllMarked = input.selectionStart === 0 && input.selectionEnd === input.value.length;
    if ((ctrlKey || metaKey) && key === "a" && isAllMarked) onChange("set");
    else if (altKey && !ctrlKey && (code === "KeyA" || code === "KeyD")) onChange(code === "KeyA" ? "set" : "clear");
    else if (key === "ArrowDown" || key === "Escape") firstStop()?.focus();
    else if (key === "Enter") onPreview();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const all = format(view.runnable);
  // Buttons without effect can have the focus all the same: one that a person just pressed must not lose it.
  return (
    <div class="toolbar" role="group" aria-label="Filter and selection">
      <input
        ref={field}
        class="filter"
        type="search"
        value={query}
        placeholder="Filter: mochitest linux !asan  (/)"
        aria-label="Filter"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        maxLength={QUERY_LENGTH}
        onInput={({ currentTarget }) => onQuery(currentTarget.value)}
        onKeyDown={press}
      />
      <span class="counter">
        <b>{format(view.visible)}</b> of {format(total)} jobs, <b>{format(selected)}</b> selected
      </span>
      <Spoken text={`${format(view.visible)} of ${format(total)} jobs match, ${format(selected)} selected`} />
      <span class="buttons">
        <button
          type="button"
          title="Alt+A, or Ctrl+A"
          aria-disabled={view.selected === view.runnable}
          onClick={() => onChange("set")}
        >
          Select {view.visible < total ? `the ${all} visible` : `all ${all}`}
        </button>
        <button type="button" title="Alt+D" aria-disabled={view.selected === 0} onClick={() => onChange("clear")}>
          Deselect visible
        </button>
        <button type="button" title="Alt+I" aria-disabled={view.runnable === 0} onClick={() => onChange("invert")}>
          Invert visible
        </button>
        <button type="button" title="Alt+C" aria-disabled={selected === 0} onClick={() => onChange("clearAll")}>
          Clear selection
        </button>
      </span>
    </div>
  );
}

/** Speaks a text to screen readers once it has settled. */
function Spoken({ text }: { text: string }) {
  const [settled, setSettled] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <span class="visually-hidden" role="status">
      {settled}
    </span>
  );
}

const SETTLED_MILLISECONDS = 700;

/** A number with separators of thousands. */
export function format(number: number): string {
  return number.toLocaleString("en-US");
}
