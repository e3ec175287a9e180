// What was sent of a selection, kept in this tab until all of it is sent. A request has a key of its own from before it
// is sent for the first time: after a reload or a lost answer it is sent under the same key, and cannot run twice.

/** A part of a selection that is one request. */
export interface Batch {
  readonly names: readonly string[];
  /** Whether it was sent before, and there was no answer. It may have arrived. */
  readonly isUnanswered: boolean;
  /** The id of its request, once the API has answered. */
  readonly request: string | undefined;
}

interface Kept {
  readonly key: string;
  readonly request?: string;
  /** When the key was made, in milliseconds since 1970. */
  readonly at: number;
}

/** The API knows a key for a day. */
const KEPT_MILLISECONDS = 23 * 60 * 60 * 1_000;

interface Surroundings {
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly now: () => number;
  readonly newKey: () => string;
}

/** Requests on a push. */
export class Sending {
  private readonly item: string;
  /** What the storage refused, such as when it is full. It is kept as long as the page. */
  private refused: string | undefined;

  constructor(
    private readonly project: string,
    private readonly push: number,
    private readonly decisionTask: string | undefined,
    private readonly surroundings: Surroundings = {
      storage: sessionStorage,
      now: Date.now,
      newKey: () => crypto.randomUUID(),
    },
  ) {
    this.item = `sending.${project}.${push}`;
  }

  /** The requests, with what is known of those that were sent before. */
  batches(requests: readonly (readonly string[])[]): Batch[] {
    const kept = this.read();
    return requests.map((names) => {
      const known = kept[this.digest(names)];
      return { names, isUnanswered: known !== undefined && known.request === undefined, request: known?.request };
    });
  }

  /** The key under which to send a batch: that of an earlier attempt, or a new one. It is stored. */
  key(batch: Batch): string {
    const { now, newKey } = this.surroundings;
    const { key } = this.change(batch, (kept) => kept ?? { key: newKey(), at: now() }) as Kept;
    return key;
  }

  /** Notes that a batch was sent. */
  sent(batch: Batch, request: string): void {
    this.change(batch, (kept) => kept && { ...kept, request });
  }

  /** Forgets batches: all of the selection is sent, or the API refused them. */
  forget(batches: readonly Batch[]): void {
    for (const batch of batches) this.change(batch, () => undefined);
  }

  private change(batch: Batch, apply: (kept: Kept | undefined) => Kept | undefined): Kept | undefined {
    const all = this.read();
    const digest = this.digest(batch.names);
    const changed = apply(all[digest]);
    if (changed) all[digest] = changed;
    else delete all[digest];
    this.write(all);
    return changed;
  }

  private digest(names: readonly string[]): string {
    return digestOf(JSON.stringify([this.project, this.push, this.decisionTask ?? null, names]));
  }

  private read(): Record<string, Kept> {
    const { storage, now } = this.surroundings;
    try {
      const stored = JSON.parse(this.refused ?? storage.getItem(this.item) ?? "{}") as Record<string, Kept>;
      const isFresh = ({ at }: Kept) => now() - at < KEPT_MILLISECONDS;
      return Object.fromEntries(Object.entries(stored).filter(([, kept]) => isFresh(kept)));
    } catch {
      return {};
    }
  }

  private write(kept: Record<string, Kept>): void {
    const { storage } = this.surroundings;
    const text = JSON.stringify(kept);
    try {
      if (text === "{}") storage.removeItem(this.item);
      else storage.setItem(this.item, text);
      this.refused = undefined;
    } catch {
      this.refused = text;
    }
  }
}

/** A digest of 64 bits. If two selections had the same, the API would refuse the second one's key. */
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
