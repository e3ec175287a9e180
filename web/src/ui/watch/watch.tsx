// A request, watched until its jobs have ended.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Config } from "../../config.ts";
import { Failure } from "../../client.ts";
import type { ActionStatus, TriggerRequest } from "../../model/requests.ts";
import { requestsOf } from "../../model/selection.ts";
import { changes, readWatch, type Watch as Watched, type WatchRow } from "../../model/watch.ts";
import { hasSignedOut } from "../../session.ts";
import { taskUrl } from "../../links.ts";
import { Action } from "../action.tsx";
import { Link } from "../link.tsx";
import { Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { Folded, Live, SignIn, Time, RequestError, useFocus, useHasEnded, useIsShown, useTitle } from "../parts.tsx";
import { placeOf, sendAll, type Target } from "../plan/send.ts";
import { Sending } from "../plan/sending.ts";
import { ask, paths, send } from "../requests-client.ts";
import { count, digits, jobs as jobsOf, timeOfDay } from "../words.ts";
import { BROWSER, Poll } from "./poll.ts";
import "./watch.css";
import { byStatus, newsOf, STAGES, stateOf, statusOf } from "./words.ts";

const PURPOSE = "to see this request";

export function Watch({ page }: { page: Page }) {
  const { project = "", request: id = "" } = page.address;
  const [request, setRequest] = useState<TriggerRequest>();
  const [error, setError] = useState<unknown>();
  const [polled, setPolled] = useState<{ at: number; next: number | undefined }>();
  const [news, setNews] = useState("");
  const poll = useRef<Poll<TriggerRequest>>(null);
  const shown = useRef<Watched>(null);
  const heading = useFocus<HTMLHeadingElement>();
  const person = page.session?.email;
  const hasEnded = useHasEnded(page);
  const watched = useMemo(() => request && readWatch(request), [request]);

  useEffect(() => {
    if (person === undefined) {
      if (!hasSignedOut()) return;
      shown.current = null;
      setRequest(undefined);
      setNews("");
      return;
    }
    const next = (next: number | undefined) => setPolled({ at: Date.now(), next });
    const polling = new Poll<TriggerRequest>(
      {
        ask: (etag, signal) =>
          ask(page, paths.request(project, id), { signal, ...(etag && { headers: { "If-None-Match": etag } }) }),
        show(request) {
          const after = readWatch(request);
          if (shown.current)
            setNews(newsOf(changes(shown.current, after), after.isFinished && !shown.current.isFinished));
          shown.current = after;
          setRequest(request);
        },
        next(at) {
          setError(undefined);
          next(at);
        },
        fail(error, at) {
          setError(error);
          next(at);
        },
      },
      BROWSER,
    );
    poll.current = polling;
    const change = () => polling.changeVisibility();
    document.addEventListener("visibilitychange", change);
    void polling.ask();
    return () => {
      document.removeEventListener("visibilitychange", change);
      polling.stop();
    };
  }, [project, id, person]);

  const push = request?.push_id ?? page.address.push;
  const number = watched?.rows.length ?? 0;
  const done = watched ? number - watched.counts.waiting - watched.counts.running : 0;
  useTitle(watched ? `${done}/${number} · ${project} ${push}` : `Request on ${project}`);
  const retry = () => void poll.current?.ask();
  const retryByHand = () => {
    retry();
    // The button may disappear.
    heading.current?.focus();
  };
  // Buttons go when the request has ended, and the keyboard goes on at the heading.
  useEffect(() => {
    if (watched?.isFinished && document.activeElement === document.body) heading.current?.focus();
  }, [watched?.isFinished]);
  const isMissing = error instanceof Failure && error.status === 404;
  return (
    <main class="view watch">
      <h1 tabIndex={-1} ref={heading}>
        Request {push !== undefined && `on push ${push} `}of {project}
      </h1>
      <Live>{news}</Live>
      <p class="links">
        {push !== undefined && (
          <Link to={{ project, push }} page={page}>
            Jobs of this push
          </Link>
        )}
        {push !== undefined && (
          <Link to={{ project, push, requests: "push" }} page={page}>
            Requests on this push
          </Link>
        )}
        {request?.links.push && <a href={request.links.push}>Treeherder</a>}
        <CopyAddress />
      </p>
      {person === undefined && <SignIn page={page} why={PURPOSE} hasEnded={hasEnded} />}
      {isMissing && !request && (
        <Notice kind="error">
          There is no request {id} on {project}. It may have been deleted since, or the address may not be complete.
        </Notice>
      )}
      {error !== undefined && person !== undefined && !(isMissing && !request) && (
        <RequestError page={page} error={error} why={PURPOSE} onRetry={retryByHand} />
      )}
      {!request && error === undefined && person !== undefined && <p class="muted">Loading the request …</p>}
      {request && watched && (
        <>
          <About request={request} watched={watched} />
          <Polled watched={watched} polled={polled} onAsk={retry} isBroken={error !== undefined} />
          {person !== undefined && <RunAgain page={page} request={request} watched={watched} onRetried={retry} />}
          {STAGES.map(([stage, heading, glyph]) => {
            const rows = watched.rows.filter((row) => row.stage === stage);
            if (rows.length === 0) return null;
            return (
              <section class={`stage ${stage}`} key={stage}>
                <h2>
                  <span aria-hidden="true" class="glyph">
                    {glyph}
                  </span>{" "}
                  {heading} <span class="number">({digits(rows.length)})</span>
                </h2>
                {byStatus(rows).map(({ status, detail, rows }) => (
                  <div class="status" key={`${status} ${detail}`}>
                    {statusOf(status) !== heading.toLowerCase() && (
                      <h3>
                        {statusOf(status)} <span class="number">({digits(rows.length)})</span>
                      </h3>
                    )}
                    {detail !== "" && <p class="muted">{detail}</p>}
                    <Folded
                      entries={rows}
                      keyOf={(row) => row.name}
                      show={(row) => <Row row={row} config={page.config} />}
                    />
                  </div>
                ))}
              </section>
            );
          })}
          <Actions actions={watched.actions} />
          <History request={request} />
        </>
      )}
    </main>
  );
}

function About({ request, watched }: { request: TriggerRequest; watched: Watched }) {
  const { requester, on_behalf_by: service, created_at: at, finished_at: end, state } = request;
  const { counts, rows } = watched;
  const done = rows.length - counts.waiting - counts.running;
  return (
    <>
      <p>
        {requester ? (
          <>
            Requested by <strong>{requester}</strong>
          </>
        ) : (
          "Requested"
        )}
        {service && <> through {service}</>} on <Time at={at} />.{" "}
        {!requester && <span class="muted">Who requested it is shown to those who may run jobs on this push.</span>}
      </p>
      <p>
        <strong>{stateOf(state)}</strong>
        {end && (
          <>
            , <Time at={end} />
          </>
        )}
        .
      </p>
      <ul class="stage-counts" aria-label="Jobs">
        {STAGES.filter(([stage]) => counts[stage] > 0).map(([stage, word, glyph]) => (
          <li key={stage} class={stage}>
            <span aria-hidden="true" class="glyph">
              {glyph}
            </span>{" "}
            {digits(counts[stage])} {word.toLowerCase()}
          </li>
        ))}
      </ul>
      <label class="watch-progress">
        {digits(done)} of {count(rows.length, "job")} ended
        <progress max={Math.max(1, rows.length)} value={done} />
      </label>
    </>
  );
}

interface PolledProps {
  readonly watched: Watched;
  readonly polled: { readonly at: number; readonly next: number | undefined } | undefined;
  readonly isBroken: boolean;
  readonly onAsk: () => void;
}

function Polled({ watched, polled, isBroken, onAsk }: PolledProps) {
  if (!polled || watched.isFinished) return null;
  return (
    <p class="links muted">
      <span>
        {isBroken ? "What is shown is from before the error" : `As of ${timeOfDay(polled.at)}`}
        {polled.next !== undefined && `; asked again at ${timeOfDay(polled.next)}, while this tab is visible`}.
      </span>
      <button type="button" onClick={onAsk}>
        Ask now
      </button>
    </p>
  );
}

function Row({ row, config }: { row: WatchRow; config: Config }) {
  const { name, askedAs, url, taskId, since, way, isAdded } = row;
  const task = taskId !== undefined && config.taskcluster !== undefined ? taskUrl(config.taskcluster, taskId) : "";
  return (
    <>
      <span class="name">{name}</span>
      <span class="more">
        {way === undefined ? "Not known" : `By ${way === "pulse" ? "Pulse" : "Taskcluster"}`}
        {since !== undefined && (
          <>
            {" · since "}
            <Time at={since} />
          </>
        )}
        {isAdded && " · a build that other jobs need"}
        {url && (
          <>
            {" · "}
            <a href={url} aria-label={`Run of ${name}`}>
              Run
            </a>
          </>
        )}
        {task !== "" && task !== url && (
          <>
            {" · "}
            <a href={task} aria-label={`Task of ${name}`}>
              Task
            </a>
          </>
        )}
      </span>
      {askedAs !== undefined && <span class="more">asked for as “{askedAs}”</span>}
    </>
  );
}

interface RunAgainProps {
  readonly page: Page;
  readonly request: TriggerRequest;
  readonly watched: Watched;
  readonly onRetried: () => void;
}

/** Runs again what failed: jobs that were not delivered by a retry, the others by a new request. */
function RunAgain({ page, request, watched, onRetried }: RunAgainProps) {
  const [busy, setBusy] = useState<"retry" | "request">();
  const [failed, setFailed] = useState<{ what: "retry" | "request"; error: unknown }>();
  const [isAsking, setIsAsking] = useState(false);
  const isShown = useIsShown();
  const { retryPath, retried, uncertain, requestedAnew } = watched;
  const run = (what: "retry" | "request", task: () => Promise<void>) => {
    setBusy(what);
    setFailed(undefined);
    task()
      .catch((error: unknown) => setFailed({ what, error }))
      .finally(() => setBusy(undefined));
  };
  const retry = () => {
    setIsAsking(false);
    run("retry", async () => {
      if (retryPath !== undefined) await send(page, retryPath, undefined);
      onRetried();
    });
  };
  // The same button then confirms, so that it keeps the focus.
  const start = () => (uncertain > 0 && !isAsking ? setIsAsking(true) : retry());
  const again = () =>
    run("request", async () => {
      const { project, push_id: push, request_id: id, decision_task_id: decisionTask } = request;
      const target: Target = { page, project, push };
      const sending = new Sending(project, push, id);
      const batches = sending.batches(requestsOf(requestedAnew), decisionTask);
      const sent = await sendAll(target, sending, batches, () => undefined);
      if (!isShown.current) return;
      sending.forget(batches);
      page.go(placeOf(target, sent));
    });
  const canRetry = retryPath !== undefined && retried.length > 0;
  if (!canRetry && requestedAnew.length === 0 && !failed) return null;
  return (
    <section aria-label="Run again">
      <p class="links">
        {canRetry && (
          <Action isOff={busy !== undefined} onClick={start}>
            {busy === "retry"
              ? "Sending …"
              : `${isAsking ? "Confirm: send" : "Send"} ${jobsOf(retried.length, "that was", "that were")} not delivered again`}
          </Action>
        )}
        {requestedAnew.length > 0 && (
          <Action isOff={busy !== undefined} onClick={again}>
            {busy === "request" ? "Sending …" : `Run ${jobsOf(requestedAnew.length, "that")} failed again`}
          </Action>
        )}
      </p>
      {canRetry && isAsking && (
        <Notice kind="warning" onDismiss={() => setIsAsking(false)}>
          {jobsOf(uncertain, "may have arrived", "may have arrived")}, although there was no answer: sent again, such a
          job may run twice. Look at Treeherder first, or confirm.
        </Notice>
      )}
      {failed && (
        <RequestError
          page={page}
          error={failed.error}
          why="to run these jobs again"
          onRetry={failed.what === "retry" ? retry : again}
        />
      )}
    </section>
  );
}

function CopyAddress() {
  const [copied, setCopied] = useState<boolean>();
  const address = location.href;
  const copy = () => {
    const done = navigator.clipboard ? navigator.clipboard.writeText(address) : Promise.reject(new Error());
    done.then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <>
      <button type="button" onClick={copy}>
        Copy address
      </button>
      <span role="status">{copied && "Copied."}</span>
      {copied === false && (
        <label>
          Copy this: <input readOnly value={address} onFocus={(event) => event.currentTarget.select()} />
        </label>
      )}
    </>
  );
}

function Actions({ actions }: { actions: readonly ActionStatus[] }) {
  if (actions.length === 0) return null;
  return (
    <section>
      <h2>
        Actions of Taskcluster <span class="number">({digits(actions.length)})</span>
      </h2>
      <ol class="entries">
        {actions.map(({ number, state, hook, jobs, task_id: task, url, called_at: at }) => (
          <li key={number}>
            Action {number}: {ACTION_STATES[state] ?? state}, {count(jobs, "job")}
            <span class="more">
              Called on <Time at={at} /> · hook <code>{hook}</code>
              {url && (
                <>
                  {" · "}
                  <a href={url}>Task {task}</a>
                </>
              )}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

const ACTION_STATES: Readonly<Record<string, string>> = {
  triggering: "its hook is being called",
  running: "running",
  ended: "ended",
  uncertain: "it is not known whether there is a task",
};

function History({ request: { history, events_left_out: left = 0 } }: { request: TriggerRequest }) {
  return (
    <details class="history">
      <summary>History ({count(history.length + left, "event")})</summary>
      <ol class="entries">
        {history.map(({ at, state, detail, by }, place) => (
          <li key={place}>
            <Time at={at} />: {state}
            {by && <> by {by}</>}
            {detail && <span class="more">{detail}</span>}
            {place === 0 && left > 0 && <span class="more">{count(left, "event")} left out here.</span>}
          </li>
        ))}
      </ol>
    </details>
  );
}
