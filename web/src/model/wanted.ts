// What a person types to find a push: a number, a revision, an author, or an address.

import { readAddress } from "./address.ts";

/** A push, or pushes, that a person asks for. A push or a revision is of the project that is chosen, if none is named. */
export interface Wanted {
  readonly project?: string;
  /** The push, by its number in Treeherder. */
  readonly push?: number;
  /** The first characters of a revision. */
  readonly revision?: string;
  readonly author?: string;
}

const REVISION = /^[0-9a-f]{7,40}$/i;
/** Longer numbers are revisions without a letter. */
const PUSH = /^[1-9]\d{0,10}$/;

/**
 * Reads a number of a push, also as `try/1001`; a revision; an address of a push in Treeherder or in this page; or any
 * other word as an author. Undefined for an address that names nothing, and for an empty text.
 */
export function readWanted(typed: string): Wanted | undefined {
  const text = typed.trim();
  if (/^https?:\/\//i.test(text)) return readLink(text);
  const [, project, number] = /^([^/\s]+)\/(\d+)$/.exec(text) ?? [];
  if (project) return placed(project, { push: number });
  if (PUSH.test(text)) return { push: Number(text) };
  if (REVISION.test(text)) return { revision: text.toLowerCase() };
  return text === "" || /[\s/]/.test(text) ? undefined : { author: text };
}

function readLink(text: string): Wanted | undefined {
  if (!URL.canParse(text)) return undefined;
  const { search, hash } = new URL(text);
  // Treeherder's addresses once had everything behind `#/jobs?`.
  const parameters = new URLSearchParams(search || hash.slice(hash.indexOf("?") + 1));
  const get = (name: string) => parameters.get(name) ?? "";
  const revision = get("revision") || get("tochange");
  const author = get("author");
  const wanted = placed(get("repo") || get("project"), { push: get("push") });
  if (!wanted || wanted.push !== undefined) return wanted;
  if (REVISION.test(revision)) return { ...wanted, revision: revision.toLowerCase() };
  return author === "" ? wanted : { ...wanted, author };
}

/** The project and the push, if they can be ones. */
function placed(project: string, { push }: { readonly push: string }): Wanted | undefined {
  const address = readAddress(String(new URLSearchParams({ project, push })));
  const isWrong = address.project === undefined || (push !== "" && address.push === undefined);
  return isWrong ? undefined : { ...address };
}
