// Rows far from what is seen are drawn late: after the next frame, a few at a time. A key press draws what a person
// sees, however many rows there are.

import type { Component } from "preact";

/** A row that may be drawn late. */
export type LateRow = Component<object> & {
  /** Whether what is drawn is not what the row should show. */
  readonly isOutdated: boolean;
};

/** How far beyond the screen rows are drawn at once. */
const MARGIN = "200px";
const ROWS_A_TASK = 4;

const rows = new Map<Element, LateRow>();
const near = new Set<LateRow>();
const waiting = new Set<LateRow>();
let isScheduled = false;

const observer =
  typeof IntersectionObserver === "undefined"
    ? undefined
    : new IntersectionObserver(
        (entries) => {
          for (const { target, isIntersecting } of entries) {
            const row = rows.get(target);
            if (!row) continue;
            if (!isIntersecting) near.delete(row);
            else {
              near.add(row);
              if (row.isOutdated) row.forceUpdate();
            }
          }
        },
        { rootMargin: MARGIN },
      );

/** Whether a row is near what is seen. */
export function isNear(row: LateRow): boolean {
  return near.has(row);
}

/** Draws a row later. */
export function drawLate(row: LateRow): void {
  waiting.add(row);
  if (!isScheduled) schedule();
}

/** Begins to watch where a row is. */
export function watch(element: Element, row: LateRow): void {
  rows.set(element, row);
  observer?.observe(element);
}

/** Forgets a row. */
export function unwatch(element: Element, row: LateRow): void {
  observer?.unobserve(element);
  rows.delete(element);
  near.delete(row);
  waiting.delete(row);
}

/**
 * Draws the waiting rows that are on the screen. After a change, rows come there that were far away, or that are new:
 * the observer sees them too late for the next frame.
 */
export function drawSeen(): void {
  if (waiting.size === 0) return;
  let isAny = false;
  for (const [element, row] of rows) {
    if (!waiting.has(row)) continue;
    const { top, bottom } = element.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) continue;
    waiting.delete(row);
    if (row.isOutdated) row.forceUpdate();
    isAny = true;
  }
  // Rows that became lower bring others to the screen.
  if (isAny) queueMicrotask(drawSeen);
}

function schedule(): void {
  isScheduled = true;
  requestAnimationFrame(() => setTimeout(drawSome));
}

function drawSome(): void {
  let drawn = 0;
  for (const row of waiting) {
    waiting.delete(row);
    if (!row.isOutdated) continue;
    row.forceUpdate();
    if (++drawn === ROWS_A_TASK) break;
  }
  isScheduled = waiting.size > 0;
  if (isScheduled) setTimeout(drawSome);
}
