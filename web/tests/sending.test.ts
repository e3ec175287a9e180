import { beforeEach, expect, test } from "vitest";
import { digestOf, Sending } from "../src/ui/plan/sending.ts";

const HOUR = 60 * 60 * 1_000;
const REQUESTS = [["a", "b"], ["c"]];

let stored: Map<string, string>;
let now: number;
let keys: number;

beforeEach(() => {
  stored = new Map();
  [now, keys] = [0, 0];
});

/** What a page knows of a push after it was loaded: the storage stays. */
function loaded(push = 1001, decisionTask?: string): Sending {
  return new Sending("try", push, decisionTask, {
    storage: {
      getItem: (name) => stored.get(name) ?? null,
      setItem: (name, value) => void stored.set(name, value),
      removeItem: (name) => void stored.delete(name),
    },
    now: () => now,
    newKey: () => `key ${++keys}`,
  });
}

test("a look at requests stores nothing", () => {
  const batches = loaded().batches(REQUESTS);
  expect(batches.map(({ names, request, isUnanswered }) => [names, request, isUnanswered])).toEqual([
    [["a", "b"], undefined, false],
    [["c"], undefined, false],
  ]);
  expect(stored.size).toBe(0);
});

test("a request keeps its key after a reload, until it is answered", () => {
  const [first, second] = loaded().batches(REQUESTS);
  expect([loaded().key(first), loaded().key(second), loaded().key(first)]).toEqual(["key 1", "key 2", "key 1"]);
  expect(
    loaded()
      .batches(REQUESTS)
      .map(({ isUnanswered }) => isUnanswered),
  ).toEqual([true, true]);
});

test("a request that was sent is known after a reload, and the others go on", () => {
  const [first, second] = loaded().batches(REQUESTS);
  loaded().key(first);
  loaded().sent(first, "REQUEST");
  loaded().key(second);
  const after = loaded().batches(REQUESTS);
  expect(after.map(({ request, isUnanswered }) => [request, isUnanswered])).toEqual([
    ["REQUEST", false],
    [undefined, true],
  ]);
});

test("other jobs, another push and another decision task have other keys", () => {
  const [first] = loaded().batches(REQUESTS);
  loaded().key(first);
  expect(loaded().batches([["a"]])[0].isUnanswered).toBe(false);
  expect(loaded(1002).batches(REQUESTS)[0].isUnanswered).toBe(false);
  expect(loaded(1001, "fN1SbArXTPSVFNUvaOlinQ").batches(REQUESTS)[0].isUnanswered).toBe(false);
});

test("once all is sent, or a request is refused, a new attempt has a new key", () => {
  const batches = loaded().batches(REQUESTS);
  for (const batch of batches) loaded().key(batch);
  loaded().forget(batches);
  expect(stored.size).toBe(0);
  expect(loaded().key(batches[0])).toBe("key 3");
});

test("a key is not used after the API has forgotten it", () => {
  const [first] = loaded().batches(REQUESTS);
  loaded().key(first);
  now = 24 * HOUR;
  expect(loaded().batches(REQUESTS)[0].isUnanswered).toBe(false);
  expect(loaded().key(first)).toBe("key 2");
});

test("without room in the storage, a key is kept as long as the page", () => {
  const full = () => {
    throw new Error("full");
  };
  const surroundings = { storage: { getItem: () => null, setItem: full, removeItem: full }, now: () => 0 };
  const sending = new Sending("try", 1001, undefined, { ...surroundings, newKey: () => `key ${++keys}` });
  const [first] = sending.batches(REQUESTS);
  expect([sending.key(first), sending.key(first)]).toEqual(["key 1", "key 1"]);
});

test("a damaged storage is an empty one", () => {
  stored.set("sending.try.1001", "{");
  expect(loaded().batches(REQUESTS)[0].isUnanswered).toBe(false);
});

test("digests differ wherever texts do", () => {
  const texts = Array.from({ length: 20_000 }, (_, number) => `["test-linux2404-64/opt-mochitest-${number}"]`);
  expect(new Set(texts.map(digestOf)).size).toBe(texts.length);
  expect(digestOf("")).toMatch(/^[0-9a-f]{16}$/);
});
