// How the states and results of runs are shown: by a sign and a word, and by a colour as in Treeherder.

export interface Mark {
  /** A sign in front of the symbol of a job. */
  readonly sign: string;
  readonly word: string;
}

const MARKS: Readonly<Record<string, Mark>> = {
  success: { sign: "✓", word: "succeeded" },
  testfailed: { sign: "✗", word: "failed tests" },
  busted: { sign: "!", word: "busted" },
  exception: { sign: "▲", word: "ended by an exception" },
  retry: { sign: "↻", word: "was retried" },
  usercancel: { sign: "⊘", word: "was cancelled" },
  superseded: { sign: "»", word: "was superseded" },
  skipped: { sign: "–", word: "was skipped" },
  running: { sign: "▸", word: "is running" },
  pending: { sign: "…", word: "is pending" },
  unscheduled: { sign: "○", word: "is not scheduled" },
};

/** The mark of a state or a result. Treeherder adds new ones at times. */
export function markOf(status: string): Mark {
  return MARKS[status] ?? { sign: "•", word: status };
}
