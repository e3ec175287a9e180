// How long a person has to wait after a failed request.

import { useEffect, useState } from "preact/hooks";

import { Failure } from "../client.ts";
import { pauseBefore } from "../model/pause.ts";

/** How long to wait after a failure, in milliseconds; it counts down. */
export function useWait(error: unknown): number {
  const [, setNow] = useState(0);
  const wait = waitAfter(error, Date.now());
  useEffect(() => {
    if (wait === 0) return;
    const timer = setTimeout(() => setNow(Date.now()), Math.min(wait, 1_000));
    return () => clearTimeout(timer);
  });
  return wait;
}

/** How long to wait at a time before the request that failed is made again, in milliseconds. */
export function waitAfter(error: unknown, now: number): number {
  if (!(error instanceof Failure)) return 0;
  return Math.max(0, error.at + (pauseBefore(error.retryAfter, error.at) ?? 0) - now);
}

/** `42 s`, `5 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  if (seconds <= 120) return `${seconds} s`;
  return `${Math.round(seconds / 60)} min`;
}
