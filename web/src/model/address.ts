// The state of the page in its address: `/?project=try&push=1001&q=mochitest+linux`. With `request`, the page shows
// that request: such an address can be sent to a colleague. With `requests`, it lists requests: a person's own, or those
// on the push.

/** The state that an address holds. */
export interface Address {
  readonly project?: string;
  /** The push, by its number in Treeherder. */
  readonly push?: number;
  readonly query?: string;
  /** The id of a request. */
  readonly request?: string;
  /** A list of requests. */
  readonly requests?: "mine" | "push";
}

/** Maximum length of a query, in characters, as in the API. */
export const QUERY_LENGTH = 500;
// Not of dots alone, which are no part of a path.
const PROJECT = /^(?!\.+$)[A-Za-z0-9._-]{1,100}$/;
const REQUEST = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** Reads the query string of an address. Invalid and unknown parameters are left out. */
export function readAddress(search: string): Address {
  const parameters = new URLSearchParams(search);
  const project = parameters.get("project") ?? "";
  const push = Number(/^[1-9]\d*$/.exec(parameters.get("push") ?? "")?.[0] ?? 0);
  const query = (parameters.get("q") ?? "").slice(0, QUERY_LENGTH);
  const request = parameters.get("request")?.toUpperCase() ?? "";
  const requests = parameters.get("requests") ?? "";
  const isProject = PROJECT.test(project);
  const isPush = isProject && push > 0 && Number.isSafeInteger(push);
  return {
    ...(isProject && { project }),
    // A push is one of a project.
    ...(isPush && { push }),
    ...(query !== "" && { query }),
    ...(isProject && REQUEST.test(request) && { request }),
    ...((requests === "mine" || (requests === "push" && isPush)) && { requests }),
  };
}

/** Writes the query string of an address, with its `?`; empty without any state. */
export function writeAddress({ project, push, query, request, requests }: Address): string {
  const parameters = new URLSearchParams();
  if (project !== undefined) parameters.set("project", project);
  if (push !== undefined) parameters.set("push", String(push));
  if (query) parameters.set("q", query);
  if (request !== undefined) parameters.set("request", request);
  if (requests !== undefined) parameters.set("requests", requests);
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

/** Whether two addresses differ in the query at most. A change of the query adds no entry to the browser's history. */
export function isSamePlace(one: Address, other: Address): boolean {
  return (["project", "push", "request", "requests"] as const).every((key) => one[key] === other[key]);
}
