// The grid: a row for each platform and option, with groups of jobs. All that can be selected is a check box; a click
// on one that stands for several jobs selects them all, or removes them if all are selected.
//
// Rows are drawn anew only if their jobs changed. Events are handled once for the whole grid: a button says by its data
// what it stands for.

import { Component } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { parseRanges, type Range } from "../../model/chunks.ts";
import type { Group, GridView, GroupView, Item, Layout, RowView } from "../../model/grid.ts";
import type { Runs } from "../../model/runs.ts";
import { FAILURES } from "../../model/runs.ts";
import type { Mask } from "../../model/search.ts";
import { drawLate, drawSeen, isNear, type LateRow, unwatch, watch } from "./late.ts";
import { markOf } from "./marks.ts";
import { stops, target } from "./moves.ts";

/** What a person opened or closed by hand. */
export interface Openings {
  readonly groups: ReadonlyMap<number, boolean>;
  readonly folds: ReadonlyMap<number, boolean>;
}

/** What a button of the grid stands for. */
export type Part = "row" | "group" | "fold" | "job";

interface GridProps {
  readonly layout: Layout;
  readonly runs: Runs;
  readonly view: GridView;
  readonly visible: Mask;
  readonly selected: Mask;
  readonly openings: Openings;
  readonly onSelect: (jobs: readonly number[]) => void;
  readonly onOpen: (part: "group" | "fold", index: number, isOpen: boolean) => void;
  readonly onChunks: (fold: number, ranges: readonly Range[]) => void;
  readonly onFocus: (job: number) => void;
}

/** Maximum number of visible jobs with which chunks are drawn one by one. */
const FOLDED_ABOVE = 150;
/** Rows that are drawn at once at first. */
const FIRST_ROWS = 3;

