// Views that are loaded when they are shown for the first time.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { partIsMissing } from "../client.ts";
import { ErrorNotice } from "./notice.tsx";

/** A component that loads another and shows it. The same import is made once. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  return function Lazy(props: Props) {
    const [, setLoaded] = useState(() => loaded);
    const [error, setError] = useState<unknown>();
    useEffect(() => {
      if (loaded) return;
      load().then(
        (component) => {
          loaded = component;
          setLoaded(() => component);
        },
        () => setError(partIsMissing()),
      );
    }, []);
    if (error !== undefined) return <ErrorNotice error={error} onRetry={() => location.reload()} retry="Reload" />;
    const Loaded = loaded;
    return Loaded ? <Loaded {...props} /> : <p class="loading">Loading …</p>;
  };
}
