// Sends a selection as one request after another.

import { Failure } from "../../client.ts";
import { type DryRun, readPlan } from "../../model/plan.ts";
import type { Triggered } from "../../model/requests.ts";
import type { Address } from "../../model/address.ts";
import type { Page } from "../page.ts";
import { paths, send } from "../requests-client.ts";
import type { Batch, Sending } from "./sending.ts";

/** A push to which requests are sent. */
export interface Target {
  readonly page: Page;
  readonly project: string;
  readonly push: number;
}

/** Asks what a request would do. */
export async function dryRun(target: Target, batch: Batch, signal: AbortSignal): Promise<DryRun> {
  const { page, project, push } = target;
  const path = `${paths.trigger(project, push)}?dry_run=true`;
  try {
    return (await send<Triggered>(page, path, bodyOf(batch), { signal })).body;
  } catch (error) {
    const refused = refusedDryRun(error);
    if (refused) return refused;
    throw error;
  }
}

/** The dry run that an error document contains: that of a request of which all jobs are refused. */
export function refusedDryRun(error: unknown): DryRun | undefined {
  if (!(error instanceof Failure) || error.code !== "no_known_jobs") return undefined;
  const { jobs } = error.problem;
  return Array.isArray(jobs) && jobs.length > 0 ? { jobs: jobs as Triggered["jobs"] } : undefined;
}

/** Whether sending a batch has an effect: it runs a job, or its answer is missing. */
export function isSendable(batch: Batch, dryRun: DryRun | undefined): boolean {
  return batch.request !== undefined || batch.isUnanswered || !dryRun || readPlan(dryRun).requested > 0;
}

/**
 * Sends the batches that were not sent yet. Returns the ids of all requests. `sending` knows them until it forgets them:
 * that is for the view to do which shows them.
 */
export async function sendAll(
  target: Target,
  sending: Sending,
  batches: readonly Batch[],
  onBatch: (place: number) => void,
): Promise<string[]> {
  const { page, project, push } = target;
  const sent: string[] = [];
  for (const [place, batch] of batches.entries()) {
    onBatch(place);
    let { request } = batch;
    if (request === undefined) {
      const headers = { "Idempotency-Key": sending.key(batch) };
      const body = bodyOf(batch);
      try {
        const answer = await send<Triggered>(page, paths.trigger(project, push), body, { headers });
        request = answer.body.request_id ?? "";
      } catch (error) {
        if (isStoredNowhere(batch, error)) sending.forget([batch]);
        throw error;
      }
      sending.sent(batch, request);
    }
    sent.push(request);
  }
  return sent;
}

/** The place that shows these requests. */
export function placeOf({ project, push }: Pick<Target, "project" | "push">, requests: readonly string[]): Address {
  const [request] = requests;
  return requests.length === 1 && request ? { project, push, request } : { project, push, requests: "push" };
}

/** Whether it is certain that the API stored nothing. A refusal says nothing of an earlier attempt without an answer. */
function isStoredNowhere(batch: Batch, error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const isRefusal = error.status >= 400 && error.status < 500;
  return error.code === "idempotency_key_reused" || (isRefusal && !batch.isUnanswered);
}

function bodyOf({ names, decisionTask }: Batch) {
  return { requested_jobs: names, ...(decisionTask !== undefined && { decision_task_id: decisionTask }) };
}
