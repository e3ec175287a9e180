// The API that takes requests: its addresses, the signed-in person's token, and what a refused token means.

import { type Answer, Failure, getJson, requestJson } from "../client.ts";
import type { Config } from "../config.ts";
import { currentSession, endSession } from "../session.ts";
import type { Page } from "./page.ts";

/** The paths of the API. */
export const paths = {
  trigger: (project: string, push: number) => `/api/project/${part(project)}/push/${push}/trigger_runnable_jobs/`,
  request: (project: string, request: string) => `/api/project/${part(project)}/trigger_requests/${part(request)}/`,
  ofPush: (project: string, push: number) => `/api/project/${part(project)}/push/${push}/trigger_requests/`,
  mine: () => "/api/trigger_requests/?requester=me",
};

/** The address of a path that the API gave, or that `paths` made. The API may be served below a path. */
export function within({ trigger }: Pick<Config, "trigger">, path: string): URL {
  if (!trigger) throw new Failure("Jobs cannot be run here: this installation takes no requests.", 0, "no_requests");
  return new URL(`.${path}`, trigger);
}

/** Gets JSON as the signed-in person. */
export function ask<Body>(page: Page, path: string, init: RequestInit = {}): Promise<Answer<Body>> {
  return signed(page, init, (init) => getJson<Body>(within(page.config, path), init));
}

/** Posts JSON as the signed-in person. */
export function send<Body>(page: Page, path: string, content: unknown, init: RequestInit = {}): Promise<Answer<Body>> {
  const headers = new Headers(init.headers);
  headers.set("Content-Type", "application/json");
  const post = { ...init, method: "POST", headers, body: JSON.stringify(content) };
  return signed(page, post, (init) => requestJson<Body>(within(page.config, path), init));
}

/** Whether a person has to sign in before the same request can succeed. */
export function needsSignIn(error: unknown): boolean {
  return error instanceof Failure && error.status === 401;
}

async function signed<Body>(
  page: Page,
  init: RequestInit,
  request: (init: RequestInit) => Promise<Answer<Body>>,
): Promise<Answer<Body>> {
  const session = currentSession();
  if (!session) {
    end(page);
    throw new Failure("Your sign-in has ended. Sign in again: nothing is lost.", 401, "sign_in_needed");
  }
  const headers = new Headers(init.headers);
  headers.set("Authorization", `Bearer ${session.token}`);
  try {
    return await request({ ...init, headers });
  } catch (error) {
    if (needsSignIn(error)) end(page);
    throw error;
  }
}

/** The sign-in has ended: without its token, the person is not one who signs out. */
function end(page: Page): void {
  endSession();
  page.signOut();
}

function part(text: string): string {
  return encodeURIComponent(text);
}
