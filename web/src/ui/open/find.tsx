// The field that finds a push.

import { useEffect, useRef, useState } from "preact/hooks";

import { readWanted } from "../../model/wanted.ts";
import { loadPushes } from "../../pushes.ts";
import type { Push } from "../../treeherder.ts";
import { ErrorNotice, Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { PushLink } from "./push.tsx";

interface FindProps {
  readonly page: Page;
  /** The project that is chosen. */
  readonly project: string | undefined;
  /** Shows the pushes of an author. */
  readonly onAuthor: (author: string) => void;
}

/** What a search came to. */
interface Found {
  readonly error?: unknown;
  readonly nothing?: string;
  readonly several?: { readonly title: string; readonly project: string; readonly pushes: readonly Push[] };
}

export function Find({ page, project: chosen, onAuthor }: FindProps) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Found>({});
  const [isBusy, setIsBusy] = useState(false);
  const aborter = useRef<AbortController>(null);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => () => aborter.current?.abort(), []);

  const find = async () => {
    aborter.current?.abort();
    setIsBusy(false);
    setFound({});
    const wanted = readWanted(text);
    const project = wanted?.project ?? chosen;
    if (!wanted) return setFound({ nothing: UNREADABLE });
    if (!project) return setFound({ nothing: "Choose a project first." });
    if (wanted.push !== undefined) return page.go({ project, push: wanted.push });
    const { revision, author } = wanted;
    if (revision === undefined && author === undefined) return page.go({ project });
    if (author !== undefined && project === chosen) return onAuthor(author);
    const { signal } = (aborter.current = new AbortController());
    setIsBusy(true);
    try {
      const filter = revision === undefined ? { author: author ?? "" } : { revision };
      const { pushes } = await loadPushes(page.config.treeherder, project, filter, undefined, signal);
      if (signal.aborted) return;
      const which = revision === undefined ? `by ${author}` : `with a revision that begins with ${revision}`;
      if (pushes.length === 0) setFound({ nothing: `Treeherder has no push on ${project} ${which}.` });
      else if (revision !== undefined && pushes.length === 1) page.go({ project, push: pushes[0].id });
      else setFound({ several: { title: `Pushes on ${project} ${which}:`, project, pushes } });
    } catch (error) {
      if (!signal.aborted) setFound({ error });
    }
    if (!signal.aborted) setIsBusy(false);
  };
  const retry = () => {
    // The button disappears.
    field.current?.focus();
    void find();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void find();
  };
  return (
    <form class="find" role="search" onSubmit={submit}>
      <label for="open-find">Find a push</label>
      <div class="field">
        <input
          id="open-find"
          ref={field}
          aria-describedby="open-hint"
          autoComplete="off"
          spellcheck={false}
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit">Find</button>
      </div>
      <p id="open-hint" class="muted">
        A revision, a push id, an author, or an address of Treeherder
      </p>
      <p role="status" class={isBusy ? "muted" : "visually-hidden"}>
        {isBusy && "Treeherder is asked …"}
      </p>
      {found.nothing && <Notice kind="warning">{found.nothing}</Notice>}
      {found.error !== undefined && <ErrorNotice error={found.error} onRetry={retry} />}
      {found.several && (
        <Notice kind="information">
          {found.several.title}
          <ul class="pushes">
            {found.several.pushes.map((push) => (
              <PushLink key={push.id} page={page} project={found.several?.project ?? ""} push={push} />
            ))}
          </ul>
        </Notice>
      )}
    </form>
  );
}

const UNREADABLE =
  "This names no push. Type a revision (at least 7 characters), a push id, an author, " +
  "or an address such as https://treeherder.mozilla.org/jobs?repo=try&revision=0123456789ab.";
