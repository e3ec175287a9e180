// The keys of the picker, as the help lists them.

export interface Key {
  /** Any of these does it. */
  readonly keys: readonly string[];
  readonly does: string;
}

export const KEYS: readonly Key[] = [
  { keys: ["/", "f"], does: "Go to the filter" },
  { keys: ["Ctrl+A", "Alt+A"], does: "Select all visible jobs" },
  { keys: ["Alt+D"], does: "Select none of the visible jobs" },
  { keys: ["Alt+I"], does: "Invert the visible jobs (outside fields)" },
  { keys: ["Alt+C"], does: "Clear the selection (outside fields)" },
  { keys: ["Arrows"], does: "Move in the grid" },
  { keys: ["Home", "End"], does: "Go to the first or last job" },
  { keys: ["Space"], does: "Select the job or the chunks, or take them out" },
  { keys: ["Enter"], does: "Open a group or chunks, or select" },
  { keys: ["s"], does: "Select the group or the platform" },
  { keys: ["o"], does: "Open or close the group or the chunks" },
  { keys: ["p", "Ctrl+Enter"], does: "Preview the request" },
  { keys: ["Esc"], does: "Go back" },
  { keys: ["?"], does: "Show this help" },
];
