// HTTP as the page needs it: JSON, conditional requests, and failures that a person can read.

/** The API's error document (RFC 9457). */
export interface ProblemDocument {
  readonly title?: string;
  readonly detail?: string;
  readonly code?: string;
  readonly request_id?: string;
}

/** An answer with a body of JSON, or a 304 without one. */
export interface Answer<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** A request that failed, for any reason. The message is a sentence for people. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** When it failed, in milliseconds since 1970. */
  readonly at = Date.now();

  constructor(
    message: string,
    /** The status of the answer; 0 if there is none. */
    readonly status: number,
    /** The API's code of the error; empty if it has none. */
    readonly code: string,
    /** The members of the error document. */
    readonly problem: Readonly<Record<string, unknown>> = {},
    /** The header `Retry-After`. */
    readonly retryAfter: string | null = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** How long a request may take. */
const TIMEOUT_MILLISECONDS = 30_000;

/** Gets JSON. A 304 is an answer without a body. */
export const getJson = requestJson;

/** A part of the page that cannot be loaded, such as after a deployment. */
export function partIsMissing(): Failure {
  return new Failure("A part of this page cannot be loaded. Reload the page: nothing is lost.", 0, "");
}

/** Makes a request of any method, and reads the JSON of its answer. */
export async function requestJson<Body>(url: URL | string, init: RequestInit = {}): Promise<Answer<Body>> {
  const { host } = new URL(url, location.href);
  const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, { ...init, signal });
    text = response.status === 304 ? "" : await response.text();
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const why = timeout.aborted ? "does not answer in time" : "cannot be reached";
    throw new Failure(`${host} ${why}. Check the connection and try again.`, 0, "");
  }
  if (response.status === 304) return { status: 304, headers: response.headers, body: undefined as Body };
  const body = parsed(text);
  if (response.ok && body !== undefined) {
    return { status: response.status, headers: response.headers, body: body as Body };
  }
  throw failure(host, response, body);
}

function failure(host: string, response: Response, body: unknown): Failure {
  const { status, headers } = response;
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const detail = [problem.detail, problem.title].find((text) => typeof text === "string" && text !== "");
  const message = response.ok
    ? `${host} answers something that is not JSON.`
    : `${host} answers with status ${status}.`;
  const code = typeof problem.code === "string" ? problem.code : "";
  return new Failure((detail as string | undefined) ?? message, status, code, problem, headers.get("Retry-After"));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
