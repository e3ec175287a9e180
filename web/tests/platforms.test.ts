import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { rowTitle } from "../src/model/platforms.ts";
import { TITLES } from "./support/labels.ts";

test.each([
  ["linux2404-64", "Linux 24.04"],
  ["linux2404-64-shippable", "Linux 24.04 Shippable"],
  ["linux1804-64-qr", "Linux 18.04"],
  ["linux1804-64-asan-qr", "Linux 18.04 asan"],
  ["windows11-64-24h2-hw-ref-shippable", "Windows 11 24H2 Ref HW Shippable"],
  ["macosx1500-aarch64-nightlyasrelease", "macOS 15 AArch64 NightlyAsRelease"],
  ["android-em-14-x86_64-shippable-lite", "Android 14.0 x86-64 Lite Shippable"],
  ["linux64-snap-amd64-2404-esr140", "Linux 24.04 x64 Snap amd64 esr140"],
  ["windowsxp", "Windows XP"],
  ["gecko-decision", "Gecko Decision Task"],
])("the platform %s is called %s", (platform, title) => {
  expect(TITLES.title(platform).title).toBe(title);
});

test("a platform without a title keeps its name and stands above the others", () => {
  expect(TITLES.title("linux3004-128")).toEqual({ title: "linux3004-128", position: -1 });
});

test("platforms with one title are at one place", () => {
  expect(TITLES.title("win64")).toEqual(TITLES.title("windows2012-64"));
});

test("titles are in Treeherder's order", () => {
  const platforms = ["linux32", "linux64", "linux2404-64", "linux2404-64-asan", "macosx1470-64", "windows11-64-24h2"];
  const positions = [...platforms, "android-em-14-x86_64", "gecko-decision", "toolchains", "other"].map(
    (platform) => TITLES.title(platform).position,
  );
  expect(positions).toEqual([...positions].sort((one, other) => one - other));
});

test("every platform of Buildbot has a title", () => {
  const file = new URL("../../crates/catalog/tests/fixtures/recorded/platforms.jsonl", import.meta.url);
  const platforms = readFileSync(file, "utf8").trim().split("\n");
  const unknown = platforms.map((line) => (JSON.parse(line) as { platform: string }).platform);
  expect(unknown.filter((platform) => TITLES.title(platform).position < 0)).toEqual([]);
});

test.each([
  ["linux2404-64", "debug", "Linux 24.04 debug"],
  ["linux2404-64", "opt", "Linux 24.04 opt"],
  ["linux2404-64-shippable", "opt", "Linux 24.04 Shippable"],
  ["linux2404-64-asan", "opt", "Linux 24.04 asan"],
  ["linux2404-64-ccov", "opt", "Linux 24.04 CCov"],
  ["gecko-decision", "opt", "Gecko Decision Task"],
  ["toolchains", "opt", "Toolchains"],
  ["toolchains", "debug", "Toolchains debug"],
  ["other", "", "Other"],
  ["", "opt", "No platform opt"],
])("the row of %s with %s is titled %s", (platform, option, title) => {
  expect(rowTitle(platform, TITLES.title(platform).title, option)).toBe(title);
});
