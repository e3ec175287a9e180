// The picker: the jobs of a push, to filter, to select, and to preview.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { isIn } from "../../model/chunks.ts";
import { Layout } from "../../model/grid.ts";
import { parseQuery } from "../../model/query.ts";
import { type Run, Runs } from "../../model/runs.ts";
import { search } from "../../model/search.ts";
import { isLarge, Selection } from "../../model/selection.ts";
import { loadPush, loadRuns, type Push, pushUrl, shortRevision } from "../../treeherder.ts";
import { lazy } from "../lazy.tsx";
import { Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { Grid, type Openings } from "./grid.tsx";
import "./grid.css";
import { type List, loadList } from "./loading.ts";
import { Missing } from "./missing.tsx";
import "./picker.css";
import { keep, recall } from "./stored.ts";
import { type Change, format, Toolbar } from "./toolbar.tsx";

const Plan = lazy(() => import("../plan/plan.tsx").then(({ Plan }) => Plan));
const Tray = lazy(() => import("../tray/tray.tsx").then(({ Tray }) => Tray));
const Picks = lazy(() => import("../picks/picks.tsx").then(({ Picks }) => Picks));
const Presets = lazy(() => import("../presets/presets.tsx").then(({ Presets }) => Presets));
const Help = lazy(() => import("../help/help.tsx").then(({ Help }) => Help));
const JobPanel = lazy(() => import("../job/job.tsx").then(({ JobPanel }) => JobPanel));

const NONE: readonly Run[] = [];
const CLOSED: Openings = { groups: new Map(), folds: new Map() };
const TITLE = "Add new jobs";
/** A query is in the address once no key was pressed for this time. */
const ADDRESS_MILLISECONDS = 300;
/** A selection is kept after this time. */
const KEPT_MILLISECONDS = 100;

export function Picker({ page }: { page: Page }) {
  const { project = "", push: id = 0 } = page.address;
  const { treeherder } = page.config;
  const [list, setList] = useState<List>();
  const [ran, setRan] = useState<readonly Run[]>();
  const [push, setPush] = useState<Push>();
  const [errors, setErrors] = useState<{ readonly list?: unknown; readonly runs?: unknown; readonly push?: unknown }>(
    {},
  );
  const load = useCallback(
    (signal: AbortSignal) => {
      setErrors({});
      const failed = (what: string) => (error: unknown) => {
        if (!signal.aborted) setErrors((errors) => ({ ...errors, [what]: error }));
      };
      loadList(page.config, project, id, signal).then(setList, failed("list"));
      loadRuns(treeherder, project, id, signal).then(setRan, failed("runs"));
      loadPush(treeherder, project, id, signal).then(setPush, failed("push"));
    },
    [page.config, project, id],
  );
  const reload = useRef<AbortController | undefined>(undefined);
  const start = useCallback(() => {
    reload.current?.abort();
    reload.current = new AbortController();
    load(reload.current.signal);
  }, [load]);
  useEffect(() => {
    start();
    return () => reload.current?.abort();
  }, [start]);
  return (
    <>
      <PushLine page={page} push={push} />
      {errors.list !== undefined && <Missing page={page} error={errors.list} onRetry={start} />}
      {errors.runs !== undefined && (
        <Notice kind="warning">
          What ran on this push is not shown: {messageOf(errors.runs)}{" "}
          <button type="button" onClick={start}>
            Try again
          </button>
        </Notice>
      )}
      {errors.push !== undefined && errors.runs === undefined && (
        <Notice kind="warning">{messageOf(errors.push)}</Notice>
      )}
      {list?.warnings.map((warning) => (
        <Notice kind="warning" key={warning}>
          {warning}
        </Notice>
      ))}
      {list ? (
        <Chooser {...{ page, project, id, push, list }} ran={ran} onReload={start} />
      ) : (
        errors.list === undefined && <p class="loading">Loading the jobs of {project} …</p>
      )}
    </>
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function PushLine({ page, push }: { page: Page; push: Push | undefined }) {
  const { project = "", push: id = 0 } = page.address;
  const heading = useRef<HTMLHeadingElement>(null);
  // The link that led here is gone: the keyboard goes on at the heading.
  useEffect(() => {
    document.title = `${project} ${id} · ${TITLE}`;
    return () => void (document.title = TITLE);
  }, [project, id]);
  useEffect(() => {
    if (document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <section class="push" aria-label="Push">
      <h1 tabIndex={-1} ref={heading}>
        Push {id} of {project}
      </h1>
      {push && (
        <>
          <a href={pushUrl(page.config.treeherder, project, push.revision)}>{shortRevision(push.revision)}</a>
          <span>{push.author}</span>
          <span class="comment">{push.comment}</span>
        </>
      )}
    </section>
  );
}

interface ChooserProps {
  readonly page: Page;
  readonly project: string;
  readonly id: number;
  readonly push: Push | undefined;
  readonly list: List;
  readonly ran: readonly Run[] | undefined;
  readonly onReload: () => void;
}

type Panel = "picks" | "presets" | "tray" | undefined;

/** A sentence about what was done last. It goes with the next change. */
interface Hint {
  readonly text: string;
  readonly selection: Selection;
  readonly query: string;
}

function Chooser({ page, project, id, push, list, ran, onReload }: ChooserProps) {
  const jobs = useMemo(() => list.jobs.with(ran ?? NONE), [list, ran]);
  const runs = useMemo(() => new Runs(jobs, ran ?? NONE), [jobs, ran]);
  const layout = useMemo(() => new Layout(jobs), [jobs]);
  const [query, setQuery] = useQuery(page);
  const [kept, select] = useSelection(jobs, project, id);
  const selection = kept.selection;
  const isEmpty = selection.size === 0;
  const [openings, setOpenings] = useState(CLOSED);
  const [wantsPreview, setPreview] = useState(() => recall("preview", project, id) !== null);
  const [panel, setPanel] = useState<Panel>();
  const [isHelp, setHelp] = useState(false);
  const [hinted, setHinted] = useState<Hint>();
  const [focused, setFocused] = useState<{ readonly job: number; readonly layout: Layout }>();
  const field = useRef<HTMLInputElement>(null);
  const hint = hinted?.selection === selection && hinted.query === query ? hinted.text : "";
  const setHint = (text: string) => setHinted({ text, selection, query });
  // Once something was selected, the tray stays: its last change can be undone.
  const hasTray = useRef(false);
  hasTray.current ||= selection.size > 0 || selection.absent.length > 0;
  const visible = useMemo(() => search(jobs, parseQuery(query)), [jobs, query]);
  const view = useMemo(() => layout.view(visible, selection.mask), [layout, visible, selection]);
  // A new list may have other numbers.
  const job = focused?.layout === layout ? focused.job : undefined;
  useEffect(() => setOpenings(CLOSED), [layout]);

  const change = (what: Change) => {
    if (what === "set") select(selection.set(visible));
    else if (what === "clear") select(selection.clear(visible));
    else if (what === "invert") select(selection.invert(visible));
    else select(selection.clearAll());
  };
  const toggle = (some: readonly number[]) => {
    const can = some.filter((job) => job < jobs.runnable);
    if (can.length === 0) return setHint("This job ran here, but is not in the list of jobs that can run.");
    select(can.every((job) => selection.has(job)) ? selection.clear(can) : selection.set(can));
  };
  const open = (part: "group" | "fold", index: number, isOpen: boolean) =>
    setOpenings((openings) => {
      const key = part === "group" ? "groups" : "folds";
      return { ...openings, [key]: new Map(openings[key]).set(index, isOpen) };
    });
  const preview = (isShown: boolean) => {
    if (isShown && selection.size === 0) {
      const few = view.runnable > 0 ? `Ctrl+A selects the ${format(view.runnable)} visible jobs.` : "";
      return setHint(`Nothing is selected yet. ${few}`);
    }
    keep("preview", project, id, isShown ? "" : null);
    setPreview(isShown);
  };
  // Such as after a reload that found another list.
  useEffect(() => {
    if (wantsPreview && isEmpty) preview(false);
  }, [wantsPreview, isEmpty]);
  const isPreview = wantsPreview && !isEmpty;
  const wasPreview = useRef(false);
  const opener = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (wasPreview.current && !isPreview) opener.current?.focus();
    wasPreview.current = isPreview;
  }, [isPreview]);
  useKeys({ change, preview, help: () => setHelp(true), field, isActive: !isPreview && !isHelp });

  if (isPreview) {
    const sent = () => {
      preview(false);
      select(selection.clearAll());
      // The page leaves at once: what was sent must not be selected when a person comes back.
      keep("selection", project, id, null);
    };
    const { decisionTask } = list;
    return (
      <Plan
        {...{ page, project, push: id, jobs, selection, decisionTask }}
        onClose={() => preview(false)}
        onSent={sent}
      />
    );
  }
  const togglePanel = (wanted: Panel) => setPanel(panel === wanted ? undefined : wanted);
  const loadOther = (otherProject: string, otherPush: number) =>
    loadRuns(page.config.treeherder, otherProject, otherPush);
  return (
    <div class="picker">
      <main>
        <div class="controls">
          <Toolbar
            {...{ field, query, view }}
            total={jobs.size}
            selected={selection.size}
            onQuery={setQuery}
            onChange={change}
            onPreview={() => preview(true)}
          />
          <div class="panels">
            <Opener panel="picks" shown={panel} onToggle={togglePanel}>
              Quick picks
            </Opener>
            <Opener panel="presets" shown={panel} onToggle={togglePanel}>
              Presets
            </Opener>
            <button type="button" onClick={() => setHelp(true)}>
              Keys <kbd>?</kbd>
            </button>
            <button type="button" onClick={onReload} title="Load the list and the runs again">
              Refresh
            </button>
          </div>
          {panel === "picks" && (
            <Picks
              {...{ page, project, push: id, selection }}
              runs={ran && runs}
              onChange={select}
              loadRuns={loadOther}
            />
          )}
          {panel === "presets" && <Presets query={query} onUse={setQuery} />}
          {kept.isFull && (
            <Notice kind="warning">The browser's storage is full: a reload would lose the selection.</Notice>
          )}
        </div>
        {(view.visible === 0 || jobs.runnable === 0) && (
          <Nothing total={jobs.runnable} project={project} onClear={() => setQuery("")} />
        )}
        <Grid
          {...{ layout, runs, view, visible, openings }}
          selected={selection.mask}
          onSelect={toggle}
          onOpen={open}
          onChunks={(fold, ranges) => {
            const chunks = layout.chunksOf(fold).filter((job) => visible[job] === 1);
            const isAny = chunks.some((job) => isIn(layout.chunk(job) ?? NaN, ranges));
            if (!isAny) return setHint("No chunk that is visible has one of these numbers.");
            select(selection.setChunks(chunks, ranges, (job) => layout.chunk(job)));
          }}
          onFocus={(job) => setFocused({ job, layout })}
        />
      </main>
      <aside class={panel === "tray" ? "shown" : ""} aria-label="Selection">
        {job !== undefined && <JobPanel {...{ jobs, runs, job, page, push }} />}
        {hasTray.current && <Tray {...{ layout, jobs, selection }} onChange={select} />}
        {!hasTray.current && job === undefined && (
          <p class="muted">
            Selected jobs stand here. Click jobs, the count of a group or the title of a row, or select all that the
            filter shows.
          </p>
        )}
      </aside>
      <footer>
        <span role="status">{hint}</span>
        <span>
          <b>{format(selection.size)}</b> selected
          {isLarge(selection.size) && <span class="warning"> · above 1,000, jobs run at a lower priority</span>}
        </span>
        <span class="narrow">
          <Opener panel="tray" shown={panel} onToggle={togglePanel}>
            Selection
          </Opener>
        </span>
        <button ref={opener} class="primary" type="button" title="p, or Ctrl+Enter" onClick={() => preview(true)}>
          Preview
        </button>
      </footer>
      {isHelp && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

interface OpenerProps {
  readonly panel: Panel;
  readonly shown: Panel;
  readonly onToggle: (panel: Panel) => void;
  readonly children: string;
}

function Opener({ panel, shown, onToggle, children }: OpenerProps) {
  return (
    <button type="button" aria-expanded={shown === panel} onClick={() => onToggle(panel)}>
      {children}
    </button>
  );
}

function Nothing({ total, project, onClear }: { total: number; project: string; onClear: () => void }) {
  if (total === 0) return <Notice kind="information">No jobs can run on {project} yet: its list is empty.</Notice>;
  return (
    <p class="nothing">
      No job matches. All words have to match; <code>|</code> between two means one of them.{" "}
      <button type="button" onClick={onClear}>
        Clear the filter
      </button>
    </p>
  );
}

/** The query: at once in the field, after a pause in the address. */
function useQuery(page: Page): [string, (query: string) => void] {
  const [query, setQuery] = useState(page.address.query ?? "");
  const latest = useRef(page);
  latest.current = page;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  // The browser's back and forward change the address.
  useEffect(() => {
    if (timer.current === undefined) setQuery(page.address.query ?? "");
  }, [page.address.query]);
  const write = (query: string) => {
    timer.current = undefined;
    const { query: _, ...address } = latest.current.address;
    latest.current.go(query === "" ? address : { ...address, query });
  };
  const change = useCallback((query: string) => {
    setQuery(query);
    clearTimeout(timer.current);
    timer.current = setTimeout(write, ADDRESS_MILLISECONDS, query);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  return [query, change];
}

interface Kept {
  readonly selection: Selection;
  /** Whether the browser refused to keep it. */
  readonly isFull: boolean;
}

/** The selection of a push, which the tab keeps. */
function useSelection(jobs: Selection["jobs"], project: string, push: number): [Kept, (selection: Selection) => void] {
  const [chosen, choose] = useState(() => Selection.read(jobs, recall("selection", project, push)));
  const [isFull, setFull] = useState(false);
  const selection = useMemo(() => (chosen.jobs === jobs ? chosen : chosen.in(jobs)), [chosen, jobs]);
  const kept = useRef(selection);
  const latest = useRef(() => {});
  useEffect(() => {
    const write = () => {
      if (kept.current === selection) return;
      kept.current = selection;
      const isEmpty = selection.size === 0 && selection.absent.length === 0;
      setFull(!keep("selection", project, push, isEmpty ? null : selection.serialise()));
    };
    latest.current = write;
    if (kept.current === selection) return;
    // Not while a person waits for the next frame.
    const timer = setTimeout(write, KEPT_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [selection]);
  useEffect(() => {
    const writeNow = () => latest.current();
    addEventListener("pagehide", writeNow);
    return () => {
      removeEventListener("pagehide", writeNow);
      writeNow();
    };
  }, []);
  return [{ selection, isFull }, choose];
}

interface Keys {
  readonly change: (change: Change) => void;
  readonly preview: (isShown: boolean) => void;
  readonly help: () => void;
  readonly field: { readonly current: HTMLInputElement | null };
  readonly isActive: boolean;
}

const CHANGES: Readonly<Record<string, Change>> = { KeyA: "set", KeyD: "clear", KeyI: "invert", KeyC: "clearAll" };

function mark(field: HTMLInputElement | null): void {
  field?.focus();
  field?.select();
}

/** The keys that work wherever the focus is. In fields, keys with Alt write letters on some keyboards. */
function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const { change, preview, help, field, isActive } = latest.current;
      if (!isActive || event.defaultPrevented) return;
      const { key, code, altKey, ctrlKey, metaKey, target } = event;
      const isTyping = target instanceof HTMLElement && target.matches("input, textarea, select");
      const isControl = ctrlKey || metaKey;
      if (isControl && key === "Enter") preview(true);
      else if (isTyping) return;
      else if (altKey && !isControl && CHANGES[code]) change(CHANGES[code]);
      else if (altKey) return;
      else if (isControl && key === "a") change("set");
      else if (isControl) return;
      else if (key === "/" || key === "f") mark(field.current);
      else if (key === "?") help();
      else if (key === "p") preview(true);
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
