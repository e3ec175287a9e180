// What was sent of a selection, kept in this tab until all of it is sent. A request has a key of its own from before it
// is sent for the first time. After a lost answer it is sent as it was, with the same jobs, decision task and key, also
// if the selection has changed since: it cannot run twice.

import { requestsOf } from "../../model/selection.ts";

/** Jobs that are one request. */
export interface Batch {
  readonly names: readonly string[];
  /** The decision task whose list has the jobs. */
  readonly decisionTask: string | undefined;
  /** Whether it was sent before, and there was no answer. It may have arrived. */
  readonly isUnanswered: boolean;
  /** The id of its request, once the API has answered. */
  readonly request: string | undefined;
}

interface Kept {
  readonly key: string;
  readonly names: readonly string[];
  readonly decisionTask?: string | undefined;
  readonly request?: string;
  /** When the key was made, in milliseconds since 1970. */
  readonly at: number;
}

/** The API knows a key for a day. */
const KEPT_MILLISECONDS = 23 * 60 * 60 * 1_000;

interface Surroundings {
  /** Throws if the browser forbids the storage. */
  readonly storage: () => Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly now: () => number;
  readonly newKey: () => string;
}

const BROWSER: Surroundings = {
  storage: () => sessionStorage,
  now: Date.now,
  newKey: () => crypto.randomUUID(),
};

/** What the storage refused, by item, such as when it is full. It is kept as long as the page. */
const REFUSED = new Map<string, string>();

/** Requests on a push. */
export class Sending {
  private readonly item: string;

  /** Requests that run the jobs of a request again have a `scope` of their own: the id of that request. */
  constructor(
    project: string,
    push: number,
    scope = "",
    private readonly surroundings: Surroundings = BROWSER,
  ) {
    this.item = ["sending", project, push, ...(scope === "" ? [] : [scope])].join(".");
  }

  /**
   * The batches that send these requests. Batches that were sent before and share a job with them come first, as they
   * were sent; the requests have the other jobs.
   */
  batches(requests: readonly (readonly string[])[], decisionTask?: string): Batch[] {
    const wanted = new Set(requests.flat());
    const before = this.read().filter(({ names }) => names.some((name) => wanted.has(name)));
    const taken = new Set(before.flatMap(({ names }) => names));
    const left = before.length === 0 ? requests : requestsOf([...wanted].filter((name) => !taken.has(name)));
    return [
      ...before.map(batchOf),
      ...left.map((names) => ({ names, decisionTask, isUnanswered: false, request: undefined })),
    ];
  }

  /** The same batches, with what is known of them now. */
  renewed(batches: readonly Batch[]): Batch[] {
    const all = this.read();
    return batches.map((batch) => {
      const kept = all.find((kept) => isOf(kept, batch));
      return kept ? batchOf(kept) : { ...batch, isUnanswered: false, request: undefined };
    });
  }

  /** The key under which to send a batch: that of an earlier attempt, or a new one. It is stored. */
  key(batch: Batch): string {
    const all = this.read();
    const known = all.find((kept) => isOf(kept, batch));
    if (known) return known.key;
    const { now, newKey } = this.surroundings;
    const { names, decisionTask } = batch;
    const kept = { key: newKey(), names, decisionTask, at: now() };
    this.write([...all, kept]);
    return kept.key;
  }

  /** Notes that a batch was sent. */
  sent(batch: Batch, request: string): void {
    this.write(this.read().map((kept) => (isOf(kept, batch) ? { ...kept, request } : kept)));
  }

  /** Forgets batches: all of the selection is sent, or the API refused them. */
  forget(batches: readonly Batch[]): void {
    this.write(this.read().filter((kept) => !batches.some((batch) => isOf(kept, batch))));
  }

  private read(): Kept[] {
    const { storage, now } = this.surroundings;
    try {
      const stored: unknown = JSON.parse(REFUSED.get(this.item) ?? storage().getItem(this.item) ?? "[]");
      // An earlier version of the page stored an object.
      if (!Array.isArray(stored)) return [];
      return (stored as Kept[]).filter(({ at }) => now() - at < KEPT_MILLISECONDS);
    } catch {
      return [];
    }
  }

  private write(kept: readonly Kept[]): void {
    const text = JSON.stringify(kept);
    try {
      const storage = this.surroundings.storage();
      if (kept.length === 0) storage.removeItem(this.item);
      else storage.setItem(this.item, text);
      REFUSED.delete(this.item);
    } catch {
      REFUSED.set(this.item, text);
    }
  }
}

function batchOf({ names, decisionTask, request }: Kept): Batch {
  return { names, decisionTask, isUnanswered: request === undefined, request };
}

function isOf({ names, decisionTask }: Kept, batch: Batch): boolean {
  const { length } = names;
  if (length !== batch.names.length || decisionTask !== batch.decisionTask) return false;
  return names.every((name, place) => name === batch.names[place]);
}

/** A digest of 64 bits. */
export function digestOf(text: string): string {
  let [one, other] = [0xdeadbeef, 0x41c6ce57];
  for (let place = 0; place < text.length; place++) {
    const code = text.charCodeAt(place);
    one = Math.imul(one ^ code, 0x9e3779b1);
    other = Math.imul(other ^ code, 0x5f356495);
    one ^= other >>> 15;
  }
  return [one, other].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}
