import { expect, test } from "vitest";
import { chunkAt, formatRanges, isIn, parseRanges } from "../src/model/chunks.ts";

test.each([
  ["test-linux2404-64/opt-mochitest-3", "test-linux2404-64/opt-mochitest", 3, false],
  ["test-linux2404-64/opt-mochitest-12-cf", "test-linux2404-64/opt-mochitest", 12, true],
  ["Ubuntu VM 12.04 x64 try opt test mochitest-1", "Ubuntu VM 12.04 x64 try opt test mochitest", 1, false],
  ["toolchain-clang-2023", "toolchain-clang", 2023, false],
])("%s is a chunk of %s", (name, suite, number, isConfirming) => {
  const text = `before-7\n${name}\nafter-8\n`;
  const found = chunkAt(text, 9, 9 + name.length);
  expect(found).toEqual({ number, isConfirming, hyphen: 9 + suite.length });
});

test.each(["build-linux64/opt", "talos-g4", "source-test-1proc", "x-cf", "job-20240131", "-1", "-cf", "1", ""])(
  "%s is not a chunk",
  (name) => {
    expect(chunkAt(`a-1\n${name}\nb-2\n`, 4, 4 + name.length)).toBeUndefined();
  },
);

test.each([
  ["1,4-6", [1, 4, 5, 6]],
  [" 1, 4 - 6 ;9 ", [1, 4, 5, 6, 9]],
  ["2 3", [2, 3]],
  ["8-", [8, 9]],
  ["-2", [1, 2]],
  ["7–8", [7, 8]],
])("the ranges %s are read", (text, expected) => {
  const ranges = parseRanges(text) ?? [];
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9].filter((number) => isIn(number, ranges))).toEqual(expected);
});

test.each(["", " ", "a", "6-4", "1,-", "1-2-3", "1.5", "-"])("%j are not ranges", (text) => {
  expect(parseRanges(text)).toBeUndefined();
});

test("numbers are written as ranges", () => {
  expect(formatRanges([4, 1, 2, 3, 9, 7, 6, 9])).toBe("1-4,6-7,9");
  expect(formatRanges([])).toBe("");
});
