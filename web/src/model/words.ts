// Numbers and times as people read them.

const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];

/** A number of things: `1 job`, `1,204 jobs`. The plural is the word with an s, if none is given. */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** How long ago a time was; its date if that is more than a month. Both times are in seconds since 1970. */
export function age(time: number, now: number): string {
  const seconds = now - time;
  if (seconds < MINUTE) return "just now";
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 31 * DAY) return `${counted(Math.floor(seconds / DAY), "day")} ago`;
  return new Date(time * 1_000).toISOString().slice(0, 10);
}
