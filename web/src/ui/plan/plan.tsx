// The preview: what a request would do, before it is sent.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Jobs } from "../../model/jobs.ts";
import { type DryRun, joinDryRuns, type Plan as Lists, readPlan } from "../../model/plan.ts";
import { isLarge, REQUEST_JOBS, type Selection } from "../../model/selection.ts";
import { hasSignedOut } from "../../session.ts";
import { Action } from "../action.tsx";
import { Link } from "../link.tsx";
import { Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { Live, SignIn, RequestError, useFocus, useHasEnded, useIsShown } from "../parts.tsx";
import { duration, useWait } from "../wait.ts";
import { count, digits, jobs as jobsOf } from "../words.ts";
import { PlanLists, Selected } from "./lists.tsx";
import "./plan.css";
import { dryRun, isSendable, placeOf, sendAll, type Target } from "./send.ts";
import { type Batch, digestOf, Sending } from "./sending.ts";
import { newsOf, runLabel, warningOf } from "./words.ts";

export interface PlanProps {
  readonly page: Page;
  readonly project: string;
  readonly push: number;
  readonly jobs: Jobs;
  readonly selection: Selection;
  readonly decisionTask: string | undefined;
  readonly onClose: () => void;
  /** All of the selection is sent. */
  readonly onSent: () => void;
}

const PURPOSE = "to see what these jobs would do, and to run them";

export function Plan({ page, project, push, jobs, selection, decisionTask, onClose, onSent }: PlanProps) {
  const requests = useMemo(() => selection.requests(), [selection]);
  const names = useMemo(() => new Set(requests.flat()), [requests]);
  // A selection that comes anew with the same jobs, such as after more jobs ran, is the same.
  const key = useMemo(() => digestOf(JSON.stringify(requests)), [requests]);
  const target: Target = { page, project, push };
  const sending = useMemo(() => new Sending(project, push), [project, push]);
  const [batches, setBatches] = useState<Batch[]>([]);
  const [answers, setAnswers] = useState<ReadonlyMap<Batch, DryRun>>();
  const [checked, setChecked] = useState(0);
  const [checkError, setCheckError] = useState<unknown>();
  const [attempt, setAttempt] = useState(0);
  const [place, setPlace] = useState<number>();
  const [sendError, setSendError] = useState<unknown>();
  const heading = useFocus<HTMLHeadingElement>();
  const person = page.session?.email;
  const hasEnded = useHasEnded(page);
  const wait = useWait(sendError);
  const isShown = useIsShown();

  /** While requests are being sent, they stay as they are; a check that was due then follows. */
  const isBusy = useRef(false);
  const isStale = useRef(false);

  useEffect(() => {
    isStale.current = isBusy.current;
    if (isBusy.current) return;
    const batches = sending.batches(requests, decisionTask);
    setBatches(batches);
    // What is known stays when a sign-in ends, and goes with a person who signs out.
    if (person === undefined) return hasSignedOut() ? setAnswers(undefined) : undefined;
    setAnswers(undefined);
    setChecked(0);
    setCheckError(undefined);
    const abort = new AbortController();
    check(target, batches, abort.signal, setChecked).then(
      (answers) => setAnswers(answers),
      (error: unknown) => !abort.signal.aborted && setCheckError(error),
    );
    return () => abort.abort();
  }, [key, sending, decisionTask, person, attempt]);

  const isSending = place !== undefined;
  const closeByKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || isSending) return;
    event.preventDefault();
    onClose();
  };

  const lists = useMemo(() => {
    if (!answers) return undefined;
    const open = [...answers].filter(([batch]) => !isSent(batch)).map(([, answer]) => answer);
    return readPlan(joinDryRuns(open), (name) => {
      const job = jobs.find(name);
      return job === undefined ? undefined : jobs.build(job);
    });
  }, [answers, jobs]);
  const sent = batches.flatMap(({ request }) => request ?? []);
  const isAllSent = batches.length > 0 && sent.length === batches.length;

  const run = () => {
    const sendable = batches.filter((batch) => isSendable(batch, answers?.get(batch)));
    setSendError(undefined);
    isBusy.current = true;
    sendAll(target, sending, sendable, setPlace).then(
      (sent) => {
        if (!isShown.current) return;
        sending.forget(batches);
        onSent();
        page.go(placeOf(target, sent));
      },
      (error: unknown) => {
        isBusy.current = false;
        // The batches keep their answers.
        const known = sending.renewed(batches);
        const renewed = new Map(batches.map((batch, place) => [batch, known[place]] as const));
        setBatches(known);
        setAnswers(
          (answers) => answers && new Map([...answers].map(([batch, answer]) => [renewed.get(batch) ?? batch, answer])),
        );
        setPlace(undefined);
        setSendError(error);
        if (isStale.current) setAttempt((attempt) => attempt + 1);
      },
    );
  };

  const leave = () => {
    sending.forget(batches);
    onSent();
    page.go(placeOf(target, sent));
  };
  const checkAgain = () => {
    setSendError(undefined);
    setAttempt(attempt + 1);
    // The button disappears.
    heading.current?.focus();
  };
  const forget = (isForgotten: (batch: Batch) => boolean) => {
    sending.forget(batches.filter(isForgotten));
    checkAgain();
  };

  const hasWork = batches.some((batch) => !isSent(batch) && isSendable(batch, answers?.get(batch)));
  const isChecking = person !== undefined && !isAllSent && !lists && checkError === undefined;
  return (
    <main class="view plan" aria-labelledby="plan-heading" onKeyDown={closeByKey}>
      <h2 id="plan-heading" tabIndex={-1} ref={heading}>
        Preview of {count(selection.size, "job")}
      </h2>
      <Live>{newsOf(isChecking, lists, place, batches.length)}</Live>
      <Notices
        {...{ selection, batches, isSending, lists }}
        warning={warningOf(batches, (name) => names.has(name))}
        onForget={() => forget((batch) => batch.isUnanswered)}
      />

      {isAllSent && (
        <Notice kind="information">
          These jobs were sent already: <Sent target={target} sent={sent} />.{" "}
          <button type="button" onClick={leave}>
            Show them, and clear the selection
          </button>{" "}
          <button type="button" onClick={() => forget(isSent)}>
            Preview them once more
          </button>
        </Notice>
      )}
      {!isAllSent && sent.length > 0 && !isSending && (
        <Notice kind="warning">
          {digits(sent.length)} of {count(batches.length, "request")} were sent: <Sent target={target} sent={sent} />.
          The button below sends the others.{" "}
          <button type="button" onClick={() => forget(isSent)}>
            Preview those once more, too
          </button>
        </Notice>
      )}
      {person === undefined && !isAllSent && <SignIn page={page} why={PURPOSE} hasEnded={hasEnded} />}
      {checkError !== undefined && person !== undefined && (
        <RequestError page={page} error={checkError} why={PURPOSE} onRetry={checkAgain} />
      )}
      {isChecking && (
        <p class="muted">
          Asking what would happen …{batches.length > 1 && ` (request ${checked + 1} of ${batches.length})`}
        </p>
      )}

      {lists && <PlanLists lists={lists} />}
      {!lists && !isAllSent && <Selected names={requests.flat()} />}

      <div class="plan-bar">
        {sendError !== undefined && person !== undefined && (
          <RequestError page={page} error={sendError} why={PURPOSE} />
        )}
        {isSending && (
          <label class="plan-progress">
            Sending request {place + 1} of {batches.length} …
            <progress max={batches.length} value={place} />
          </label>
        )}
        {lists && !isAllSent && person !== undefined && (
          <Action class="primary" isOff={isSending || wait > 0 || !hasWork} onClick={run}>
            {hasWork && lists.requested === 0
              ? "Send again"
              : runLabel(lists.requested, sent.length > 0, sendError !== undefined)}
            {wait > 0 && ` in ${duration(wait)}`}
          </Action>
        )}
        <Action isOff={isSending} onClick={onClose}>
          Back to the jobs
        </Action>
      </div>
    </main>
  );
}

