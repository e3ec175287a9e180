// The lists of the preview: what runs, what waits, and what is refused.

import type { ComponentChildren } from "preact";

import { levelOf, type Plan, type Reason } from "../../model/plan.ts";
import type { RequestedJob } from "../../model/requests.ts";
import { Folded } from "../parts.tsx";
import { count, digits } from "../words.ts";
import { summaryOf, titleOf, totalOf } from "./words.ts";

/** The names that are selected. */
export function Selected({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <p>Nothing is selected.</p>;
  return (
    <Part heading="Selected" number={names.length}>
      <Folded entries={names} keyOf={(name) => name} show={(name) => <span class="name">{name}</span>} />
    </Part>
  );
}

/** The lists of a plan. */
export function PlanLists({ lists }: { lists: Plan }) {
  const { runs, builds, waits, again, leftAlone, refused, alsoStarts } = lists;
  return (
    <>
      <p class="plan-summary">
        <strong>{summaryOf(lists)}</strong>
      </p>
      <Part heading="Refused" number={totalOf(refused)} kind="refused">
        <Reasons reasons={refused} />
      </Part>
      <Part heading="Run" number={runs.length}>
        <Names jobs={runs} />
      </Part>
      <Part heading="Builds that are added" number={builds.length}>
        <p class="muted">Jobs need these builds, and the push does not have them.</p>
        <Names jobs={builds} />
      </Part>
      <Part heading="Wait" number={totalOf(waits)}>
        <Reasons reasons={waits} />
      </Part>
      <Part heading="Run already, and run once more" number={again.length}>
        <Names jobs={again} />
      </Part>
      <Part heading="Run already, and are left alone" number={leftAlone.length}>
        <Names jobs={leftAlone} />
      </Part>
      <Part heading="Taskcluster also starts" number={alsoStarts.length}>
        <p class="muted">Labels need these builds, and run after them. Treeherder does not show them on the push.</p>
        <Folded entries={alsoStarts} keyOf={(name) => name} show={(name) => <span class="name">{name}</span>} />
      </Part>
      {lists.requested > 0 && <Ways lists={lists} />}
    </>
  );
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
  return <Folded entries={jobs} keyOf={(job) => job.name} show={(job) => <Name job={job} shown={detail} />} />;
}

function Name({ job, shown }: { job: RequestedJob; shown: string | undefined }) {
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
      {detail && detail !== shown && code !== "unknown_job" && <span class="more">{detail}</span>}
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

function Ways({ lists: { ways, actions } }: { lists: Plan }) {
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
