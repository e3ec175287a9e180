// The table of queries that every implementation of the grammar passes.

import { readFileSync } from "node:fs";

interface Cases {
  readonly lines: string[];
  readonly cases: {
    readonly query: string;
    /** The places of the lines that match. */
    readonly hits: number[];
    /** False if fzf finds other lines. */
    readonly fzf?: boolean;
  }[];
}

const FILE = new URL("../../../tests/data/query-cases.json", import.meta.url);

export const CASES = JSON.parse(readFileSync(FILE, "utf8")) as Cases;
