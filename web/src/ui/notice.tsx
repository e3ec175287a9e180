// Messages that stay until a person has read them.

import type { ComponentChildren } from "preact";

import { Failure } from "../client.ts";

interface NoticeProps {
  readonly kind: "error" | "warning" | "information";
  readonly children: ComponentChildren;
  /** Removes the notice. Without it, the notice stays as long as its cause. */
  readonly onDismiss?: () => void;
}

const NAMES = { error: "Error", warning: "Warning", information: "Note" };

export function Notice({ kind, children, onDismiss }: NoticeProps) {
  return (
    <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <div>
        <strong>{NAMES[kind]}:</strong> {children}
      </div>
      {onDismiss && (
        <button type="button" onClick={onDismiss}>
          Dismiss
        </button>
      )}
    </div>
  );
}

interface ErrorNoticeProps {
  readonly error: unknown;
  readonly onRetry?: () => void;
  /** The words on the button that tries again. */
  readonly retry?: string;
  readonly onDismiss?: () => void;
}

/** An error, with what can be done. */
export function ErrorNotice({ error, onRetry, retry = "Try again", onDismiss }: ErrorNoticeProps) {
  const failure = error instanceof Failure ? error : undefined;
  const [seconds, id] = [Number(failure?.retryAfter), failure?.problem.request_id];
  return (
    <Notice kind="error" {...(onDismiss && { onDismiss })}>
      {error instanceof Failure ? error.message : `The page has an error: ${String(error)}`}
      {seconds > 0 && ` Try again in ${seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`}.`}
      {typeof id === "string" && <small> (request id {id})</small>}{" "}
      {onRetry && (
        <button type="button" onClick={onRetry}>
          {retry}
        </button>
      )}
    </Notice>
  );
}
