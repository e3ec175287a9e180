// The keys, and the grammar of the filter.

import { useEffect, useRef } from "preact/hooks";

import "./help.css";
import { KEYS } from "./keys.ts";

interface Rule {
  readonly query: string;
  readonly means: string;
}

const GRAMMAR: readonly Rule[] = [
  { query: "mochitest linux", means: "has both words, anywhere" },
  { query: "mochitest | reftest", means: "has one of the words" },
  { query: "!asan", means: "does not have the word" },
  { query: "^test-linux", means: "the label begins so" },
  { query: "debug$", means: "ends so; the option stands at the end" },
  { query: "!^build", means: "signs go together: does not begin so" },
  { query: "Linux", means: "a word with capitals is taken exactly" },
  { query: "windows\\ 11", means: "a backslash keeps a blank within a word" },
];

/** Shows the help until it is closed. The focus returns to where it was. */
export function Help({ onClose }: { readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (!shown?.open) shown?.showModal();
    return () => shown?.close();
  }, []);
  const close = () => dialog.current?.close();
  return (
    <dialog
      class="help-dialog"
      aria-labelledby="help-title"
      ref={dialog}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && close()}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div>
        <div class="heading">
          <h2 id="help-title">Help</h2>
          <button type="button" onClick={close}>
            Close
          </button>
        </div>
        <div class="tables">
          <table>
            <caption>Keys</caption>
            <tbody>
              {KEYS.map(({ keys, does }) => (
                <tr key={does}>
                  <th scope="row">{keys.map((key, place) => [place > 0 && " or ", <kbd key={key}>{key}</kbd>])}</th>
                  <td>{does}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <table>
            <caption>Filter</caption>
            <tbody>
              {GRAMMAR.map(({ query, means }) => (
                <tr key={query}>
                  <th scope="row">
                    <code>{query}</code>
                  </th>
                  <td>{means}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p class="muted">
          A filter is compared with a job’s label, symbol, group, platform and option, in this order. The grammar is
          that of <code>fzf -e</code> and <code>mach try fuzzy</code>.
        </p>
      </div>
    </dialog>
  );
}
