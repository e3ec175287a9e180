// The API's types of requests and their jobs.

import type { components } from "../api.ts";

type Schemas = components["schemas"];

/** A job of a request. */
export type RequestedJob = Schemas["RequestedJob"];

/** An action of Taskcluster that a dry run prepared. */
export type ActionPreview = Schemas["ActionPreview"];

/** An action of Taskcluster that runs labels of a request. */
export type ActionStatus = Schemas["ActionStatus"];

/** The answer to a request, or to a dry run. */
export type Triggered = Schemas["Triggered"];

/** The state of a request. */
export type TriggerRequest = Schemas["TriggerRequest"];

/** A request in a list of requests. */
export type RequestSummary = Schemas["Summary"];

/** A page of a list of requests. */
export type RequestPage = Schemas["TriggerRequests"];
