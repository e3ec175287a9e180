// What the picker keeps for the life of a tab, so that a reload or a sign-in loses nothing.

const key = (what: string, project: string, push: number) => `${what} ${project} ${push}`;

/** Reads what is kept for a push. */
export function recall(what: string, project: string, push: number): string | null {
  try {
    return sessionStorage.getItem(key(what, project, push));
  } catch {
    return null;
  }
}

/** Keeps a text for a push, or removes it. Returns false if the browser refuses, such as when its storage is full. */
export function keep(what: string, project: string, push: number, text: string | null): boolean {
  try {
    if (text === null) sessionStorage.removeItem(key(what, project, push));
    else sessionStorage.setItem(key(what, project, push), text);
    return true;
  } catch {
    return false;
  }
}
