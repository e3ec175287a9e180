// Presets: queries that a person saved under a name, to use them on any push.

/** A saved query. */
export interface Preset {
  readonly name: string;
  readonly query: string;
}

/** Presets as they were stored. */
export interface StoredPresets {
  readonly presets: readonly Preset[];
  /** Whether the page may overwrite them. It must not if a newer version stored them, or if they cannot be read. */
  readonly isWritable: boolean;
}

const VERSION = 1;
/** Maximum length of a name, in characters. */
export const NAME_LENGTH = 60;

/** Reads stored presets. */
export function readPresets(text: string | null): StoredPresets {
  if (text === null || text === "") return { presets: [], isWritable: true };
  try {
    const stored: unknown = JSON.parse(text);
    const { version, presets } = stored as { version?: unknown; presets?: unknown };
    if (!Array.isArray(presets)) return { presets: [], isWritable: false };
    return {
      presets: presets.filter(isPreset).map(({ name, query }) => ({ name, query })),
      isWritable: version === VERSION,
    };
  } catch {
    return { presets: [], isWritable: false };
  }
}

/** The text to store. */
export function serialisePresets(presets: readonly Preset[]): string {
  return JSON.stringify({ version: VERSION, presets });
}

/** Normalises a name; undefined if it is empty or too long. */
export function presetName(text: string): string | undefined {
  const name = text.trim().replace(/\s+/g, " ");
  return name === "" || name.length > NAME_LENGTH ? undefined : name;
}

/** Saves a preset, in the order of the names. One of the same name is replaced. */
export function savePreset(presets: readonly Preset[], preset: Preset): Preset[] {
  const others = removePreset(presets, preset.name);
  return [...others, preset].sort((one, other) => one.name.localeCompare(other.name));
}

/** Removes the preset with a name. */
export function removePreset(presets: readonly Preset[], name: string): Preset[] {
  return presets.filter((preset) => preset.name !== name);
}

function isPreset(value: unknown): value is Preset {
  if (typeof value !== "object" || value === null) return false;
  const { name, query } = value as { name?: unknown; query?: unknown };
  return typeof name === "string" && typeof query === "string" && presetName(name) === name;
}
