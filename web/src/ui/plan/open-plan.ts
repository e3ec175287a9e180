// Whether the plan of a push is open in this tab: it opens again after a reload, and after a sign-in.

const ITEM = "plan.open";

/** Whether the plan of this push was open when the page was left. */
export function wasPlanOpen(project: string, push: number): boolean {
  return sessionStorage.getItem(ITEM) === nameOf(project, push);
}

/** Notes that the plan of this push is open. */
export function notePlanOpen(project: string, push: number): void {
  sessionStorage.setItem(ITEM, nameOf(project, push));
}

/** Notes that no plan is open. */
export function notePlanClosed(): void {
  sessionStorage.removeItem(ITEM);
}

function nameOf(project: string, push: number): string {
  return `${project}/${push}`;
}
