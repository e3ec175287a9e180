// Asks again and again: when the server says, less often after errors, and not while the tab is hidden.

import { type Answer, Failure } from "../../client.ts";
import { pauseBefore } from "../../model/pause.ts";
import { pauseAfterFailures } from "../../model/watch.ts";

/** The time, and what depends on it. */
export interface Clock {
  now(): number;
  after(milliseconds: number, run: () => void): () => void;
  isHidden(): boolean;
}

interface PollOptions<Body> {
  ask(etag: string | undefined, signal: AbortSignal): Promise<Answer<Body>>;
  /** A new answer. */
  show(body: Body): void;
  /** After each answer, also one without news: when the next one is asked for; undefined if none is. */
  next(at: number | undefined): void;
  /** A failed poll. What was shown stays valid. */
  fail(error: unknown, next: number | undefined): void;
}

/** Polls until the server says that nothing changes any more, or until an error that does not pass. */
export class Poll<Body> {
  private etag: string | undefined;
  private failures = 0;
  private due: number | undefined;
  private cancel: (() => void) | undefined;
  private abort: AbortController | undefined;
  private isStopped = false;

  constructor(
    private readonly options: PollOptions<Body>,
    private readonly clock: Clock,
  ) {}

  /** Asks at once, unless it is asking already or is stopped. */
  async ask(): Promise<void> {
    if (this.abort || this.isStopped) return;
    this.cancel?.();
    this.due = undefined;
    const abort = new AbortController();
    this.abort = abort;
    let then: () => void;
    try {
      const answer = await this.options.ask(this.etag, abort.signal);
      then = () => this.take(answer);
    } catch (error) {
      then = () => this.miss(error);
    }
    if (abort.signal.aborted) return;
    this.abort = undefined;
    then();
  }

  /** The tab was shown or hidden. */
  changeVisibility(): void {
    this.cancel?.();
    if (this.due !== undefined) this.schedule(this.due);
  }

  /** Ends the polls for good. */
  stop(): void {
    this.isStopped = true;
    this.cancel?.();
    this.due = undefined;
    this.abort?.abort();
    this.abort = undefined;
  }

  private take({ status, headers, body }: Answer<Body>): void {
    this.failures = 0;
    const pause = pauseBefore(headers.get("Retry-After"), this.clock.now());
    const at = this.schedule(pause === undefined ? undefined : this.clock.now() + pause);
    if (status !== 304) {
      this.etag = headers.get("ETag") ?? undefined;
      this.options.show(body);
    }
    this.options.next(at);
  }

  private miss(error: unknown): void {
    this.failures++;
    let at: number | undefined;
    if (!(error instanceof Failure) || error.isTemporary) {
      const retryAfter = error instanceof Failure ? error.retryAfter : null;
      at = this.schedule(this.clock.now() + pauseAfterFailures(this.failures, retryAfter, this.clock.now()));
    }
    this.options.fail(error, at);
  }

  private schedule(at: number | undefined): number | undefined {
    this.due = at;
    if (at !== undefined && !this.clock.isHidden()) {
      this.cancel = this.clock.after(Math.max(0, at - this.clock.now()), () => void this.ask());
    }
    return at;
  }
}

/** The browser's clock. */
export const BROWSER: Clock = {
  now: Date.now,
  after(milliseconds, run) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
  isHidden: () => document.hidden,
};
