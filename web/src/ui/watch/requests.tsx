// Not built yet.

import type { Page } from "../page.ts";

export function Requests({ page }: { page: Page }) {
  return <p class="loading">{page.address.project}</p>;
}
