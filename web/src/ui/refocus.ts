// The place of the keyboard in a list whose buttons remove their own lines.

import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Refocus<Root extends HTMLElement> {
  /** Belongs on the element around the list. It needs `tabIndex={-1}`: it has the focus once no button is left. */
  readonly root: RefObject<Root | null>;
  /** To be called by a button that is about to remove its line. The next button gets the focus. */
  readonly remember: () => void;
}

/** Moves the focus to the next of the buttons that the selector finds. */
export function useRefocus<Root extends HTMLElement>(selector: string): Refocus<Root> {
  const root = useRef<Root>(null);
  const place = useRef(-1);
  const buttons = () => [...(root.current?.querySelectorAll<HTMLElement>(selector) ?? [])];
  useLayoutEffect(() => {
    if (place.current < 0) return;
    const left = buttons();
    const next = left[Math.min(place.current, left.length - 1)] ?? root.current;
    place.current = -1;
    next?.focus();
  });
  const remember = () => {
    place.current = buttons().indexOf(document.activeElement as HTMLElement);
  };
  return { root, remember };
}
