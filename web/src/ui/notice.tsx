// Messages that stay until a person has read them.

import type { ComponentChildren } from "preact";

import { Failure } from "../client.ts";
import { Action } from "./action.tsx";
import { duration, useWait } from "./wait.ts";

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

export interface ErrorNoticeProps {
  readonly error: unknown;
  readonly onRetry?: () => void;
  /** The words on the button that tries again. */
  readonly retry?: string;
  readonly onDismiss?: () => void;
}

/** An error, with what can be done. The button works once the time that the service asks for is over. */
export function ErrorNotice({ error, onRetry, retry = "Try again", onDismiss }: ErrorNoticeProps) {
  const wait = useWait(error);
  const failure = error instanceof Failure ? error : undefined;
  const id = failure?.problem.request_id;
  return (
    <Notice kind="error" {...(onDismiss && { onDismiss })}>
      {failure?.message ?? `The page has an error: ${String(error)}`}
      {typeof id === "string" && <small> (request id {id})</small>}{" "}
      {onRetry && (
        <Action isOff={wait > 0} onClick={onRetry}>
          {retry}
          {/* Hidden, or a screen reader would say each second. */}
          {wait > 0 && <span aria-hidden="true"> in {duration(wait)}</span>}
        </Action>
      )}
    </Notice>
  );
}
