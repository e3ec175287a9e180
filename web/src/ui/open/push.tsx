// A push in a list.

import { type Push, shortRevision } from "../../treeherder.ts";
import { Age } from "../age.tsx";
import { Link } from "../link.tsx";
import type { Page } from "../page.ts";
import { count } from "../words.ts";

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
          <code>{shortRevision(push.revision)}</code> · {push.author} · <span>{count(push.commits, "commit")}</span> ·{" "}
          <Age time={push.time} />
        </span>
      </Link>
    </li>
  );
}
