// The button of a quick pick.

import { pickCount } from "./sentences.ts";
import type { Pick } from "../../model/quickpicks.ts";

interface PickButtonProps {
  readonly text: string;
  readonly pick: Pick | undefined;
  /** What stands beside the button if the pick is empty. */
  readonly nothing: string;
  readonly onChoose: (pick: Pick) => void;
}

/** A button that says what it would select. */
export function PickButton({ text, pick, nothing, onChoose }: PickButtonProps) {
  const isEmpty = pick?.jobs.length === 0;
  return (
    <>
      <button type="button" disabled={!pick || isEmpty} onClick={() => pick && onChoose(pick)}>
        {text}
        {pick && !isEmpty && <strong> {pickCount(pick)}</strong>}
      </button>
      {pick && isEmpty && (
        <span class="muted">{pick.underway.length > 0 ? `All run already (${pick.underway.length}).` : nothing}</span>
      )}
    </>
  );
}
