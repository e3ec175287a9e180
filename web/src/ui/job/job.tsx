// What is known of one job.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Jobs } from "../../model/jobs.ts";
import { isUnderway, type Run, type Runs } from "../../model/runs.ts";
import { runUrl, taskUrl } from "../../links.ts";
import type { Push } from "../../treeherder.ts";
import { Age } from "../age.tsx";
import type { Page } from "../page.ts";
import "./job.css";

interface JobPanelProps {
  readonly jobs: Jobs;
  /** Undefined until Treeherder has answered. */
  readonly runs: Runs | undefined;
  readonly job: number;
  readonly page: Page;
  /** Undefined if Treeherder does not answer. */
  readonly push: Push | undefined;
}

export function JobPanel({ jobs, runs, job, page, push }: JobPanelProps) {
  const group = jobs.group(job);
  const build = jobs.build(job);
  const ran = runs?.of(job).toReversed();
  return (
    <section class="job-panel" aria-labelledby="job-title">
      <h2 id="job-title">Job {jobs.symbol(job)}</h2>
      <Name key={job} name={jobs.name(job)} />
      {job >= jobs.runnable && <p>It ran here, and cannot be requested: it is not in the list of this push.</p>}
      <dl>
        <Fact term="Platform">{jobs.platform(job)}</Fact>
        <Fact term="Option">{jobs.option(job)}</Fact>
        <Fact term="Group">{group.name ? `${group.symbol} (${group.name})` : group.symbol}</Fact>
        <Fact term="Tier">{jobs.tier(job)}</Fact>
        <Fact term="Build system">{jobs.buildSystem(job)}</Fact>
        <Fact term="Needs the build">{build && `${build}${runs ? ` (${stateOf(runs, jobs.find(build))})` : ""}`}</Fact>
      </dl>
      {!ran && <p class="muted">Its runs are not known until Treeherder answers.</p>}
      {ran?.length === 0 && <p class="muted">It has not run on this push.</p>}
      {ran && ran.length > 0 && <RunTable runs={ran} project={jobs.project} page={page} revision={push?.revision} />}
    </section>
  );
}

/** The full name, which can be copied. */
function Name({ name }: { name: string }) {
  const code = useRef<HTMLElement>(null);
  const [result, setResult] = useState("");
  const isShown = useRef(true);
  useEffect(() => () => void (isShown.current = false), []);
  const copy = async () => {
    let text = "Copied.";
    try {
      await navigator.clipboard.writeText(name);
    } catch {
      // There is no clipboard, or the browser forbids it.
      if (code.current) getSelection()?.selectAllChildren(code.current);
      text = "The name is marked: copy it with Ctrl+C.";
    }
    if (isShown.current) setResult(text);
  };
  return (
    <p class="name">
      <code ref={code}>{name}</code>{" "}
      <button type="button" onClick={() => void copy()}>
        Copy <span class="visually-hidden">the name</span>
      </button>{" "}
      <span role="status">{result}</span>
    </p>
  );
}

function Fact({ term, children }: { readonly term: string; readonly children: ComponentChildren }) {
  if (!children) return null;
  return (
    <>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </>
  );
}

interface RunTableProps {
  /** Newest first. */
  readonly runs: readonly Run[];
  readonly project: string;
  readonly page: Page;
  readonly revision: string | undefined;
}

function RunTable({ runs, project, page, revision }: RunTableProps) {
  const { treeherder, taskcluster } = page.config;
  return (
    <table>
      <caption>Runs on this push</caption>
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Since</th>
          <th scope="col">Links</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.id}>
            <td>
              {run.status}
              {run.isClassified && ", classified"}
            </td>
            <td>{run.submittedAt > 0 ? <Age time={run.submittedAt} /> : "not known"}</td>
            <td class="links">
              <a href={runUrl(treeherder, project, run.id, revision)}>Treeherder</a>{" "}
              {taskcluster && run.taskId && <a href={taskUrl(taskcluster, run.taskId)}>Task</a>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What became of the build on this push. */
function stateOf(runs: Runs, build: number | undefined): string {
  if (build === undefined) return "not in the list of this push";
  const underway = runs.of(build).findLast(isUnderway);
  return underway?.status ?? runs.lastResult(build)?.status ?? "has not run here";
}
