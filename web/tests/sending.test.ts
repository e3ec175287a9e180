import { beforeEach, expect, test } from "vitest";
import { requestsOf } from "../src/model/selection.ts";
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

const refuse = () => {
  throw new Error("refused");
};

/** What a page knows of a push after it was loaded: the storage stays. */
function loaded(push = 1001, scope = ""): Sending {
  return new Sending("try", push, scope, {
    storage: () => ({
      getItem: (name) => stored.get(name) ?? null,
      setItem: (name, value) => void stored.set(name, value),
      removeItem: (name) => void stored.delete(name),
    }),
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

test("other jobs, another push, and the jobs of a request that run again have other keys", () => {
  const [first] = loaded().batches(REQUESTS);
  loaded().key(first);
  expect(loaded().batches([["d"]])[0].isUnanswered).toBe(false);
  expect(loaded(1002).batches(REQUESTS)[0].isUnanswered).toBe(false);
  expect(loaded(1001, "01KAS4B0MRJ6WJ0RGDX8T0E4JQ").batches(REQUESTS)[0].isUnanswered).toBe(false);
});

test("with other jobs selected, a batch without an answer goes first, as it was and under its key", () => {
  const [first] = loaded().batches(REQUESTS, "DECISION");
  loaded().key(first);
  // One more job, one less, and a decision task that is not known any more.
  const [again, other, ...more] = loaded().batches([["a", "c", "d"]]);
  expect(again).toEqual({ names: ["a", "b"], decisionTask: "DECISION", isUnanswered: true, request: undefined });
  expect(loaded().key(again)).toBe("key 1");
  expect(other).toEqual({ names: ["c", "d"], decisionTask: undefined, isUnanswered: false, request: undefined });
  expect(loaded().key(other)).toBe("key 2");
  expect(more).toEqual([]);
});

test("jobs that were sent do not go again in another batch, when the selection has changed", () => {
  const names = Array.from({ length: 2_500 }, (_, number) => `job ${number}`);
  const sending = loaded();
  const [first, second] = sending.batches(requestsOf(names));
  sending.key(first);
  sending.sent(first, "REQUEST");
  sending.key(second);
  // The first job is not selected any more: all batches would shift.
  const batches = loaded().batches(requestsOf(names.slice(1)));
  expect(batches.map(({ names, request, isUnanswered }) => [names.length, request, isUnanswered])).toEqual([
    [1_000, "REQUEST", false],
    [1_000, undefined, true],
    [500, undefined, false],
  ]);
  expect(batches[2].names).toEqual(names.slice(2_000));
});

test("batches that are being sent keep their order and their jobs, with what is known of them now", () => {
  const sending = loaded();
  const batches = sending.batches([["a"], ["b"], ["c"]]);
  sending.key(batches[1]);
  sending.sent(batches[1], "REQUEST");
  sending.key(batches[2]);
  const renewed = sending.renewed(batches);
  expect(renewed.map(({ names, request, isUnanswered }) => [names, request, isUnanswered])).toEqual([
    [["a"], undefined, false],
    [["b"], "REQUEST", false],
    [["c"], undefined, true],
  ]);
  sending.forget(batches);
  expect(sending.renewed(renewed).map(({ isUnanswered }) => isUnanswered)).toEqual([false, false, false]);
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

test.each([
  ["without room in the storage", () => ({ getItem: () => null, setItem: refuse, removeItem: refuse })],
  ["with a storage that the browser forbids", refuse],
])("%s, a key is kept as long as the page", (project, storage) => {
  const open = () => new Sending(project, 1001, "", { storage, now: () => 0, newKey: () => `key ${++keys}` });
  const [first] = open().batches(REQUESTS);
  expect([open().key(first), open().key(first)]).toEqual(["key 1", "key 1"]);
  expect(open().batches(REQUESTS)[0].isUnanswered).toBe(true);
  open().forget([first]);
  expect(open().batches(REQUESTS)[0].isUnanswered).toBe(false);
});

test.each(["{", "{}", '{"digest":{"key":"key 1","at":0}}', "null"])("a damaged storage is an empty one: %s", (text) => {
  stored.set("sending.try.1001", text);
  expect(loaded().batches(REQUESTS)[0].isUnanswered).toBe(false);
});

test("digests differ wherever texts do", () => {
  const texts = Array.from({ length: 20_000 }, (_, number) => `["test-linux2404-64/opt-mochitest-${number}"]`);
  expect(new Set(texts.map(digestOf)).size).toBe(texts.length);
  expect(digestOf("")).toMatch(/^[0-9a-f]{16}$/);
});
