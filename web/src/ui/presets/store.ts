// The presets in the browser's storage, which all tabs share.

import {
  type Preset,
  readPresets,
  removePreset,
  savePreset,
  serialisePresets,
  type StoredPresets,
} from "../../model/presets.ts";

export const KEY = "presets";

/** A change of the presets. */
export type Change = { readonly save: Preset } | { readonly remove: string };

/** The presets, and why they cannot be changed, if so. */
export interface Loaded {
  readonly presets: readonly Preset[];
  readonly problem?: string;
}

/** The presets after a change, and the change that undoes it. A change that failed has none. */
export interface Changed extends Loaded {
  readonly undo?: Change;
}

type Store = Pick<Storage, "getItem" | "setItem">;

const FORBIDDEN = "This browser does not let the page store anything, so there are no presets.";
const FULL = "The browser's storage for this page is full: nothing was changed. Remove presets, or clear the storage.";
const NEWER =
  "A newer version of this page stored presets here, or they are damaged. They can be used and not changed. " +
  "Reload the page to get its newest version.";

/** Reads the presets. `store` gives the storage, and throws if the browser forbids it. */
export function loadPresets(store: () => Store): Loaded {
  const stored = read(store);
  if (!stored) return { presets: [], problem: FORBIDDEN };
  return stored.isWritable ? { presets: stored.presets } : { presets: stored.presets, problem: NEWER };
}

/** Applies a change to the presets as they are stored at this moment: another tab may have changed them. */
export function changePresets(store: () => Store, change: Change): Changed {
  const loaded = loadPresets(store);
  if (loaded.problem !== undefined) return loaded;
  const { presets } = loaded;
  const name = "save" in change ? change.save.name : change.remove;
  const before = presets.find((preset) => preset.name === name);
  const after = "save" in change ? savePreset(presets, change.save) : removePreset(presets, name);
  try {
    store().setItem(KEY, serialisePresets(after));
  } catch {
    return { presets, problem: FULL };
  }
  return { presets: after, undo: before ? { save: before } : { remove: name } };
}

function read(store: () => Store): StoredPresets | undefined {
  try {
    return readPresets(store().getItem(KEY));
  } catch {
    return undefined;
  }
}
