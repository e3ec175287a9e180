// A push in a list.

import { Failure } from "../../client.ts";
import { counted } from "../../model/words.ts";
import { type Push, shortRevision } from "../../treeherder.ts";
import { Age } from "../age.tsx";
import { Link } from "../link.tsx";
import type { Page } from "../page.ts";

interface PushLinkProps {
  readonly page: Page;
  readonly project: string;
  readonly push: Push;
}

export function PushLink({ page, project, push }: PushLinkProps) {
  return (
    <li>
      <Link to={{ project, push: push.id }} page={page}>
        <span class="comment">{push.comment || "(no comment)"}</span>{" "}
        <span class="about">
          <code>{shortRevision(push.revision)}</code> · {push.author} · {counted(push.commits, "commit")} ·{" "}
          <Age time={push.time} />
        </span>
      </Link>
    </li>
  );
}

/** Says of a 404 that the project is missing; any other error stays as it is. */
export function missingProject(error: unknown, project: string): unknown {
  const isMissing = error instanceof Failure && error.status === 404;
  return isMissing ? new Failure(`Treeherder has no project ${project}.`, error.status, error.code) : error;
}
