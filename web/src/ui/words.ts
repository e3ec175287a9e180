// Numbers and times in sentences.

const NUMBER = new Intl.NumberFormat("en-US");
const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** `1 job`, `1,200 jobs`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${NUMBER.format(number)} ${number === 1 ? one : many}`;
}

/** `1 job goes`, `3 jobs go`. */
export function jobs(number: number, one = "", many = one): string {
  const verb = number === 1 ? one : many;
  return `${count(number, "job")}${verb && ` ${verb}`}`;
}

/** `1,200`. */
export function digits(number: number): string {
  return NUMBER.format(number);
}

/** `26 Nov 2026, 12:00`, in the person's time zone. */
export function dateAndTime(time: string | number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : TIME.format(date);
}

/** `12:00:30`. */
export function timeOfDay(time: number): string {
  return CLOCK.format(time);
}

/** How long ago a time was; its date if that is more than a month. Both times are in seconds since 1970. */
export function age(time: number, now: number): string {
  const seconds = now - time;
  if (seconds < 60) return "just now";
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  if (seconds < 31 * 86_400) return `${count(Math.floor(seconds / 86_400), "day")} ago`;
  return new Date(time * 1_000).toISOString().slice(0, 10);
}

/** `3 succeeded, 1 failed`: the counts that are not zero. */
export function listed(counts: readonly (readonly [number, string])[]): string {
  return counts
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${NUMBER.format(number)} ${word}`)
    .join(", ");
}
