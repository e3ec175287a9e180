import { beforeEach, expect, test } from "vitest";
import { type Answer, Failure } from "../src/client.ts";
import { type Clock, Poll } from "../src/ui/watch/poll.ts";

type Step = Answer<string> | Failure;

let steps: Step[];
let asked: { at: number; etag: string | undefined }[];
let said: string[];
let clock: TestClock;
let poll: Poll<string>;

class TestClock implements Clock {
  time = 0;
  hidden = false;
  private timers: { at: number; run: () => void }[] = [];

  now = () => this.time;
  isHidden = () => this.hidden;

  after(milliseconds: number, run: () => void) {
    const timer = { at: this.time + milliseconds, run };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  }

  /** Lets the time pass, with everything that happens in it. */
  async pass(seconds: number) {
    const end = this.time + seconds * 1_000;
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
      if (!next) break;
      this.time = next.at;
      this.timers = this.timers.filter((timer) => timer !== next);
      next.run();
      await settled();
    }
    this.time = end;
  }
}

const settled = () => new Promise((done) => setImmediate(done));

function answer(status: number, retryAfter: string | null, body = "", etag = `"${body}"`): Step {
  const headers = new Headers({ ...(retryAfter !== null && { "Retry-After": retryAfter }), ETag: etag });
  return { status, headers, body };
}

beforeEach(() => {
  [steps, asked, said, clock] = [[], [], [], new TestClock()];
  poll = new Poll<string>(
    {
      async ask(etag) {
        asked.push({ at: clock.time / 1_000, etag });
        const step = steps.shift() ?? new Failure("Nothing more.", 500, "");
        if (step instanceof Failure) throw step;
        return step;
      },
      show: (body) => said.push(body),
      next: (at) => said.push(at === undefined ? "end" : `next ${at / 1_000}`),
      fail: (error, at) => said.push(`${(error as Failure).message} ${at === undefined ? "end" : at / 1_000}`),
    },
    clock,
  );
});

const times = () => asked.map(({ at }) => at);

test("polls come when the API says, with the tag of the last answer, until it says no more", async () => {
  steps = [answer(200, "2", "one"), answer(304, "10"), answer(200, null, "two")];
  await poll.ask();
  await clock.pass(1_000);
  expect(asked).toEqual([
    { at: 0, etag: undefined },
    { at: 2, etag: '"one"' },
    { at: 12, etag: '"one"' },
  ]);
  expect(said).toEqual(["one", "next 2", "next 12", "two", "end"]);
});

test("errors that pass are tried again, less and less often, and as the API says", async () => {
  const busy = new Failure("Busy.", 503, "", {}, "60");
  const lost = new Failure("Lost.", 0, "");
  steps = [answer(200, "2", "one"), lost, lost, busy, answer(304, "2"), lost, answer(200, null, "two")];
  await poll.ask();
  await clock.pass(1_000);
  expect(times()).toEqual([0, 2, 4, 8, 68, 70, 72]);
  expect(said).toEqual(["one", "next 2", "Lost. 4", "Lost. 8", "Busy. 68", "next 70", "Lost. 72", "two", "end"]);
});

test("an error that does not pass ends the polls, until a person asks", async () => {
  steps = [new Failure("Unknown.", 404, ""), answer(200, null, "one")];
  await poll.ask();
  await clock.pass(1_000);
  expect(said).toEqual(["Unknown. end"]);
  await poll.ask();
  expect(said).toEqual(["Unknown. end", "one", "end"]);
});

test("a hidden tab does not poll, and catches up when it is shown", async () => {
  steps = [answer(200, "10", "one"), answer(304, "10"), answer(304, null)];
  await poll.ask();
  await clock.pass(5);
  clock.hidden = true;
  poll.changeVisibility();
  await clock.pass(95);
  expect(times()).toEqual([0]);
  clock.hidden = false;
  poll.changeVisibility();
  await clock.pass(1);
  expect(times()).toEqual([0, 100]);
  // Shown before the time has come: as planned.
  clock.hidden = true;
  poll.changeVisibility();
  clock.hidden = false;
  poll.changeVisibility();
  await clock.pass(60);
  expect(times()).toEqual([0, 100, 110]);
});

test("asking by hand replaces the planned poll, and one is under way at a time", async () => {
  steps = [answer(200, "60", "one"), answer(304, "60"), answer(304, null)];
  await poll.ask();
  await clock.pass(5);
  await Promise.all([poll.ask(), poll.ask()]);
  await clock.pass(1_000);
  expect(times()).toEqual([0, 5, 65]);
});

test("once stopped, nothing is asked or said", async () => {
  steps = [answer(200, "2", "one"), answer(200, "2", "two")];
  await poll.ask();
  poll.stop();
  await clock.pass(100);
  expect(times()).toEqual([0]);
  expect(said).toEqual(["one", "next 2"]);
});

test("an answer that comes once the polls are stopped is not shown", async () => {
  steps = [answer(200, "2", "one")];
  const late = poll.ask();
  poll.stop();
  await late;
  expect(times()).toEqual([0]);
  expect(said).toEqual([]);
});

test("stopped polls stay stopped when they are asked for, or the tab is shown", async () => {
  steps = [answer(200, "2", "one"), answer(200, "2", "two")];
  await poll.ask();
  poll.stop();
  await poll.ask();
  poll.changeVisibility();
  await clock.pass(100);
  expect(times()).toEqual([0]);
  expect(said).toEqual(["one", "next 2"]);
});
