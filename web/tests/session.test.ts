import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { currentSession, endSession, hasSignedOut, isAnswer, readToken, signOut } from "../src/session.ts";

function tokenOf(payload: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "ES256" })}.${part(payload)}.c2lnbmF0dXJl`;
}

let stored: Map<string, string>;
const storage = {
  getItem: (name: string) => stored.get(name) ?? null,
  setItem: (name: string, value: string) => void stored.set(name, value),
  removeItem: (name: string) => void stored.delete(name),
};

beforeEach(() => {
  stored = new Map([["sign-in.token", tokenOf({ email: "someone@mozilla.com", exp: Date.now() / 1_000 + 60 })]]);
  vi.stubGlobal("sessionStorage", storage);
});
afterEach(() => vi.unstubAllGlobals());

test("a person who signs out is not signed in, also after a reload, and chooses an account the next time", () => {
  expect([currentSession()?.email, hasSignedOut()]).toEqual(["someone@mozilla.com", false]);
  signOut();
  expect([currentSession(), hasSignedOut()]).toEqual([undefined, true]);
});

test("a session that ends is not a person who signs out", () => {
  endSession();
  signOut();
  expect([currentSession(), hasSignedOut()]).toEqual([undefined, false]);
});

test("where the browser forbids the storage, no one is signed in", () => {
  vi.stubGlobal("sessionStorage", {
    getItem: () => {
      throw new Error("forbidden");
    },
  });
  signOut();
  endSession();
  expect([currentSession(), hasSignedOut()]).toEqual([undefined, false]);
});

test("a token says who the person is and when it ends", () => {
  const token = tokenOf({ email: "someone@mozilla.com", exp: 1_795_000_000, name: "Zoë ~ ÿÿÿ" });
  expect(readToken(token)).toEqual({ email: "someone@mozilla.com", token, endsAt: 1_795_000_000_000 });
});

test("an address outside ASCII is read", () => {
  expect(readToken(tokenOf({ email: "zoë@example.org", exp: 1 }))?.email).toBe("zoë@example.org");
});

test.each([
  ["nothing", ""],
  ["no JSON", "a.b.c"],
  ["one part", "abc"],
  ["no address", tokenOf({ exp: 1 })],
  ["an empty address", tokenOf({ email: "", exp: 1 })],
  ["no end", tokenOf({ email: "someone@mozilla.com" })],
  ["an end that is text", tokenOf({ email: "someone@mozilla.com", exp: "1" })],
  ["null", tokenOf(null)],
])("a token with %s is none", (_, token) => {
  expect(readToken(token)).toBeUndefined();
});

test.each([
  ["?code=abc&state=def", true],
  ["?error=access_denied&state=def", true],
  ["?project=try&push=1001&q=code+state", false],
  ["?code=abc", false],
  ["?state=def", false],
  ["", false],
])("whether the provider sent the person to %s: %s", (search, is) => {
  expect(isAnswer(search)).toBe(is);
});
