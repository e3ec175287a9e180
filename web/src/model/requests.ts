// What the API says of requests and of their jobs.

import type { components } from "../api.ts";

type Schemas = components["schemas"];

/** What became of a job after it was forwarded. */
export interface JobOutcome {
  /** `unscheduled`, `pending`, `running`, `completed` or `not_seen`. */
  readonly state: string;
  /** Treeherder's word for the result of a completed job. */
  readonly result?: string;
  readonly task_id?: string;
  readonly job_id?: number;
  readonly url?: string;
  readonly since: string;
}

/** A job of a request. */
export type RequestedJob = Schemas["RequestedJob"] & {
  readonly destination?: string;
  readonly outcome?: JobOutcome;
};

/** An action of Taskcluster that a dry run prepared. */
export interface ActionPreview {
  readonly hook: string;
  readonly labels: readonly string[];
  readonly input_bytes: number;
  readonly also_starts: readonly string[];
}

/** An action of Taskcluster that runs labels of a request. */
export interface ActionStatus {
  readonly number: number;
  readonly state: string;
  readonly hook: string;
  readonly jobs: number;
  readonly task_id: string | null;
  readonly url: string | null;
  readonly called_at: string;
}

/** How many jobs of a request are how far; rejected jobs are not counted. */
export interface ProgressCounts {
  readonly waiting: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
}

/** The answer to a request, or to a dry run. */
export type Triggered = Schemas["Triggered"] & {
  readonly jobs: readonly RequestedJob[];
  readonly actions?: readonly ActionPreview[];
};

/** The state of a request. */
export type TriggerRequest = Schemas["TriggerRequest"] & {
  readonly jobs: readonly RequestedJob[];
  readonly actions?: readonly ActionStatus[];
  readonly progress?: ProgressCounts;
  readonly finished_at?: string | null;
};