export function Grid(props: GridProps) {
  const { layout, runs, view, visible, selected, openings, onSelect, onOpen, onChunks, onFocus } = props;
  const root = useRef<HTMLDivElement>(null);
  const stop = useRef<HTMLElement | undefined>(undefined);
  const isFocused = useRef(false);
  const enter = (next: HTMLElement | undefined) => {
    if (stop.current) stop.current.tabIndex = -1;
    if (next) next.tabIndex = 0;
    stop.current = next;
  };
  useLayoutEffect(() => {
    if (!root.current || stop.current?.isConnected) return;
    const wasFocused = isFocused.current && document.activeElement === document.body;
    enter(root.current.querySelector<HTMLElement>("button") ?? undefined);
    if (wasFocused) stop.current?.focus();
  });
  // Once all rows know their elements, and before the frame.
  useLayoutEffect(() => queueMicrotask(drawSeen));

  const jobsOf = (part: Part, index: number): number[] => {
    if (part === "job") return [index];
    const all =
      part === "row"
        ? layout.jobsOf(layout.rows[index])
        : part === "group"
          ? layout.jobsOf(layout.groups[index])
          : layout.chunksOf(index);
    return [...all].filter((job) => visible[job] === 1);
  };
  const click = ({ target }: Event) => {
    const button = target instanceof Element ? target.closest<HTMLElement>("[data-part], [data-open]") : null;
    if (!button) return;
    const { part, open, index } = button.dataset;
    if (open) onOpen(open as "group" | "fold", Number(index), button.ariaExpanded !== "true");
    else onSelect(jobsOf(part as Part, Number(index)));
  };
  const press = (event: KeyboardEvent) => {
    const from = event.target;
    if (!(from instanceof HTMLElement) || !root.current || event.altKey || event.metaKey) return;
    let next: HTMLElement | undefined;
    if (from instanceof HTMLInputElement) {
      if (event.key === "Enter") applyRanges(from, onChunks);
      if (event.key === "Escape") next = from.closest(".fold")?.querySelector("button") ?? undefined;
      if (!next && event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    }
    next ??= target(root.current, from, event);
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (event.key === "s" && !event.ctrlKey) {
      const group = from.closest("[role=gridcell]") ?? from.closest("[role=row]");
      group?.querySelector<HTMLElement>("[data-part=group], [data-part=row], [data-part=job]")?.click();
    } else if (event.key === "o" && !event.ctrlKey) {
      from.closest(".fold, .group")?.querySelector<HTMLElement>("[data-open]")?.click();
    } else return;
    event.preventDefault();
  };
  const focus = ({ target }: FocusEvent) => {
    if (!(target instanceof HTMLElement)) return;
    isFocused.current = true;
    // A field is reached from the button beside it. As the way into the grid it would hold the arrow keys.
    if (!(target instanceof HTMLInputElement)) enter(target);
    if (target.dataset.part === "job") onFocus(Number(target.dataset.index));
  };
  const areFoldsOpen = view.visible <= FOLDED_ABOVE;
  return (
    <div
      ref={root}
      class="grid"
      role="grid"
      aria-label="Jobs"
      aria-multiselectable
      onClick={click}
      onKeyDown={press}
      onFocusIn={focus}
      onFocusOut={({ relatedTarget }) => (isFocused.current = relatedTarget === null)}
    >
      {view.rows.map((row, place) => (
        <Row
          key={row.row.index}
          {...{ layout, runs, row, visible, selected, openings, areFoldsOpen }}
          isOpen={view.isOpen}
          isFirst={place < FIRST_ROWS}
        />
      ))}
    </div>
  );
}

function applyRanges(input: HTMLInputElement, onChunks: GridProps["onChunks"]): void {
  const ranges = parseRanges(input.value);
  input.setCustomValidity(ranges ? "" : "Write numbers and ranges, such as 1,4-6");
  if (ranges) onChunks(Number(input.dataset.index), ranges);
  else input.reportValidity();
}

interface RowProps {
  readonly layout: Layout;
  readonly runs: Runs;
  readonly row: RowView;
  readonly visible: Mask;
  readonly selected: Mask;
  readonly openings: Openings;
  readonly isOpen: boolean;
  readonly areFoldsOpen: boolean;
  /** Whether it is one of the first rows, which are seen at once. */
  readonly isFirst: boolean;
}

type PartProps = Omit<RowProps, "row" | "isFirst">;

class Row extends Component<RowProps> implements LateRow {
  private element: Element | null = null;
  private drawn: RowProps | undefined;

  get isOutdated(): boolean {
    return this.drawn === undefined || differ(this.drawn, this.props);
  }

  override shouldComponentUpdate(next: RowProps): boolean {
    if (this.drawn !== undefined && !differ(this.drawn, next)) return false;
    if (isNear(this)) return true;
    drawLate(this);
    return false;
  }

  override componentDidMount(): void {
    if (this.element) watch(this.element, this);
  }

  override componentWillUnmount(): void {
    if (this.element) unwatch(this.element, this);
  }

  override render({ row: view, isFirst, ...rest }: RowProps) {
    const { row, runnable, selected, groups } = view;
    const isLate = this.element === null && !isFirst;
    if (isLate) drawLate(this);
    else this.drawn = this.props;
    return (
      <div class="row" role="row" ref={(element) => void (this.element = element)}>
        <div class="title" role="rowheader">
          <Several part="row" index={row.index} runnable={runnable} selected={selected} name={row.title}>
            {row.title}
          </Several>
        </div>
        <div class="cells" role="none">
          {!isLate && groups.map((group) => <GroupCell key={group.group.index} view={group} {...rest} />)}
        </div>
      </div>
    );
  }
}

/** Whether a row looks different with other properties. */
function differ(one: RowProps, other: RowProps): boolean {
  if (one.layout !== other.layout || one.runs !== other.runs || one.openings !== other.openings) return true;
  if (one.isOpen !== other.isOpen || one.areFoldsOpen !== other.areFoldsOpen) return true;
  const differs = (job: number) => one.visible[job] !== other.visible[job] || one.selected[job] !== other.selected[job];
  return one.layout.jobsOf(one.row.row).some(differs);
}

function GroupCell({ view, ...rest }: PartProps & { view: GroupView }) {
  const { group, visible, runnable, selected } = view;
  const { layout, openings, isOpen } = rest;
  const isSingle = visible === 1;
  const opened = isSingle || (openings.groups.get(group.index) ?? isOpen);
  const name = group.name || group.symbol || "Jobs without a group";
  return (
    <span class={`group${opened ? " open" : ""}`} role="gridcell">
      {!isSingle && (
        <button
          class="symbol"
          type="button"
          data-open="group"
          data-index={group.index}
          aria-expanded={opened}
          title={name}
          tabIndex={-1}
        >
          {group.symbol || "–"}
          {group.tier > 1 && <small> tier {group.tier}</small>}
        </button>
      )}
      {isSingle && !group.isBare && (
        <span class="symbol" title={name}>
          {group.symbol}
          {group.tier > 1 && <small> tier {group.tier}</small>}
        </span>
      )}
      {!isSingle && (
        <Several part="group" index={group.index} runnable={runnable} selected={selected} name={name}>
          {selected > 0 ? `${selected}/${runnable}` : runnable || visible}
        </Several>
      )}
      {opened ? layout.items(group, rest.visible).map((item) => <Shown item={item} {...rest} />) : ran(group, rest)}
    </span>
  );
}

/** The runs of a group that is closed: failures one by one, the others counted. */
function ran(group: Group, { layout, runs, visible, selected }: PartProps) {
  if (runs.size === 0) return undefined;
  const { failures, counts } = layout.runs(group, visible, runs);
  const failed = [...new Set(failures.map(({ job }) => job))];
  return (
    <>
      {failed.map((job) => (
        <Job key={job} job={job} runs={runs} selected={selected} />
      ))}
      {counts.size > 0 && <Counts counts={counts} />}
    </>
  );
}

function Counts({ counts }: { counts: ReadonlyMap<string, number> }) {
  return (
    <span class="counts">
      {[...counts].map(([status, count]) => (
        <span class={`ran ${status}`} title={`${count} ${markOf(status).word}`}>
          {markOf(status).sign}
          {count}
        </span>
      ))}
    </span>
  );
}

function Shown({ item, layout, runs, selected, openings, areFoldsOpen }: PartProps & { item: Item }) {
  if (item.kind === "job") return <Job job={item.job} runs={runs} selected={selected} />;
  const { fold, jobs, text } = item;
  const isOpen = openings.folds.get(fold) ?? areFoldsOpen;
  const marked = jobs.reduce((sum, job) => sum + selected[job], 0);
  const runnable = jobs.filter((job) => job < layout.jobs.runnable).length;
  const counts = new Map<string, number>();
  for (const job of runs.size > 0 && !isOpen ? jobs : []) {
    for (const { status } of runs.of(job)) counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  return (
    <span class="fold">
      <button
        class="opener"
        type="button"
        data-open="fold"
        data-index={fold}
        aria-expanded={isOpen}
        aria-label={`Chunks ${text}`}
        tabIndex={-1}
      >
        {isOpen ? "▾" : "▸"}
      </button>
      <Several part="fold" index={fold} runnable={runnable} selected={marked} name={`Chunks ${text}`}>
        {marked > 0 && marked < runnable ? `${text} (${marked})` : text}
      </Several>
      {counts.size > 0 && <Counts counts={counts} />}
      {isOpen && (
        <>
          <input
            class="ranges"
            data-index={fold}
            placeholder="1,4-6"
            aria-label={`Numbers of chunks of ${layout.jobs.name(jobs[0])}`}
            title="Numbers and ranges of chunks, such as 1,4-6. Enter selects these and no others."
            tabIndex={-1}
          />
          {jobs.map((job) => (
            <Job key={job} job={job} runs={runs} selected={selected} />
          ))}
        </>
      )}
    </span>
  );
}

interface SeveralProps {
  readonly part: Part;
  readonly index: number;
  readonly runnable: number;
  readonly selected: number;
  readonly name: string;
  readonly children: string | number;
}

/** A check box for several jobs. */
function Several({ part, index, runnable, selected, name, children }: SeveralProps) {
  const checked = selected === 0 ? "false" : selected < runnable ? "mixed" : "true";
  const label = `${name}: ${selected} of ${runnable} selected`;
  return (
    <button
      class="check several"
      type="button"
      role="checkbox"
      aria-checked={checked}
      aria-label={label}
      title={label}
      data-part={part}
      data-index={index}
      tabIndex={-1}
    >
      {children}
    </button>
  );
}

/** A check box for one job: its symbol, and a sign for its last run. */
function Job({ job, runs, selected }: { job: number; runs: Runs; selected: Mask }) {
  const { jobs } = runs;
  const all = runs.has(job) ? runs.of(job) : [];
  const last = all.at(-1);
  const status = last?.status ?? "";
  const mark = last && markOf(status);
  const canRun = job < jobs.runnable;
  const more = all.length > 1 ? `, ${all.length} runs` : "";
  const state = `${mark ? mark.word : "did not run"}${more}${canRun ? "" : ", cannot be requested"}`;
  return (
    <button
      class={`check job${mark ? ` ran ${status}` : ""}${FAILURES.has(status) && last?.isClassified ? " known" : ""}`}
      type="button"
      role="checkbox"
      aria-checked={selected[job] === 1}
      aria-disabled={!canRun}
      title={`${jobs.name(job)}: ${state}`}
      data-part="job"
      data-index={job}
      tabIndex={-1}
    >
      {mark && <i aria-hidden="true">{mark.sign}</i>}
      {jobs.symbol(job)}
      {all.length > 1 && <sub aria-hidden="true">×{all.length}</sub>}
    </button>
  );
}

/** The first check box, for the key that moves from the field to the grid. */
export function firstStop(): HTMLElement | undefined {
  const grid = document.querySelector(".grid");
  return grid ? (grid.querySelector<HTMLElement>("[tabindex='0']") ?? stops(grid).at(0)) : undefined;
}
