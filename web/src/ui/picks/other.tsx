// The quick pick of what another push ran and this one did not.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Failure } from "../../client.ts";
import { type Pick, ranThereNotHere } from "../../model/quickpicks.ts";
import type { Run } from "../../model/runs.ts";
import { readWanted, type Wanted } from "../../model/wanted.ts";
import { loadPushes } from "../../pushes.ts";
import { loadPush, type Push, shortRevision } from "../../treeherder.ts";
import { Age } from "../age.tsx";
import { ErrorNotice } from "../notice.tsx";
import { PickButton } from "./pick.tsx";
import type { PicksProps } from "./picks.tsx";

/** Another push, with what it ran. */
interface OtherPush {
  readonly project: string;
  readonly push: Push;
  readonly runs: readonly Run[];
}

export function Other({ onChoose, ...props }: PicksProps & { readonly onChoose: (pick: Pick) => void }) {
  const { page, project, push, runs, loadRuns } = props;
  const { treeherder } = page.config;
  const [text, setText] = useState("");
  const [other, setOther] = useState<OtherPush>();
  const [isBusy, setIsBusy] = useState(false);
  const [failed, setFailed] = useState<{ readonly error: unknown; readonly retry: () => void }>();
  // A search that is not the last one is of no interest any more.
  const last = useRef({});
  useEffect(() => () => void (last.current = {}), []);
  const pick = useMemo(() => other && runs && ranThereNotHere(runs, other.runs, other.project), [other, runs]);

  const compare = async (find: () => Promise<Omit<OtherPush, "runs">>) => {
    const mine = (last.current = {});
    const isMine = () => last.current === mine;
    setFailed(undefined);
    setOther(undefined);
    setIsBusy(true);
    try {
      const found = await find();
      if (found.project === project && found.push.id === push) throw new Failure("This is the same push.", 400, "");
      const ran = await loadRuns(found.project, found.push.id);
      if (isMine()) setOther({ ...found, runs: ran });
    } catch (error) {
      if (isMine()) setFailed({ error, retry: () => void compare(find) });
    }
    if (isMine()) setIsBusy(false);
  };
  const before = (isByAuthor: boolean) => async () => {
    const here = await loadPush(treeherder, project, push);
    return { project, push: await pushBefore(treeherder, project, here, isByAuthor ? here.author : undefined) };
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void compare(() => findPush(treeherder, project, push, readWanted(text)));
  };
  return (
    <>
      <p id="picks-other">What another push ran and this one did not:</p>
      <div class="choice" role="group" aria-labelledby="picks-other">
        <button type="button" onClick={() => void compare(before(false))}>
          The push before
        </button>
        <button type="button" onClick={() => void compare(before(true))}>
          The author’s push before
        </button>
        <form onSubmit={submit}>
          <input
            aria-label="Another push: a revision, a push id, an author, or an address of Treeherder"
            placeholder="revision, id, author, address"
            autoComplete="off"
            spellcheck={false}
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          <button type="submit" disabled={text.trim() === ""}>
            Compare
          </button>
        </form>
      </div>
      <p role="status" class={isBusy || other ? "" : "visually-hidden"}>
        {isBusy && <span class="muted">Treeherder is asked …</span>}
        {other && (
          <>
            <code>{shortRevision(other.push.revision)}</code>
            {other.project !== project && ` on ${other.project}`} by {other.push.author}, <Age time={other.push.time} />
            {other.push.comment && `: ${other.push.comment}`}
          </>
        )}
      </p>
      {other && (
        <div class="line">
          <PickButton text="Select" pick={pick} nothing={nothingThere(pick)} onChoose={onChoose} />
        </div>
      )}
      {failed && (
        <ErrorNotice
          error={failed.error}
          onDismiss={() => setFailed(undefined)}
          {...(isTemporary(failed.error) && { onRetry: failed.retry })}
        />
      )}
    </>
  );
}

function isTemporary(error: unknown): boolean {
  return !(error instanceof Failure) || error.isTemporary;
}

function nothingThere(pick: Pick | undefined): string {
  const missing = pick?.notListed.length ?? 0;
  const others = missing > 0 ? ` ${missing} of its jobs are not in the list of this push.` : "";
  return `It ran nothing more that can run here.${others}`;
}

/** The newest push before one, of an author if one is given. */
async function pushBefore(treeherder: string, project: string, push: Push, author?: string): Promise<Push> {
  const filter = author === undefined ? {} : { author };
  const { pushes } = await loadPushes(treeherder, project, filter, push);
  if (pushes.length > 0) return pushes[0];
  const whose = author === undefined ? "" : ` by ${author}`;
  throw new Failure(`Treeherder has no push${whose} on ${project} before this one.`, 404, "");
}

/** The push that a person typed; of an author, the newest one before this push. */
async function findPush(
  treeherder: string,
  here: string,
  push: number,
  wanted: Wanted | undefined,
): Promise<Omit<OtherPush, "runs">> {
  const { project = here, push: id, revision, author } = wanted ?? {};
  if (id !== undefined) return { project, push: await loadPush(treeherder, project, id) };
  if (author !== undefined && project === here) {
    return { project, push: await pushBefore(treeherder, here, await loadPush(treeherder, here, push), author) };
  }
  if (revision === undefined) throw new Failure("This names no push: type a revision or a push id.", 400, "");
  const { pushes } = await loadPushes(treeherder, project, { revision });
  if (pushes.length === 1) return { project, push: pushes[0] };
  const why = pushes.length === 0 ? "no push" : "several pushes";
  throw new Failure(`Treeherder has ${why} on ${project} with a revision that begins with ${revision}.`, 404, "");
}
