// Not built yet.

import type { Page } from "../page.ts";

export function Picker({ page }: { page: Page }) {
  return <p class="loading">{page.address.project}</p>;
}
