// The preview: what a request would do, before it is sent.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import type { Jobs } from "../../model/jobs.ts";
import { joinDryRuns, levelOf, type Plan as Lists, readPlan, type Reason } from "../../model/plan.ts";
import type { RequestedJob, Triggered } from "../../model/requests.ts";
import { isLarge, REQUEST_JOBS, type Selection } from "../../model/selection.ts";
import { Link } from "../link.tsx";
import { Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import {
  Action,
  Folded,
  jobs as jobsOf,
  Live,
  SignIn,
  Trouble,
  useFocus,
  useHasEnded,
  useIsShown,
  useWait,
} from "../parts.tsx";
import { count, digits, duration, listed } from "../words.ts";
import "./plan.css";
import { dryRun, placeOf, sendAll, type Target } from "./send.ts";
import { type Batch, digestOf, Sending } from "./sending.ts";

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

const WHY = "to see what these jobs would do, and to run them";

export function Plan({ page, project, push, jobs, selection, decisionTask, onClose, onSent }: PlanProps) {
  const requests = useMemo(() => selection.requests(), [selection]);
  // A selection that comes anew with the same jobs, such as after more jobs ran, is the same.
  const key = useMemo(() => digestOf(JSON.stringify(requests)), [requests]);
  const target: Target = { page, project, push, decisionTask };
  const sending = useMemo(() => new Sending(project, push, decisionTask), [project, push, decisionTask]);
  const [batches, setBatches] = useState<Batch[]>([]);
  const [answers, setAnswers] = useState<ReadonlyMap<Batch, Triggered>>();
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

  useEffect(() => {
    const batches = sending.batches(requests);
    setBatches(batches);
    // What is known stays when a sign-in ends.
    if (person === undefined) return;
    setAnswers(undefined);
    setChecked(0);
    setCheckError(undefined);
    setSendError(undefined);
    const abort = new AbortController();
    check(target, batches, abort.signal, setChecked).then(
      (answers) => setAnswers(answers),
      (error: unknown) => !abort.signal.aborted && setCheckError(error),
    );
    return () => abort.abort();
  }, [key, sending, person, attempt]);

  const isSending = place !== undefined;
  const closeByKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || isSending) return;
    event.preventDefault();
    onClose();
  };

  const lists = useMemo(() => {
    if (!answers) return undefined;
    const open = [...answers].filter(([batch]) => batch.request === undefined).map(([, answer]) => answer);
    return readPlan(joinDryRuns(open), (name) => {
      const job = jobs.find(name);
      return job === undefined ? undefined : jobs.build(job);
    });
  }, [answers, jobs]);
  const sent = batches.flatMap(({ request }) => request ?? []);
  const isAllSent = batches.length > 0 && sent.length === batches.length;

  const run = () => {
    // A request of refused jobs alone would be a request for nothing.
    const sendable = batches.filter((batch) => batch.request !== undefined || isOfUse(answers?.get(batch)));
    setSendError(undefined);
    sendAll(target, sending, sendable, setPlace).then(
      (sent) => {
        if (!isShown.current) return;
        sending.forget(batches);
        onSent();
        page.go(placeOf(target, sent));
      },
      (error: unknown) => {
        // The batches keep their answers.
        const known = sending.batches(requests);
        const renewed = new Map(batches.map((batch, place) => [batch, known[place]] as const));
        setBatches(known);
        setAnswers(
          (answers) => answers && new Map([...answers].map(([batch, answer]) => [renewed.get(batch) ?? batch, answer])),
        );
        setPlace(undefined);
        setSendError(error);
      },
    );
  };

  const leave = () => {
    sending.forget(batches);
    onSent();
    page.go(placeOf(target, sent));
  };
  const checkAgain = () => {
    setAttempt(attempt + 1);
    // The button goes.
    heading.current?.focus();
  };
  const again = () => {
    sending.forget(batches);
    checkAgain();
  };

  const isChecking = person !== undefined && !isAllSent && !lists && checkError === undefined;
  return (
    <main class="view plan" aria-labelledby="plan-heading" onKeyDown={closeByKey}>
      <h2 id="plan-heading" tabIndex={-1} ref={heading}>
        Preview of {count(selection.size, "job")}
      </h2>
      <Live>{said({ isChecking, lists, place, batches })}</Live>
      <Notices selection={selection} batches={batches} isSending={isSending} lists={lists} />

      {isAllSent && (
        <Notice kind="information">
          These jobs were sent already: <Sent target={target} sent={sent} />.{" "}
          <button type="button" onClick={leave}>
            Show them, and clear the selection
          </button>{" "}
          <button type="button" onClick={again}>
            Preview them once more
          </button>
        </Notice>
      )}
      {!isAllSent && sent.length > 0 && !isSending && (
        <Notice kind="warning">
          {digits(sent.length)} of {count(batches.length, "request")} were sent: <Sent target={target} sent={sent} />.
          The button below sends the others.
        </Notice>
      )}
      {person === undefined && !isAllSent && <SignIn page={page} why={WHY} hasEnded={hasEnded} />}
      {checkError !== undefined && person !== undefined && (
        <Trouble page={page} error={checkError} why={WHY} onRetry={checkAgain} />
      )}
      {isChecking && (
        <p class="muted">
          Asking what would happen …{batches.length > 1 && ` (request ${checked + 1} of ${batches.length})`}
        </p>
      )}

      {lists && <PlanLists lists={lists} />}
      {!lists && !isAllSent && <Selected names={requests.flat()} />}

      <div class="plan-bar">
        {sendError !== undefined && person !== undefined && <Trouble page={page} error={sendError} why={WHY} />}
        {isSending && (
          <label class="plan-progress">
            Sending request {place + 1} of {batches.length} …
            <progress max={batches.length} value={place} />
          </label>
        )}
        {lists && !isAllSent && person !== undefined && (
          <Action class="primary" isOff={isSending || wait > 0 || lists.requested === 0} onClick={run}>
            {runLabel(sent.length > 0, sendError !== undefined)} {count(lists.requested, "job")}
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

function runLabel(isStarted: boolean, hasFailed: boolean): string {
  if (isStarted) return "Continue: run";
  return hasFailed ? "Try again: run" : "Run";
}

/** Asks for the dry runs of the batches that were not sent, one after another. */
async function check(
  target: Target,
  batches: readonly Batch[],
  signal: AbortSignal,
  onChecked: (number: number) => void,
): Promise<Map<Batch, Triggered>> {
  const answers = new Map<Batch, Triggered>();
  for (const [place, batch] of batches.entries()) {
    onChecked(place);
    if (batch.request === undefined) answers.set(batch, await dryRun(target, batch.names, signal));
  }
  return answers;
}

/** Whether a request would run a job. */
function isOfUse(answer: Triggered | undefined): boolean {
  return answer === undefined || readPlan(answer).requested > 0;
}

interface Said {
  readonly isChecking: boolean;
  readonly lists: Lists | undefined;
  readonly place: number | undefined;
  readonly batches: readonly Batch[];
}

function said({ isChecking, lists, place, batches }: Said): string {
  if (place !== undefined) return `Sending request ${place + 1} of ${batches.length}.`;
  if (isChecking) return "Asking what would happen.";
  return lists ? `The preview is there. ${summary(lists)}` : "";
}

function summary({ runs, builds, waits, again, leftAlone, refused }: Lists): string {
  const sum = (reasons: readonly Reason[]) => reasons.reduce((sum, { jobs }) => sum + jobs.length, 0);
  const text = listed([
    [runs.length, runs.length === 1 ? "runs at once" : "run at once"],
    [builds.length, builds.length === 1 ? "build is added" : "builds are added"],
    [sum(waits), sum(waits) === 1 ? "waits" : "wait"],
    [again.length, again.length === 1 ? "runs once more" : "run once more"],
    [leftAlone.length, "already running and left alone"],
    [sum(refused), "refused"],
  ]);
  return text === "" ? "Nothing would run." : `${text}.`;
}

interface NoticesProps {
  readonly selection: Selection;
  readonly batches: readonly Batch[];
  readonly isSending: boolean;
  readonly lists: Lists | undefined;
}

function Notices({ selection, batches, isSending, lists }: NoticesProps) {
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
      {!isSending && batches.some(({ isUnanswered }) => isUnanswered) && (
        <Notice kind="information">
          These jobs were sent before, without an answer. They may have arrived. Sending them again is safe: they do not
          run twice.
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

function Selected({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <p>Nothing is selected.</p>;
  return (
    <Part heading="Selected" number={names.length}>
      <Folded entries={names} keyOf={(name) => name} show={(name) => <span class="name">{name}</span>} />
    </Part>
  );
}

function PlanLists({ lists }: { lists: Lists }) {
  const { runs, builds, waits, again, leftAlone, refused, alsoStarts } = lists;
  return (
    <>
      <p class="plan-summary">
        <strong>{summary(lists)}</strong>
      </p>
      <Part heading="Refused" number={total(refused)} kind="refused">
        <Reasons reasons={refused} />
      </Part>
      <Part heading="Run at once" number={runs.length}>
        <Names jobs={runs} />
      </Part>
      <Part heading="Builds that are added" number={builds.length}>
        <p class="muted">Jobs need these builds, and the push does not have them.</p>
        <Names jobs={builds} />
      </Part>
      <Part heading="Wait" number={total(waits)}>
        <Reasons reasons={waits} />
      </Part>
      <Part heading="Run already, and run once more" number={again.length}>
        <Names jobs={again} />
      </Part>
      <Part heading="Run already, and are left alone" number={leftAlone.length}>
        <Names jobs={leftAlone} />
      </Part>
      <Part heading="Taskcluster also starts" number={alsoStarts.length}>
        <p class="muted">Labels need these builds, and Treeherder does not show them on the push.</p>
        <Folded entries={alsoStarts} keyOf={(name) => name} show={(name) => <span class="name">{name}</span>} />
      </Part>
      {lists.requested > 0 && <Ways lists={lists} />}
    </>
  );
}

function total(reasons: readonly Reason[]): number {
  return reasons.reduce((sum, { jobs }) => sum + jobs.length, 0);
}

interface PartProps {
  readonly heading: string;
  readonly number: number;
  readonly kind?: string;
  readonly children: ComponentChildren;
}

function Part({ heading, number, kind = "", children }: PartProps) {
  if (number === 0) return null;
  return (
    <section class={`plan-part ${kind}`}>
      <h3>
        {heading} <span class="number">({digits(number)})</span>
      </h3>
      {children}
    </section>
  );
}

/** A job by name, with what else is known of it. */
function Names({ jobs, detail }: { jobs: readonly RequestedJob[]; detail?: string }) {
  return <Folded entries={jobs} keyOf={(job) => job.name} show={(job) => <Name job={job} said={detail} />} />;
}

function Name({ job, said }: { job: RequestedJob; said: string | undefined }) {
  const { name, asked_as: askedAs, closest, code, detail } = job;
  return (
    <>
      <span class="name">{name}</span>
      {askedAs !== undefined && <span class="more">asked for as “{askedAs}”</span>}
      {closest !== undefined && (
        <span class="more">
          Did you mean <span class="name">{closest}</span>?
        </span>
      )}
      {detail && detail !== said && code !== "unknown_job" && <span class="more">{detail}</span>}
    </>
  );
}

function Reasons({ reasons }: { reasons: readonly Reason[] }) {
  return (
    <>
      {reasons.map(({ code, build, detail, jobs }) => {
        const isSame = jobs.every((job) => job.detail === detail);
        const title = titleOf(code, build, isSame ? detail : "");
        return (
          <div class="plan-reason" key={`${code} ${build} ${detail}`}>
            <h4>
              {title} <span class="number">({digits(jobs.length)})</span>
            </h4>
            {isSame && detail !== title && code !== "unknown_job" && detail !== "" && <p class="muted">{detail}</p>}
            <Names jobs={jobs} {...(isSame && { detail })} />
          </div>
        );
      })}
    </>
  );
}

const TITLES: Readonly<Record<string, string>> = {
  build_running: "Wait for a build that runs",
  build_requested: "Wait for a build that is added",
  unknown_job: "No such jobs on this push",
  not_triggerable: "Taskcluster jobs cannot be run here",
  no_decision_task: "The push has no usable decision task",
  action_unusable: "The push's action cannot be used",
  hook_not_allowed: "The push's hook is not allowed",
  schema_changed: "The push's action has an unknown form",
  input_refused: "Taskcluster refuses the input",
  hook_missing: "The push's hook does not exist",
  missing_scopes: "This service may not call the push's hook",
};

function titleOf(code: string, build: string | undefined, detail: string): string {
  if (build !== undefined && (code === "build_running" || code === "build_requested")) {
    return `Wait for ${build}, which ${code === "build_running" ? "runs" : "is added"}`;
  }
  return TITLES[code] ?? (detail || "For other reasons");
}

function Ways({ lists: { ways, actions } }: { lists: Lists }) {
  return (
    <section class="plan-part">
      <h3>How they go</h3>
      <ul>
        {ways.pulse > 0 && <li>{count(ways.pulse, "job")} by Pulse, to Buildbot.</li>}
        {ways.taskcluster > 0 && <li>{count(ways.taskcluster, "job")} by Taskcluster.</li>}
        {actions.map(({ hook, labels, input_bytes: bytes }) => (
          <li key={hook + labels[0]}>
            Action: hook <code>{hook}</code>
            {levelOf(hook) !== undefined && <>, level {levelOf(hook)}</>}, {count(labels.length, "label")},{" "}
            {count(bytes, "byte")} of input.
          </li>
        ))}
      </ul>
    </section>
  );
}
