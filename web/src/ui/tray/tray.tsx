// The tray: what is selected, with a way to take each part out.

import { useMemo, useState } from "preact/hooks";

import type { GroupView, Item, Layout, RowView } from "../../model/grid.ts";
import type { Jobs } from "../../model/jobs.ts";
import { isLarge, REQUEST_JOBS, Selection, type Some } from "../../model/selection.ts";
import { Cut } from "../cut.tsx";
import { Notice } from "../notice.tsx";
import { useRefocus } from "../refocus.ts";
import { count, digits } from "../words.ts";
import "./tray.css";

interface TrayProps {
  readonly layout: Layout;
  readonly jobs: Jobs;
  readonly selection: Selection;
  readonly onChange: (selection: Selection) => void;
}

/** A step that can be undone while the selection is the one after it. */
interface Step {
  readonly before: Selection;
  readonly after: Selection;
  readonly what: string;
}

/** Takes jobs out of the selection. The words say which they are. */
type TakeOut = (jobs: Some, what: string) => void;

const [MOST_ROWS, MOST_GROUPS, MOST_ITEMS, MOST_NAMES] = [40, 30, 40, 10];

export function Tray({ layout, jobs, selection, onChange }: TrayProps) {
  const view = useMemo(() => layout.view(selection.mask, selection.mask), [layout, selection]);
  const [step, setStep] = useState<Step>();
  const { root, remember } = useRefocus<HTMLElement>("[data-takes]");
  const change = (after: Selection, what: string) => {
    remember();
    setStep({ before: selection, after, what });
    onChange(after);
  };
  const takeOut: TakeOut = (some, what) => change(selection.clear(some), what);
  const undo = () => {
    if (!step) return;
    setStep(undefined);
    root.current?.focus();
    onChange(step.before);
  };
  const { size, absent } = selection;
  return (
    <section class="tray" aria-labelledby="tray-title" tabIndex={-1} ref={root}>
      <div class="heading">
        <h2 id="tray-title">
          Selected <span class="muted">{count(size, "job")}</span>
        </h2>
        {size > 0 && (
          <button type="button" data-takes onClick={() => change(emptied(selection), count(size, "job"))}>
            Take out all
          </button>
        )}
      </div>
      <p role="status" class={step?.after === selection ? "step" : "visually-hidden"}>
        {step?.after === selection && (
          <>
            Taken out: {step.what}.{" "}
            <button type="button" onClick={undo}>
              Undo
            </button>
          </>
        )}
      </p>
      {size === 0 && (
        <p class="muted">
          Nothing is selected. Click on jobs, groups and platforms, or press Space on them; “select all visible” takes
          everything that the filter shows.
        </p>
      )}
      {isLarge(size) && (
        <Notice kind="warning">
          {count(size, "job")} are sent in {Math.ceil(size / REQUEST_JOBS)} requests or more, as one has at most{" "}
          {digits(REQUEST_JOBS)}. Taskcluster runs that many at a lower priority.
        </Notice>
      )}
      {absent.length > 0 && (
        <Notice kind="warning">
          {count(absent.length, "selected name is", "selected names are")} not in the list of this push, and cannot be
          requested:
          <Cut class="absent" entries={absent} most={MOST_NAMES} words="names">
            {(name) => <li key={name}>{name}</li>}
          </Cut>
          <button type="button" data-takes onClick={() => change(listed(selection), count(absent.length, "name"))}>
            Take out these names
          </button>
        </Notice>
      )}
      <Cut class="rows" entries={view.rows} most={MOST_ROWS} words="platforms">
        {(row) => <TrayRow key={row.row.title} {...{ layout, jobs, selection, takeOut }} view={row} />}
      </Cut>
    </section>
  );
}

interface PartProps {
  readonly layout: Layout;
  readonly jobs: Jobs;
  readonly selection: Selection;
  readonly takeOut: TakeOut;
}

function TrayRow({ view, ...rest }: PartProps & { readonly view: RowView }) {
  const [isOpen, setIsOpen] = useState(false);
  const { row, selected, groups } = view;
  return (
    <li>
      <div class="line">
        <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
          {row.title} <span class="muted">{digits(selected)}</span>
        </button>
        <Take
          what={`${row.title}, ${count(selected, "job")}`}
          onClick={(what) => rest.takeOut(rest.layout.jobsOf(row), what)}
        />
      </div>
      {isOpen && (
        <Cut class="groups" entries={groups} most={MOST_GROUPS} words="groups">
          {(group) => <TrayGroup key={group.group.index} {...rest} view={group} title={row.title} />}
        </Cut>
      )}
    </li>
  );
}

function TrayGroup({ view, title, ...rest }: PartProps & { readonly view: GroupView; readonly title: string }) {
  const { layout, jobs, selection, takeOut } = rest;
  const { group, selected } = view;
  const name = group.symbol || "Without a group";
  const tier = group.tier > 1 ? ` tier ${group.tier}` : "";
  return (
    <li>
      <div class="line">
        <span title={group.name}>
          <strong>{name}</strong>
          {tier} <span class="muted">{digits(selected)}</span>
        </span>
        <Take
          what={`${name}${tier} of ${title}, ${count(selected, "job")}`}
          onClick={(what) => takeOut(layout.jobsOf(group), what)}
        />
      </div>
      <Cut class="items" entries={layout.items(group, selection.mask)} most={MOST_ITEMS} words="entries">
        {(item) => <TrayItem key={keyOf(item)} {...{ item, jobs, takeOut }} />}
      </Cut>
    </li>
  );
}

interface TrayItemProps {
  readonly item: Item;
  readonly jobs: Jobs;
  readonly takeOut: TakeOut;
}

function TrayItem({ item, jobs, takeOut }: TrayItemProps) {
  const some = item.kind === "job" ? [item.job] : item.jobs;
  const text = item.kind === "job" ? jobs.symbol(item.job) : item.text;
  const name = jobs.name(some[0]);
  const what = some.length === 1 ? name : `${text}, ${count(some.length, "job")} such as ${name}`;
  return (
    <li title={name}>
      {text} <Take what={what} onClick={() => takeOut(some, what)} />
    </li>
  );
}

interface TakeProps {
  readonly what: string;
  readonly onClick: (what: string) => void;
}

function Take({ what, onClick }: TakeProps) {
  return (
    <button type="button" class="take" data-takes aria-label={`Take out ${what}`} onClick={() => onClick(what)}>
      <span aria-hidden="true">×</span>
    </button>
  );
}

function keyOf(item: Item): string {
  return item.kind === "job" ? `job ${item.job}` : `chunks ${item.fold}`;
}

/** Without its jobs. Names that are not in the list stay: they have a button of their own. */
function emptied(selection: Selection): Selection {
  return selection.clear(selection.mask);
}

/** Without the names that are not in the list. */
function listed(selection: Selection): Selection {
  return Selection.none(selection.jobs).set(selection.mask);
}
