// Who is signed in. The library that signs in is loaded when a person signs in.

import type { Config } from "./config.ts";

/** A person who is signed in. */
export interface Session {
  readonly email: string;
  /** The ID token, which the API takes. */
  readonly token: string;
  /** When the token ends, in milliseconds since 1970. */
  readonly endsAt: number;
}

/** The person who is signed in; undefined if nobody is, or if the token has ended. */
export function currentSession(): Session | undefined {
  return undefined;
}

/** Whether the address is that to which the provider sends a person back. */
export function isReturning(): boolean {
  return false;
}

/** Sends the person to the provider. The page comes back to the same address, with everything as it is now. */
export async function signIn(_config: Config): Promise<void> {}

/** Ends a sign-in at the address to which the provider sent the person back, and restores the address from before. */
export async function completeSignIn(_config: Config): Promise<void> {}

/** Forgets the person who is signed in. */
export function signOut(): void {}
