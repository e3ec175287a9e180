// The frame of all views: the header, the address, who is signed in, and the view itself.

import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { type Config, loadConfig } from "../config.ts";
import { type Address, isSamePlace, readAddress, writeAddress } from "../model/address.ts";
import { completeSignIn, currentSession, isReturning, signIn, signOut } from "../session.ts";
import { lazy } from "./lazy.tsx";
import { Link } from "./link.tsx";
import { ErrorNotice } from "./notice.tsx";
import type { Page } from "./page.ts";
import { Picker } from "./picker/picker.tsx";

const Open = lazy(() => import("./open/open.tsx").then(({ Open }) => Open));
const Watch = lazy(() => import("./watch/watch.tsx").then(({ Watch }) => Watch));
const Requests = lazy(() => import("./watch/requests.tsx").then(({ Requests }) => Requests));

/** Fetched as early as possible. */
const FIRST_START = start();

interface Start {
  readonly config: Config;
  /** Why the sign-in failed from which the person came back. The page works without it. */
  readonly signInError: unknown;
}

async function start(): Promise<Start> {
  const config = await loadConfig();
  if (!isReturning()) return { config, signInError: undefined };
  return completeSignIn(config).then(
    () => ({ config, signInError: undefined }),
    (signInError: unknown) => ({ config, signInError }),
  );
}

export function App() {
  const [config, setConfig] = useState<Config>();
  const [error, setError] = useState<unknown>();
  const [address, setAddress] = useState(() => readAddress(location.search));
  const [session, setSession] = useState(currentSession);
  const begin = (started: Promise<Start>) =>
    started.then(({ config, signInError }) => {
      setAddress(readAddress(location.search));
      setSession(currentSession());
      setError(signInError);
      setConfig(config);
    }, setError);
  const again = () => {
    setError(undefined);
    void begin(start());
  };
  useEffect(() => {
    void begin(FIRST_START);
    const read = () => setAddress(readAddress(location.search));
    addEventListener("popstate", read);
    return () => removeEventListener("popstate", read);
  }, []);
  const page = useMemo<Page | undefined>(() => {
    if (!config) return undefined;
    const go = (next: Address) => {
      const change = isSamePlace(next, readAddress(location.search)) ? "replaceState" : "pushState";
      history[change](null, "", location.pathname + writeAddress(next));
      setAddress(next);
    };
    const leave = () => {
      signOut();
      setSession(undefined);
    };
    return { config, address, go, session, signIn: () => void signIn(config).catch(setError), signOut: leave };
  }, [config, address, session]);
  return (
    <>
      <header class="top">
        <Link class="home" to={{}} page={page}>
          Add new jobs
        </Link>
        {page && <Person page={page} />}
      </header>
      {error !== undefined && (
        <ErrorNotice error={error} {...(config ? { onDismiss: () => setError(undefined) } : { onRetry: again })} />
      )}
      <Boundary>{page ? <View page={page} /> : error === undefined && <p class="loading">Loading …</p>}</Boundary>
    </>
  );
}

/** Shows an error of the page itself in place of the view that has it. */
class Boundary extends Component<{ children: ComponentChildren }, { error?: unknown }> {
  override componentDidCatch(error: unknown): void {
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return <ErrorNotice error={error} onRetry={() => location.reload()} retry="Reload" />;
  }
}

function View({ page }: { page: Page }) {
  const { project, push, request, requests } = page.address;
  let Shown: ComponentType<{ page: Page }> = Open;
  if (requests) Shown = Requests;
  else if (request) Shown = Watch;
  else if (project && push) Shown = Picker;
  // The view that opens a push follows the project by itself, and keeps the focus.
  const key = Shown === Open ? "" : [project, push, request, requests].join(" ");
  return <Shown key={key} page={page} />;
}

function Person({ page }: { page: Page }) {
  const { session, config, address } = page;
  const { project, push } = address;
  return (
    <nav aria-label="Requests">
      {project && push && (
        <Link to={{ project, push, requests: "push" }} page={page}>
          Requests on this push
        </Link>
      )}
      {config.trigger && (
        <Link to={{ requests: "mine" }} page={page}>
          My requests
        </Link>
      )}
      {session && <span class="person">{session.email}</span>}
      {session && (
        <button type="button" onClick={page.signOut}>
          Sign out
        </button>
      )}
      {!session && config.signIn && (
        <button type="button" onClick={page.signIn}>
          Sign in
        </button>
      )}
    </nav>
  );
}
