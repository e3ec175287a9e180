// Presets: queries that a person saved under a name.

import { useEffect, useState } from "preact/hooks";

import { NAME_LENGTH, presetName } from "../../model/presets.ts";
import { Notice } from "../notice.tsx";
import { useRefocus } from "../refocus.ts";
import "./presets.css";
import { type Change, changePresets, KEY, loadPresets } from "./store.ts";

interface PresetsProps {
  /** The query that would be saved. */
  readonly query: string;
  readonly onUse: (query: string) => void;
}

const store = () => localStorage;

export function Presets({ query, onUse }: PresetsProps) {
  const [{ presets, problem }, setLoaded] = useState(() => loadPresets(store));
  const [step, setStep] = useState<{ readonly text: string; readonly undo: Change }>();
  const [name, setName] = useState("");
  const { root, remember } = useRefocus<HTMLElement>("[data-removes]");
  useEffect(() => {
    const read = (event: StorageEvent) => {
      if (event.key === KEY || event.key === null) setLoaded(loadPresets(store));
    };
    addEventListener("storage", read);
    return () => removeEventListener("storage", read);
  }, []);

  const change = (change: Change, text?: string) => {
    const { undo, ...loaded } = changePresets(store, change);
    setLoaded(loaded);
    setStep(undo && text !== undefined ? { text, undo } : undefined);
    return undo !== undefined;
  };
  const valid = presetName(name);
  const existing = presets.find((preset) => preset.name === valid);
  const canSave = valid !== undefined && query.trim() !== "" && existing?.query !== query;
  const save = (event: Event) => {
    event.preventDefault();
    if (!canSave) return;
    if (change({ save: { name: valid, query } }, `“${valid}” is ${existing ? "replaced" : "saved"}.`)) setName("");
  };
  const remove = (name: string) => {
    remember();
    change({ remove: name }, `“${name}” is removed.`);
  };
  const undo = () => {
    if (!step) return;
    root.current?.focus();
    change(step.undo);
  };
  return (
    <section class="presets" aria-labelledby="presets-title" tabIndex={-1} ref={root}>
      <h2 id="presets-title">Presets</h2>
      {problem !== undefined && <Notice kind="warning">{problem}</Notice>}
      {presets.length === 0 && <p class="muted">A preset keeps a filter under a name, for any push.</p>}
      <ul>
        {presets.map((preset) => (
          <li key={preset.name}>
            <button type="button" class="use" onClick={() => onUse(preset.query)}>
              {preset.name} <code>{preset.query}</code>
            </button>
            <button
              type="button"
              class="take"
              data-removes
              aria-label={`Remove the preset ${preset.name}`}
              onClick={() => remove(preset.name)}
            >
              <span aria-hidden="true">×</span>
            </button>
          </li>
        ))}
      </ul>
      <p role="status" class={step ? "step" : "visually-hidden"}>
        {step && (
          <>
            {step.text}{" "}
            <button type="button" onClick={undo}>
              Undo
            </button>
          </>
        )}
      </p>
      <form onSubmit={save}>
        <label for="presets-name">Save the filter as</label>
        <div class="field">
          <input
            id="presets-name"
            maxLength={NAME_LENGTH}
            autoComplete="off"
            value={name}
            onInput={({ currentTarget }) => setName(currentTarget.value)}
          />
          <button type="submit" aria-disabled={!canSave}>
            {existing ? "Replace" : "Save"}
          </button>
        </div>
        <p class="muted">{query.trim() === "" ? "Type a filter first." : <code>{query}</code>}</p>
      </form>
    </section>
  );
}
