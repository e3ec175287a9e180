import { expect, test } from "vitest";
import { readWanted } from "../src/model/wanted.ts";

const REVISION = "0123456789abcdef0123456789abcdef01234567";

test("a number is a push, with or without its project", () => {
  expect(readWanted(" 1001 ")).toEqual({ push: 1001 });
  expect(readWanted("try/1001")).toEqual({ project: "try", push: 1001 });
  expect(readWanted("try/0")).toBeUndefined();
});

test("hexadecimal words are revisions, also without a letter", () => {
  expect(readWanted(REVISION)).toEqual({ revision: REVISION });
  expect(readWanted("0123456789AB")).toEqual({ revision: "0123456789ab" });
  expect(readWanted("123456789012")).toEqual({ revision: "123456789012" });
});

test("other words are authors", () => {
  expect(readWanted("someone@mozilla.com")).toEqual({ author: "someone@mozilla.com" });
  expect(readWanted("abcdef")).toEqual({ author: "abcdef" });
  expect(readWanted(`${REVISION}0`)).toEqual({ author: `${REVISION}0` });
});

test("an address of Treeherder names a push, an author or a project", () => {
  const jobs = "https://treeherder.mozilla.org/jobs";
  const push = { project: "try", revision: "0123456789ab" };
  expect(readWanted(`${jobs}?repo=try&revision=0123456789ab`)).toEqual(push);
  expect(readWanted("https://treeherder.example.org/#/jobs?repo=try&revision=0123456789ab")).toEqual(push);
  expect(readWanted(`${jobs}?repo=try&tochange=0123456789ab&fromchange=fedcba987654`)).toEqual(push);
  expect(readWanted(`${jobs}?repo=try&author=dev%40example.org`)).toEqual({
    project: "try",
    author: "dev@example.org",
  });
  expect(readWanted(`${jobs}?repo=autoland`)).toEqual({ project: "autoland" });
});

test("an address of this page names a push", () => {
  expect(readWanted("https://example.org/jobs/?project=try&push=1001&q=linux")).toEqual({ project: "try", push: 1001 });
});

test("nothing is read from other texts", () => {
  const texts = ["", "  ", "two words", "https://", "https://example.org/", "a/b/c", "-/x", "try/x"];
  const links = ["?repo=a%20b&revision=0123456789ab", "?project=try&push=x"].map((search) => `https://x.org/${search}`);
  for (const text of [...texts, ...links]) expect(readWanted(text), text).toBeUndefined();
});
