// Lists of requests: a person's own, or those on a push.

import { useEffect, useState } from "preact/hooks";

import type { RequestPage, RequestSummary } from "../../model/requests.ts";
import { hasSignedOut } from "../../session.ts";
import { Action } from "../action.tsx";
import { Link } from "../link.tsx";
import type { Page } from "../page.ts";
import { Live, SignIn, RequestError, useFocus, useHasEnded, useTitle } from "../parts.tsx";
import { ask, paths } from "../requests-client.ts";
import { dateAndTime, count } from "../words.ts";
import "./watch.css";
import { progressOf, stateOf } from "./words.ts";

const PURPOSE = "to see requests";

export function Requests({ page }: { page: Page }) {
  const { project = "", push = 0, requests: which } = page.address;
  const isMine = which === "mine";
  const first = isMine ? paths.mine() : paths.ofPush(project, push);
  const [found, setFound] = useState<readonly RequestSummary[]>();
  const [next, setNext] = useState<string>();
  const [error, setError] = useState<unknown>();
  /** The path that is asked for; the object is a new one for each attempt. */
  const [wanted, setWanted] = useState<{ readonly path: string } | undefined>({ path: first });
  const heading = useFocus<HTMLHeadingElement>();
  const person = page.session?.email;
  const hasEnded = useHasEnded(page);
  const title = isMine ? "My requests" : `Requests on push ${push} of ${project}`;
  useTitle(title);

  useEffect(() => {
    if (person === undefined || !wanted) return;
    const abort = new AbortController();
    setError(undefined);
    ask<RequestPage>(page, wanted.path, { signal: abort.signal }).then(
      ({ body }) => {
        setFound((found) => (wanted.path === first ? body.results : [...(found ?? []), ...body.results]));
        setNext(body.next ?? undefined);
        setWanted(undefined);
      },
      (error: unknown) => !abort.signal.aborted && setError(error),
    );
    return () => abort.abort();
  }, [wanted, person]);

  useEffect(() => {
    if (person !== undefined || !hasSignedOut()) return;
    setFound(undefined);
    setNext(undefined);
    setWanted({ path: first });
  }, [person]);

  const retry = () => {
    setWanted({ path: wanted?.path ?? first });
    // The button disappears.
    heading.current?.focus();
  };
  const isLoading = wanted !== undefined && error === undefined && person !== undefined;
  return (
    <main class="view requests">
      <h1 tabIndex={-1} ref={heading}>
        {title}
      </h1>
      <Live>{found && !isLoading ? `${count(found.length, "request")} shown.` : ""}</Live>
      <p class="links">
        {!isMine && (
          <Link to={{ project, push }} page={page}>
            Jobs of this push
          </Link>
        )}
        {person !== undefined && (
          <Action isOff={isLoading} onClick={() => setWanted({ path: first })}>
            {isLoading ? "Loading …" : "Refresh"}
          </Action>
        )}
      </p>
      {person === undefined && <SignIn page={page} why={PURPOSE} hasEnded={hasEnded} />}
      {found?.length === 0 && (
        <p>
          {isMine ? "You have no requests yet." : "There are no requests on this push yet."} A request appears here once
          it is sent.
        </p>
      )}
      {found && found.length > 0 && (
        <ul class="entries">
          {found.map((request) => (
            <li key={request.request_id}>
              <Entry request={request} page={page} />
            </li>
          ))}
        </ul>
      )}
      {error !== undefined && person !== undefined && (
        <RequestError page={page} error={error} why={PURPOSE} onRetry={retry} />
      )}
      {next !== undefined && error === undefined && (
        <Action isOff={isLoading} onClick={() => setWanted({ path: next })}>
          {isLoading ? "Loading …" : "Show older requests"}
        </Action>
      )}
    </main>
  );
}

function Entry({ request, page }: { request: RequestSummary; page: Page }) {
  const { project, push_id: push, request_id: id, requester, created_at: at, state } = request;
  return (
    <>
      <span>
        <Link to={{ project, push, request: id }} page={page}>
          {project}, push {push}, {dateAndTime(at)}
        </Link>
        {requester && <span class="more">by {requester}</span>}
      </span>
      <span>
        {progressOf(request)}
        <span class="more">{stateOf(state)}</span>
      </span>
    </>
  );
}
