// How long ago something was.

import { age } from "./words.ts";

/** A time in seconds since 1970. It does not count on by itself. */
export function Age({ time }: { time: number }) {
  const date = new Date(time * 1_000);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {age(time, Date.now() / 1_000)}
    </time>
  );
}
