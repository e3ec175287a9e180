import { expect, test } from "vitest";
import { changePresets, KEY, loadPresets } from "../src/ui/presets/store.ts";

const LINUX = { name: "Linux", query: "linux !asan" };
const MAC = { name: "Mac", query: "macosx" };

/** A storage with presets. */
function storeOf(text: string | null = null) {
  const entries = new Map(text === null ? [] : [[KEY, text]]);
  return {
    getItem: (key: string) => entries.get(key) ?? null,
    setItem: (key: string, value: string) => void entries.set(key, value),
  };
}

test("presets are saved and loaded", () => {
  const store = storeOf();
  expect(loadPresets(() => store)).toEqual({ presets: [] });
  expect(changePresets(() => store, { save: MAC }).presets).toEqual([MAC]);
  expect(changePresets(() => store, { save: LINUX }).presets).toEqual([LINUX, MAC]);
  expect(loadPresets(() => store)).toEqual({ presets: [LINUX, MAC] });
});

test("each change can be undone", () => {
  const store = storeOf();
  const first = changePresets(() => store, { save: LINUX });
  expect(first.undo).toEqual({ remove: "Linux" });
  const replaced = changePresets(() => store, { save: { ...LINUX, query: "linux" } });
  expect(replaced.undo).toEqual({ save: LINUX });
  expect(changePresets(() => store, replaced.undo!).presets).toEqual([LINUX]);
  const removed = changePresets(() => store, { remove: "Linux" });
  expect(removed.presets).toEqual([]);
  expect(changePresets(() => store, removed.undo!).presets).toEqual([LINUX]);
});

test("an undo keeps what another tab saved meanwhile", () => {
  const store = storeOf();
  changePresets(() => store, { save: LINUX });
  const removed = changePresets(() => store, { remove: "Linux" });
  changePresets(() => store, { save: MAC });
  expect(changePresets(() => store, removed.undo!).presets).toEqual([LINUX, MAC]);
});

test("presets of a newer page can be used and not changed", () => {
  const text = JSON.stringify({ version: 2, presets: [LINUX] });
  const store = storeOf(text);
  const changed = changePresets(() => store, { remove: "Linux" });
  expect(changed).toMatchObject({ presets: [LINUX], problem: expect.stringContaining("newer version") });
  expect(changed.undo).toBeUndefined();
  expect(store.getItem(KEY)).toBe(text);
});

test("a full or forbidden storage is a sentence, not an error", () => {
  const full = { ...storeOf(), setItem: throwing };
  expect(changePresets(() => full, { save: LINUX })).toEqual({
    presets: [],
    problem: expect.stringContaining("is full"),
  });
  expect(loadPresets(throwing)).toEqual({ presets: [], problem: expect.stringContaining("does not let the page") });
});

function throwing(): never {
  throw new Error("not allowed");
}
