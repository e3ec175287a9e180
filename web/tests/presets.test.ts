import { expect, test } from "vitest";
import { presetName, readPresets, removePreset, savePreset, serialisePresets } from "../src/model/presets.ts";

const LINUX = { name: "Linux", query: "linux !asan" };
const ALL = { name: "all wpt", query: "web-platform | wpt" };

test("presets are saved by name, in the order of their names", () => {
  const presets = savePreset(savePreset([], LINUX), ALL);
  expect(presets).toEqual([ALL, LINUX]);
  expect(savePreset(presets, { ...LINUX, query: "linux" })).toEqual([ALL, { name: "Linux", query: "linux" }]);
  expect(removePreset(presets, "Linux")).toEqual([ALL]);
});

test("presets are stored and read", () => {
  expect(readPresets(serialisePresets([ALL, LINUX]))).toEqual({ presets: [ALL, LINUX], isWritable: true });
  expect(readPresets(null)).toEqual({ presets: [], isWritable: true });
});

test("presets of a newer page or another program are not overwritten", () => {
  const newer = JSON.stringify({ version: 2, presets: [{ ...LINUX, colour: "red" }] });
  expect(readPresets(newer)).toEqual({ presets: [LINUX], isWritable: false });
  for (const text of ["{", "7", "null", '"x"', "{}", '{"version":1}']) {
    expect(readPresets(text)).toEqual({ presets: [], isWritable: false });
  }
});

test("invalid presets are left out", () => {
  const presets = [LINUX, null, { name: "x" }, { name: " ", query: "x" }, 7];
  expect(readPresets(JSON.stringify({ version: 1, presets })).presets).toEqual([LINUX]);
});

test("a name is neither empty nor long", () => {
  expect(presetName("  my \t tests ")).toBe("my tests");
  expect(presetName(" ")).toBeUndefined();
  expect(presetName("x".repeat(61))).toBeUndefined();
});
