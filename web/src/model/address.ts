// The state of the page in its address: `/?project=try&push=1001&q=mochitest+linux`. With `request`, the page shows
// that request: such an address can be sent to a colleague.

/** The state that an address holds. */
export interface Address {
  readonly project?: string;
  /** The push, by its number in Treeherder. */
  readonly push?: number;
  readonly query?: string;
  /** The id of a request. */
  readonly request?: string;
}

const PROJECT = /^[A-Za-z0-9._-]{1,100}$/;
const REQUEST = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** Reads the query string of an address. Invalid and unknown parameters are left out. */
export function readAddress(search: string): Address {
  const parameters = new URLSearchParams(search);
  const project = parameters.get("project") ?? "";
  const push = Number(/^[1-9]\d*$/.exec(parameters.get("push") ?? "")?.[0] ?? 0);
  const query = parameters.get("q") ?? "";
  const request = parameters.get("request")?.toUpperCase() ?? "";
  const isProject = PROJECT.test(project);
  return {
    ...(isProject && { project }),
    // A push is one of a project.
    ...(isProject && push > 0 && Number.isSafeInteger(push) && { push }),
    ...(query !== "" && { query }),
    ...(isProject && REQUEST.test(request) && { request }),
  };
}

/** Writes the query string of an address, with its `?`; empty without any state. */
export function writeAddress({ project, push, query, request }: Address): string {
  const parameters = new URLSearchParams();
  if (project !== undefined) parameters.set("project", project);
  if (push !== undefined) parameters.set("push", String(push));
  if (query) parameters.set("q", query);
  if (request !== undefined) parameters.set("request", request);
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

/** Whether two addresses differ in the query at most. A change of the query adds no entry to the browser's history. */
export function isSamePlace(one: Address, other: Address): boolean {
  return one.project === other.project && one.push === other.push && one.request === other.request;
}
