// Moves of the keyboard focus in the grid. One button of the grid is in the tab order; arrows move from it to others.

const STOPS = "button, input";

/** The element to which a key moves the focus; undefined if the key does not move it. */
export function target(grid: HTMLElement, from: HTMLElement, event: KeyboardEvent): HTMLElement | undefined {
  const row = from.closest<HTMLElement>("[role=row]");
  if (!row) return undefined;
  const { key, ctrlKey } = event;
  switch (key) {
    case "ArrowLeft":
    case "ArrowRight":
      return beside(stops(row), from, key === "ArrowLeft" ? -1 : 1) ?? sideways(row, key);
    case "ArrowUp":
    case "ArrowDown":
      return lineBeside(row, from, key === "ArrowDown");
    case "Home":
      return stops(ctrlKey ? grid : row).at(0);
    case "End":
      return stops(ctrlKey ? grid : row).at(-1);
    default:
      return undefined;
  }
}

/** All elements that can have the focus. */
export function stops(within: Element): HTMLElement[] {
  return [...within.querySelectorAll<HTMLElement>(STOPS)];
}

function beside(all: readonly HTMLElement[], from: HTMLElement, step: number): HTMLElement | undefined {
  const place = all.indexOf(from);
  return all[place + step];
}

function sideways(row: HTMLElement, key: string): HTMLElement | undefined {
  if (key === "ArrowLeft") return row.previousElementSibling ? stops(row.previousElementSibling).at(-1) : undefined;
  return row.nextElementSibling ? stops(row.nextElementSibling).at(0) : undefined;
}

/** The nearest element on the line below or above, which may be one of the next row. */
function lineBeside(row: HTMLElement, from: HTMLElement, isDown: boolean): HTMLElement | undefined {
  const here = from.getBoundingClientRect();
  const isBeyond = ({ top, bottom }: DOMRect) => (isDown ? top >= here.bottom - 2 : bottom <= here.top + 2);
  const next = isDown ? row.nextElementSibling : row.previousElementSibling;
  const [own, others] = [placed(row).filter(({ box }) => isBeyond(box)), next ? placed(next) : []];
  const candidates = own.length > 0 ? own : others;
  const edges = candidates.map(({ box }) => (isDown ? box.top : -box.bottom));
  const edge = Math.min(...edges);
  const line = candidates.filter((_, place) => edges[place] < edge + here.height / 2);
  const middle = ({ left, right }: DOMRect) => (left + right) / 2;
  const distance = (box: DOMRect) => Math.abs(middle(box) - middle(here));
  line.sort((one, other) => distance(one.box) - distance(other.box));
  return line.at(0)?.element;
}

function placed(within: Element): { element: HTMLElement; box: DOMRect }[] {
  return stops(within).map((element) => ({ element, box: element.getBoundingClientRect() }));
}
