// The pause before a request is made again.

/** In milliseconds. */
export const SHORTEST_PAUSE = 1_000;
const LONGEST_PAUSE = 3_600_000;

/** The pause before the next poll, in milliseconds; undefined once the request has ended. */
export function pauseBefore(retryAfter: string | null, now: number): number | undefined {
  if (retryAfter === null || retryAfter.trim() === "") return undefined;
  const seconds = Number(retryAfter);
  const pause = Number.isNaN(seconds) ? Date.parse(retryAfter) - now : seconds * 1_000;
  return Number.isNaN(pause) ? LONGEST_PAUSE : Math.min(Math.max(pause, SHORTEST_PAUSE), LONGEST_PAUSE);
}
