// The newest pushes of a project.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { loadPushes, type PushPage } from "../../pushes.ts";
import type { Push } from "../../treeherder.ts";
import { Action } from "../action.tsx";
import { ErrorNotice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { PushLink } from "./push.tsx";

interface PushesProps {
  readonly page: Page;
  readonly project: string;
  /** The author whose pushes are shown; empty for all. */
  readonly author: string;
  readonly onAuthor: (author: string) => void;
}

/** A component for one project and author: it needs a key of the two. */
export function Pushes({ page, project, author, onAuthor }: PushesProps) {
  const [{ pushes, hasOlder }, setPage] = useState<PushPage>({ pushes: [], hasOlder: true });
  const [error, setError] = useState<unknown>();
  const [isLoading, setIsLoading] = useState(true);
  const aborter = useRef<AbortController>(null);
  const list = useRef<HTMLUListElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const focus = useRef(-1);

  const load = async (before?: Push) => {
    const { signal } = (aborter.current = new AbortController());
    setError(undefined);
    setIsLoading(true);
    try {
      const filter = author === "" ? {} : { author };
      const older = await loadPushes(page.config.treeherder, project, filter, before, signal);
      if (signal.aborted) return;
      focus.current = before ? pushes.length : -1;
      setPage({ pushes: [...pushes, ...older.pushes], hasOlder: older.hasOlder });
    } catch (error) {
      if (signal.aborted) return;
      focus.current = before ? pushes.length : -1;
      setError(error);
    }
    if (!signal.aborted) setIsLoading(false);
  };
  useEffect(() => {
    void load();
    return () => aborter.current?.abort();
  }, []);
  // The first of the older pushes has the focus, or the last push: the button may be gone, and an error follows the list.
  useLayoutEffect(() => {
    if (focus.current < 0) return;
    const links = list.current?.querySelectorAll("a");
    links?.[Math.min(focus.current, links.length - 1)]?.focus();
    focus.current = -1;
  }, [pushes, error]);
  const retry = () => {
    // The button disappears.
    const last = [...(list.current?.querySelectorAll("a") ?? [])].at(-1);
    (last ?? heading.current)?.focus();
    void load(pushes.at(-1));
  };

  const email = page.session?.email;
  return (
    <section aria-labelledby="open-pushes">
      <div class="heading">
        <h2 id="open-pushes" tabIndex={-1} ref={heading}>
          {author === "" ? "Recent pushes" : `Pushes by ${author}`} on {project}
        </h2>
        {author !== "" && (
          <button type="button" onClick={() => onAuthor("")}>
            All authors
          </button>
        )}
        {email !== undefined && email !== author && (
          <button type="button" onClick={() => onAuthor(email)}>
            My pushes
          </button>
        )}
      </div>
      <ul class="pushes" ref={list}>
        {pushes.map((push) => (
          <PushLink key={push.id} page={page} project={project} push={push} />
        ))}
      </ul>
      {error !== undefined && (
        <>
          <ErrorNotice error={error} onRetry={retry} />
          {pushes.length === 0 && (
            <p class="muted">
              A push id in the field above opens a push without this list: it is the number in Treeherder’s answers.
            </p>
          )}
        </>
      )}
      <p role="status" class={isLoading || pushes.length === 0 ? "muted" : "visually-hidden"}>
        {isLoading && "Pushes are loaded …"}
        {!isLoading && error === undefined && (pushes.length === 0 ? NOTHING : `${pushes.length} pushes are shown.`)}
      </p>
      {pushes.length > 0 && hasOlder && error === undefined && (
        <Action isOff={isLoading} onClick={() => void load(pushes.at(-1))}>
          Older pushes
        </Action>
      )}
    </section>
  );
}

const NOTHING = "Treeherder has no such pushes.";
