import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const FOLDER = new URL("../src/model/", import.meta.url);
const SOURCES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, text: readFileSync(new URL(name, FOLDER), "utf8") }));

test("the model imports nothing but itself and the types of the API", () => {
  const imports = SOURCES.flatMap(({ text }) => [...text.matchAll(/ from "([^"]+)"/g)].map(([, path]) => path));
  expect(imports.length).toBeGreaterThan(10);
  expect(imports.filter((path) => path !== "../api.ts" && !/^\.\/[a-z]+\.ts$/.test(path))).toEqual([]);
});

test("the model knows no page, no network, no clock and no chance", () => {
  const outside = /\b(document|window|localStorage|sessionStorage|fetch|setTimeout|Date\.now|Math\.random)\b\(?/;
  for (const { name, text } of SOURCES) {
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    expect(outside.exec(code)?.[0], name).toBeUndefined();
  }
});
