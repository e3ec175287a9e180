// A list of jobs that cannot be loaded.

import { Failure } from "../../client.ts";
import { Link } from "../link.tsx";
import { ErrorNotice, Notice } from "../notice.tsx";
import type { Page } from "../page.ts";

interface MissingProps {
  readonly page: Page;
  readonly error: unknown;
  readonly onRetry: () => void;
}

/** Says why there is no list. A project without one stays without. */
export function Missing({ page, error, onRetry }: MissingProps) {
  if (!(error instanceof Failure) || error.code !== "unknown_project") {
    return <ErrorNotice error={error} onRetry={onRetry} />;
  }
  return (
    <Notice kind="error">
      There is no list of jobs of the project {page.address.project}.{" "}
      <Link to={{}} page={page}>
        Choose another project
      </Link>
    </Notice>
  );
}
