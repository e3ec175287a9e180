// What the page cannot know: the addresses of the other services, from `config.json`.

import { getJson } from "./client.ts";

/** The page's own address, without query and fragment. All addresses of the jobs function are relative to it. */
export const BASE = new URL(".", location.href.split(/[?#]/)[0]);

export interface Config {
  /** The base of the API that takes requests; undefined where there is none. It ends with a slash. */
  readonly trigger: URL | undefined;
  /** Treeherder, without a slash at the end. */
  readonly treeherder: string;
  /** Taskcluster, without a slash at the end; undefined where none is configured. */
  readonly taskcluster: string | undefined;
  /** The provider at which people sign in; undefined where none is configured. */
  readonly signIn: { readonly issuer: string; readonly clientId: string } | undefined;
}

interface PageConfig {
  readonly trigger_url: string | null;
  readonly treeherder_url: string;
  readonly taskcluster_url: string | null;
  readonly sign_in: { readonly issuer: string; readonly client_id: string } | null;
}

/** Fetches the configuration. */
export async function loadConfig(): Promise<Config> {
  const { body } = await getJson<PageConfig>(new URL("config.json", BASE));
  const bare = (url: string) => url.replace(/\/$/, "");
  const { trigger_url: trigger, sign_in: signIn } = body;
  return {
    trigger: trigger == null ? undefined : new URL(`${bare(trigger)}/`, BASE),
    treeherder: bare(body.treeherder_url),
    taskcluster: body.taskcluster_url == null ? undefined : bare(body.taskcluster_url),
    signIn: signIn == null ? undefined : { issuer: signIn.issuer, clientId: signIn.client_id },
  };
}
