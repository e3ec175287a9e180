// Platforms as people know them: the titles and the order of the grid's rows.

/** How a platform is shown. */
export interface PlatformTitle {
  readonly title: string;
  /**
   * The place of the title among all titles, from the top; -1 for a platform without a title, which stands above all.
   */
  readonly position: number;
}

/** Platforms without builds and tests: their rows do not show `opt`. */
const WITHOUT_OPT = new Set([
  "devedition-release",
  "diff",
  "doc",
  "fennec-beta",
  "fennec-release",
  "firefox-release",
  "gecko-decision",
  "lint",
  "packages",
  "taskcluster-images",
  "thunderbird-release",
  "toolchains",
]);

/** Words for kinds of builds: titles with them do not show the option. */
const BUILD_IN_TITLE = /Shippable|DevEdition|asan|tsan|ccov|nightlyasrelease/i;

/** The title of the row of jobs without a platform. */
const NO_PLATFORM = "No platform";

/** The titles of all platforms. */
export class Platforms {
  private readonly titles: ReadonlyMap<string, PlatformTitle>;

  /** `table` is the text of `platform-titles.table`. */
  constructor(table: string) {
    this.titles = read(table);
  }

  /** The title of a platform, or its name if it has none. */
  title(platform: string): PlatformTitle {
    return this.titles.get(platform.replace(/-qr$/, "")) ?? { title: platform, position: -1 };
  }
}

/** The title of a row: the platform's title, and the option unless the title implies it. */
export function rowTitle(platform: string, title: string, option: string): string {
  const isClear = BUILD_IN_TITLE.test(title) || (option === "opt" && WITHOUT_OPT.has(platform));
  return [title || NO_PLATFORM, isClear ? "" : option].filter(Boolean).join(" ");
}

function read(table: string): Map<string, PlatformTitle> {
  const variants = new Map<string, string>();
  const positions = new Map<string, number>();
  const titles = new Map<string, PlatformTitle>();
  const add = (platform: string, title: string) => {
    const position = positions.get(title) ?? positions.size;
    if (titles.has(platform)) throw new Error(`platform-titles.table: ${platform} is there twice`);
    positions.set(title, position);
    titles.set(platform, { title, position });
  };
  for (const line of table.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [title = "", platforms = "", named = ""] = line.split("|").map((column) => column.trim());
    if (title.startsWith("= ")) {
      variants.set(platforms, title.slice(2));
      continue;
    }
    for (const platform of platforms.split(" ")) add(platform, title);
    for (const variant of named.split(" ").filter(Boolean)) {
      const suffix = variants.get(variant);
      if (suffix === undefined) throw new Error(`platform-titles.table: ${variant} is not a variant`);
      for (const platform of platforms.split(" ")) add(`${platform}-${variant}`, `${title} ${suffix}`);
    }
  }
  return titles;
}
