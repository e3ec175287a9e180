// A button that cannot be used at times.

import type { ComponentChildren } from "preact";

interface ActionProps {
  /** Whether it cannot be used now. */
  readonly isOff: boolean;
  readonly onClick: () => void;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** A button that keeps the focus while it cannot be used: a disabled one would lose it. */
export function Action({ isOff, onClick, class: name, children }: ActionProps) {
  return (
    <button type="button" class={name} aria-disabled={isOff} onClick={() => !isOff && onClick()}>
      {children}
    </button>
  );
}
