// A push in a list.

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
          <code>{shortRevision(push.revision)}</code> · {push.author} · <span>{counted(push.commits, "commit")}</span> ·{" "}
          <Age time={push.time} />
        </span>
      </Link>
    </li>
  );
}
