// Parts that the plan, the watched request and the lists of requests share.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { hasSignedOut } from "../session.ts";
import { Action } from "./action.tsx";
import { ErrorNotice, type ErrorNoticeProps, Notice } from "./notice.tsx";
import type { Page } from "./page.ts";
import "./parts.css";
import { needsSignIn } from "./requests-client.ts";
import { dateAndTime, digits } from "./words.ts";

/** A folded list shows this many entries. */
const FOLDED = 20;
const MORE = 1_000;

interface FoldedProps<Entry> {
  readonly entries: readonly Entry[];
  readonly keyOf: (entry: Entry) => string;
  readonly show: (entry: Entry) => ComponentChildren;
  readonly class?: string;
}

/** A list that shows its first entries, and the others on demand. */
export function Folded<Entry>({ entries, keyOf, show, class: name = "" }: FoldedProps<Entry>) {
  const [shown, setShown] = useState(FOLDED);
  const list = useRef<HTMLUListElement>(null);
  const more = (next: number) => {
    const first = shown;
    setShown(next);
    // The button may disappear: the keyboard goes on at the first new entry.
    requestAnimationFrame(() => (list.current?.children[first] as HTMLElement | undefined)?.focus());
  };
  const fewer = () => {
    setShown(FOLDED);
    // The button disappears, and may be far below: the keyboard goes on at the last entry that is left.
    requestAnimationFrame(() => (list.current?.children[FOLDED - 1] as HTMLElement | undefined)?.focus());
  };
  const isAlmostAll = entries.length - shown <= MORE;
  return (
    <>
      <ul class={`entries ${name}`} ref={list}>
        {entries.slice(0, shown).map((entry) => (
          <li key={keyOf(entry)} tabIndex={-1}>
            {show(entry)}
          </li>
        ))}
      </ul>
      {entries.length > shown && (
        <button type="button" onClick={() => more(isAlmostAll ? entries.length : shown + MORE)}>
          {isAlmostAll
            ? `Show all ${digits(entries.length)}`
            : `Show ${digits(MORE)} more of ${digits(entries.length)}`}
        </button>
      )}
      {shown > FOLDED && (
        <button type="button" onClick={fewer}>
          Show the first {FOLDED} only
        </button>
      )}
    </>
  );
}

interface SignInProps {
  readonly page: Page;
  /** What a person has to sign in for: `to see requests`. */
  readonly why: string;
  /** Whether the person was signed in until now. */
  readonly hasEnded?: boolean;
}

/** Offers to sign in. */
export function SignIn({ page, why, hasEnded = false }: SignInProps) {
  const [isLeaving, setLeaving] = useState(false);
  // An error while leaving is shown above the view; this view then offers to sign in again.
  useEffect(() => {
    if (!isLeaving) return;
    const timer = setTimeout(() => setLeaving(false), 5_000);
    return () => clearTimeout(timer);
  }, [isLeaving]);
  // The button that a person used last may be gone.
  const offer = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (hasEnded) offer.current?.focus();
  }, [hasEnded]);
  const leave = () => {
    setLeaving(true);
    page.signIn();
  };
  if (!page.config.signIn) {
    return (
      <Notice kind="warning">Sign in {why}. But this installation has no sign-in: its operator can set one up.</Notice>
    );
  }
  return (
    <div class="sign-in" tabIndex={-1} ref={offer}>
      <p>
        {hasEnded && "Your sign-in has ended. "}Sign in {why}. You come back to this place, and nothing is lost.
      </p>
      <Action class="primary" isOff={isLeaving} onClick={leave}>
        {isLeaving ? "Leaving to sign in …" : "Sign in"}
      </Action>
    </div>
  );
}

interface RequestErrorProps extends ErrorNoticeProps {
  readonly page: Page;
  /** What a person has to sign in for, if that is what is missing. */
  readonly why: string;
}

/** A failed request of a person: an error, or an offer to sign in. */
export function RequestError({ page, why, ...rest }: RequestErrorProps) {
  if (needsSignIn(rest.error) && !page.session) return <SignIn page={page} why={why} hasEnded />;
  return <ErrorNotice {...rest} />;
}

/** Whether the sign-in of a person ended while this view was shown; not after a person signed out. */
export function useHasEnded(page: Page): boolean {
  const wasSignedIn = useRef(false);
  if (page.session) wasSignedIn.current = true;
  return wasSignedIn.current && !page.session && !hasSignedOut();
}

/** A time, in the person's time zone. */
export function Time({ at }: { at: string }) {
  return <time dateTime={at}>{dateAndTime(at)}</time>;
}

/** A message that a screen reader says once it changes. */
export function Live({ children }: { children: string }) {
  return (
    <p class="visually-hidden" role="status" aria-atomic="true">
      {children}
    </p>
  );
}

/** Whether a view is shown; false for what ends after the person left it. */
export function useIsShown(): { readonly current: boolean } {
  const isShown = useRef(true);
  useEffect(() => {
    isShown.current = true;
    return () => {
      isShown.current = false;
    };
  }, []);
  return isShown;
}

/** A heading that takes the focus when its view is shown. */
export function useFocus<Element extends HTMLElement>() {
  const element = useRef<Element>(null);
  useEffect(() => element.current?.focus({ preventScroll: true }), []);
  return element;
}

/** Sets the title of the page while a view is shown. */
export function useTitle(title: string) {
  useEffect(() => {
    const before = document.title;
    document.title = title;
    return () => {
      document.title = before;
    };
  }, [title]);
}
