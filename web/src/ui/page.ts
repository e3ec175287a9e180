// What all views get.

import type { Config } from "../config.ts";
import type { Address } from "../model/address.ts";
import type { Session } from "../session.ts";

export interface Page {
  readonly config: Config;
  readonly address: Address;
  /** Shows another address. One that differs only in its query adds no entry to the browser's history. */
  readonly go: (address: Address) => void;
  readonly session: Session | undefined;
  /** Sends the person to sign in, and comes back to the same address. */
  readonly signIn: () => void;
  /**
   * Forgets the person who is signed in. Views remove what is that person's, unless the session's token has ended before
   * (`endSession`): then they keep what they show.
   */
  readonly signOut: () => void;
}