function isSent({ request }: Batch): boolean {
  return request !== undefined;
}

/** Asks for the dry runs of the batches that were not sent, one after another. */
async function check(
  target: Target,
  batches: readonly Batch[],
  signal: AbortSignal,
  onChecked: (number: number) => void,
): Promise<Map<Batch, DryRun>> {
  const answers = new Map<Batch, DryRun>();
  for (const [place, batch] of batches.entries()) {
    onChecked(place);
    if (!isSent(batch)) answers.set(batch, await dryRun(target, batch, signal));
  }
  return answers;
}

interface NoticesProps {
  readonly selection: Selection;
  readonly batches: readonly Batch[];
  readonly isSending: boolean;
  readonly lists: Lists | undefined;
  /** What is known of batches without an answer. */
  readonly warning: string | undefined;
  readonly onForget: () => void;
}

function Notices({ selection, batches, isSending, lists, warning, onForget }: NoticesProps) {
  const { size, absent } = selection;
  return (
    <>
      {isLarge(size) && (
        <Notice kind="warning">
          These are more than {digits(REQUEST_JOBS)} jobs: they go as {count(batches.length, "request")}, and
          Taskcluster runs so many at a lower priority.
        </Notice>
      )}
      {absent.length > 0 && (
        <Notice kind="information">
          {jobsOf(absent.length, "that is selected is", "that are selected are")} not in the list of this push, and left
          out.
        </Notice>
      )}
      {!isSending && warning !== undefined && (
        <Notice kind="warning">
          {warning} To send only what is selected, forget that attempt: then jobs that arrived run once more.{" "}
          <button type="button" onClick={onForget}>
            Forget the attempt
          </button>
        </Notice>
      )}
      {lists?.isUncertain && (
        <Notice kind="warning">
          This preview is uncertain, because Treeherder or Taskcluster did not answer. Builds may be added, jobs may
          wait, and jobs may run already.
        </Notice>
      )}
    </>
  );
}

function Sent({ target, sent }: { target: Target; sent: readonly string[] }) {
  return (
    <>
      {sent.map((request, place) => (
        <>
          {place > 0 && ", "}
          <Link to={placeOf(target, [request])} page={target.page}>
            request {place + 1}
          </Link>
        </>
      ))}
    </>
  );
}
