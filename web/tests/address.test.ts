import { expect, test } from "vitest";
import { type Address, isSamePlace, readAddress, writeAddress } from "../src/model/address.ts";

const REQUEST = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ";

test.each<[string, Address]>([
  ["", {}],
  ["?project=try", { project: "try" }],
  ["?project=try&push=1001", { project: "try", push: 1001 }],
  [
    "?project=try&push=1001&q=mochitest+%21asan+%7C+%5Etest",
    { project: "try", push: 1001, query: "mochitest !asan | ^test" },
  ],
  [`?project=mozilla-central&push=7&request=${REQUEST}`, { project: "mozilla-central", push: 7, request: REQUEST }],
  ["?requests=mine", { requests: "mine" }],
  ["?project=try&push=1001&requests=push", { project: "try", push: 1001, requests: "push" }],
])("the address %s is read and written", (search, address) => {
  expect(readAddress(search)).toEqual(address);
  expect(writeAddress(address)).toBe(search);
});

test.each([
  ["?project=a/b&push=1", {}],
  ["?project=..&push=1", {}],
  ["?push=1001", {}],
  ["?project=try&push=-1", { project: "try" }],
  ["?project=try&push=1e3", { project: "try" }],
  ["?project=try&push=99999999999999999999", { project: "try" }],
  ["?project=try&request=x", { project: "try" }],
  [`?project=try&request=${REQUEST.toLowerCase()}`, { project: "try", request: REQUEST }],
  ["?project=try&requests=push", { project: "try" }],
  ["?requests=all", {}],
  ["?project=try&q=&other=1", { project: "try" }],
  ["?q=%E0%A4%A", { query: "\ufffd%A" }],
])("the invalid parameters of %s are left out", (search, address) => {
  expect(readAddress(search)).toEqual(address);
});

test("addresses that differ only in their queries are the same place", () => {
  const one = { project: "try", push: 1, query: "a" };
  expect(isSamePlace(one, { ...one, query: "b" })).toBe(true);
  expect(isSamePlace(one, { ...one, push: 2 })).toBe(false);
});

test("a query has at most 500 characters, as in the API", () => {
  expect(readAddress(`?q=${"x".repeat(600)}`)).toEqual({ query: "x".repeat(500) });
});
