// The choice of a project and of a push.

import { useEffect, useRef, useState } from "preact/hooks";

import type { components } from "../../api.ts";
import { Failure, getJson } from "../../client.ts";
import { BASE } from "../../config.ts";
import { Age } from "../age.tsx";
import { ErrorNotice, Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { count } from "../words.ts";
import { Find } from "./find.tsx";
import "./open.css";
import { Pushes } from "./pushes.tsx";

type Project = components["schemas"]["Project"];

/** Where the project that was used last is stored. */
const LAST = "project";
const USUAL = "try";

export function Open({ page }: { page: Page }) {
  const [projects, setProjects] = useState<readonly Project[]>();
  const [error, setError] = useState<unknown>();
  const [attempt, setAttempt] = useState(0);
  const [author, setAuthor] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  const project = page.address.project ?? lastProject(projects) ?? usual(projects, error !== undefined);

  useEffect(() => {
    const aborter = new AbortController();
    setError(undefined);
    getJson<components["schemas"]["Projects"]>(new URL("api/projects/", BASE), { signal: aborter.signal }).then(
      ({ body }) => setProjects(body.projects),
      (error) => aborter.signal.aborted || setError(aboutProjects(error)),
    );
    return () => aborter.abort();
  }, [attempt]);
  useEffect(() => {
    setAuthor("");
    if (page.address.project) storeProject(page.address.project);
  }, [page.address.project]);

  const retry = () => {
    setAttempt(attempt + 1);
    // The button disappears.
    heading.current?.focus();
  };
  const choose = (chosen: string) => {
    storeProject(chosen);
    page.go({ project: chosen });
  };
  const known = projects?.find(({ name }) => name === project);
  return (
    <main class="view open-view">
      <h1 tabIndex={-1} ref={heading}>
        Choose a push
      </h1>
      {error !== undefined && <ErrorNotice error={error} onRetry={retry} />}
      <div class="choice">
        <div>
          <label for="open-project">Project</label>
          <ProjectField projects={projects} project={project} hasFailed={error !== undefined} onChoose={choose} />
        </div>
        <Find page={page} project={project} onAuthor={setAuthor} />
      </div>
      {known && (
        <p class="muted">
          {count(known.jobs, "job")} can run on {known.name}. The list was checked{" "}
          <Age time={Date.parse(known.checked_at) / 1_000} />.
          {known.stale && " A later check was missed: the list may be out of date."}
        </p>
      )}
      {projects && projects.length === 0 && <Notice kind="warning">There is no project with a list of jobs.</Notice>}
      {projects && projects.length > 0 && project && !known && (
        <Notice kind="warning">There is no list of jobs of the project {project}. Choose another one.</Notice>
      )}
      {project && <Pushes key={`${project} ${author}`} {...{ page, project, author }} onAuthor={setAuthor} />}
    </main>
  );
}

interface ProjectFieldProps {
  readonly projects: readonly Project[] | undefined;
  readonly project: string | undefined;
  readonly hasFailed: boolean;
  readonly onChoose: (project: string) => void;
}

/** A list of the projects; a field for a name if the list cannot be loaded. */
function ProjectField({ projects, project, hasFailed, onChoose }: ProjectFieldProps) {
  if (hasFailed && !projects) {
    const choose = (name: string) => name.trim() !== "" && onChoose(name.trim());
    return (
      <input id="open-project" defaultValue={project} onChange={({ currentTarget }) => choose(currentTarget.value)} />
    );
  }
  const names = projects?.map(({ name }) => name) ?? [];
  const isMissing = project !== undefined && !names.includes(project);
  return (
    <select id="open-project" value={project} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
      {isMissing && <option key={project}>{project}</option>}
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  );
}

/** The project `try`, where most people push, or the first one. */
function usual(projects: readonly Project[] | undefined, hasFailed: boolean): string | undefined {
  if (hasFailed && !projects) return USUAL;
  return (projects?.find(({ name }) => name === USUAL) ?? projects?.[0])?.name;
}

/** The error, with what is missing because of it. */
function aboutProjects(error: unknown): unknown {
  if (!(error instanceof Failure)) return error;
  const message = `The list of projects is missing: ${error.message}`;
  return new Failure(message, error.status, error.code, error.problem, error.retryAfter);
}

/** The project that was used last, unless it is not among the projects any more. */
function lastProject(projects: readonly Project[] | undefined): string | undefined {
  try {
    const last = localStorage.getItem(LAST);
    return last !== null && (!projects || projects.some(({ name }) => name === last)) ? last : undefined;
  } catch {
    return undefined;
  }
}

function storeProject(project: string): void {
  try {
    localStorage.setItem(LAST, project);
  } catch {
    // The project is not preselected the next time.
  }
}
