// Who is signed in, in this tab. The library that signs in is loaded when a person signs in, and on the way back.

import { partIsMissing } from "./client.ts";
import type { Config } from "./config.ts";

/** A person who is signed in. */
export interface Session {
  readonly email: string;
  /** The ID token, which the API takes. */
  readonly token: string;
  /** When the token ends, in milliseconds since 1970. */
  readonly endsAt: number;
}

/** The items of the tab's storage: the token, the query string to come back to, and whether to choose an account. */
export const [TOKEN, ADDRESS, CHOOSE] = ["sign-in.token", "sign-in.address", "sign-in.choose"];
/** A token that ends this soon would end on its way. In milliseconds. */
const MARGIN = 5_000;

/** The address to which the provider sent the person, until the sign-in is completed. */
let returned = typeof location === "undefined" ? undefined : leaveReturnAddress();

/** The person who is signed in; undefined without a sign-in, or once the token has ended. */
export function currentSession(): Session | undefined {
  const session = readToken(stored(TOKEN));
  return session && isValid(session) ? session : undefined;
}

/** Whether a token can still be used. */
export function isValid({ endsAt }: Session): boolean {
  return endsAt - MARGIN > Date.now();
}

/** Whether the provider sent the person back, and the sign-in is not completed yet. */
export function isReturning(): boolean {
  return returned !== undefined;
}

/** Sends the person to the provider. The page comes back to the same address, with everything as it is now. */
export async function signIn(config: Config): Promise<void> {
  const { begin } = await library();
  location.assign(await begin(config));
}

/** Ends a sign-in for which the provider sent the person back. The address is the one from before, also after an error. */
export async function completeSignIn(config: Config): Promise<void> {
  const url = returned;
  returned = undefined;
  if (url === undefined) return;
  const { complete } = await library();
  await complete(config, url);
}

/** Forgets the person, who wants to leave. Views then remove what is that person's. */
export function signOut(): void {
  if (stored(TOKEN) === "") return;
  endSession();
  sessionStorage.setItem(CHOOSE, "1");
}

/** Forgets a token that has ended, or that the API refuses. Views keep what they show. */
export function endSession(): void {
  if (stored(TOKEN) !== "") sessionStorage.removeItem(TOKEN);
}

/** Whether the person signed out, or an account was refused: the next sign-in asks which account to use. */
export function hasSignedOut(): boolean {
  return stored(CHOOSE) !== "";
}

/** Reads what an ID token says of a person; undefined if it is none. The API checks the token, not the page. */
export function readToken(token: string): Session | undefined {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { email, exp } = JSON.parse(new TextDecoder().decode(bytes)) as { email?: unknown; exp?: unknown };
    if (typeof email !== "string" || email === "" || typeof exp !== "number") return undefined;
    return { email, token, endsAt: exp * 1_000 };
  } catch {
    return undefined;
  }
}

/** Whether the query string of an address is the provider's answer. */
export function isAnswer(search: string): boolean {
  const parameters = new URLSearchParams(search);
  return parameters.has("state") && (parameters.has("code") || parameters.has("error"));
}

/** Takes the provider's answer out of the address and the history, before anything else reads them. */
function leaveReturnAddress(): string | undefined {
  if (!isAnswer(location.search)) return undefined;
  const url = location.href;
  history.replaceState(null, "", location.pathname + stored(ADDRESS));
  return url;
}

/** A text of this tab; empty where there is none, or where the browser keeps none. */
function stored(name: string): string {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function library(): Promise<typeof import("./oidc.ts")> {
  return import("./oidc.ts").catch(() => {
    throw partIsMissing();
  });
}
