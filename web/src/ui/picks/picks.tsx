// Quick picks: buttons for common selections.

import { useMemo, useState } from "preact/hooks";

import { pickResult } from "./sentences.ts";
import { failedHere, type Pick, testsOfBuilds } from "../../model/quickpicks.ts";
import type { Run, Runs } from "../../model/runs.ts";
import type { Selection } from "../../model/selection.ts";
import { Cut } from "../cut.tsx";
import { Notice } from "../notice.tsx";
import type { Page } from "../page.ts";
import { Other } from "./other.tsx";
import { PickButton } from "./pick.tsx";
import "./picks.css";

export interface PicksProps {
  readonly page: Page;
  readonly project: string;
  readonly push: number;
  /** Undefined until Treeherder has answered. */
  readonly runs: Runs | undefined;
  readonly selection: Selection;
  readonly onChange: (selection: Selection) => void;
  /** Loads the runs on another push. */
  readonly loadRuns: (project: string, push: number) => Promise<Run[]>;
}

/** What the last pick did. */
interface Result {
  readonly sentences: readonly string[];
  readonly notListed: readonly string[];
}

const MOST_NAMES = 5;

export function Picks(props: PicksProps) {
  const { runs, selection, onChange } = props;
  const [unclassifiedOnly, setUnclassifiedOnly] = useState(false);
  const [missingOnly, setMissingOnly] = useState(true);
  const [result, setResult] = useState<Result>();
  const failed = useMemo(() => runs && failedHere(runs, { unclassifiedOnly }), [runs, unclassifiedOnly]);
  const tests = useMemo(() => runs && testsOfBuilds(runs, { missingOnly }), [runs, missingOnly]);
  const choose = (pick: Pick) => {
    const next = selection.set(pick.jobs);
    setResult({ sentences: pickResult(pick, next.size - selection.size), notListed: pick.notListed });
    onChange(next);
  };
  return (
    <section class="picks" aria-labelledby="picks-title">
      <h2 id="picks-title">Quick picks</h2>
      {!runs && <p class="muted">What ran on this push is not known until Treeherder answers.</p>}
      <ul>
        <li class="line">
          <PickButton text="All that failed here" pick={failed} nothing="Nothing failed here." onChoose={choose} />
          <Option text="unclassified failures only" isOn={unclassifiedOnly} onChange={setUnclassifiedOnly} />
        </li>
        <li class="line">
          <PickButton
            text="Tests of the builds that exist here"
            pick={tests}
            nothing={missingOnly ? "All of them ran, or there is no build." : "There is no build with tests."}
            onChoose={choose}
          />
          <Option text="only those that have not run" isOn={missingOnly} onChange={setMissingOnly} />
        </li>
        <li>
          <Other {...props} onChoose={choose} />
        </li>
      </ul>
      {result && (
        <Notice kind="information" onDismiss={() => setResult(undefined)}>
          {result.sentences.join(" ")}
          {result.notListed.length > 0 && (
            <Cut entries={result.notListed} most={MOST_NAMES} words="names">
              {(name) => <li key={name}>{name}</li>}
            </Cut>
          )}
        </Notice>
      )}
    </section>
  );
}

interface OptionProps {
  readonly text: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

function Option({ text, isOn, onChange }: OptionProps) {
  return (
    <label>
      <input type="checkbox" checked={isOn} onChange={({ currentTarget }) => onChange(currentTarget.checked)} /> {text}
    </label>
  );
}
