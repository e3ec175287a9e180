// Links to other views of the page, which do not load it anew.

import type { ComponentChildren } from "preact";

import { type Address, writeAddress } from "../model/address.ts";
import type { Page } from "./page.ts";

interface LinkProps {
  readonly to: Address;
  readonly page: Page | undefined;
  readonly class?: string;
  readonly children: ComponentChildren;
}

export function Link({ to, page, class: name, children }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (!page || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    page.go(to);
  };
  return (
    <a class={name} href={writeAddress(to) || "?"} onClick={follow}>
      {children}
    </a>
  );
}
