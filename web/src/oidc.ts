// Sign-in by OpenID Connect: the authorization code flow with PKCE, by redirect.

import { ErrorResponse, OidcClient, WebStorageStateStore } from "oidc-client-ts";

import { Failure } from "./client.ts";
import { BASE, type Config } from "./config.ts";
import { ADDRESS, CHOOSE, hasSignedOut, isValid, readToken, TOKEN } from "./session.ts";

/** The address of the provider's page at which the person signs in. */
export async function begin(config: Config): Promise<string> {
  try {
    const client = clientOf(config);
    await client.clearStaleState();
    // Without a prompt, the provider would sign in the account of before.
    const { url } = await client.createSigninRequest(hasSignedOut() ? { prompt: "select_account" } : {});
    sessionStorage.setItem(ADDRESS, location.search);
    return url;
  } catch (error) {
    throw explained(config, error);
  }
}

/** Stores the ID token, for the address to which the provider sent the person back. */
export async function complete(config: Config, url: string): Promise<void> {
  try {
    const { id_token: token = "" } = await clientOf(config).processSigninResponse(url);
    const session = readToken(token);
    if (!session) {
      sessionStorage.setItem(CHOOSE, "1");
      throw failed("The sign-in provider gave no e-mail address. Sign in with another account.");
    }
    sessionStorage.removeItem(CHOOSE);
    if (!isValid(session)) throw failed(ENDED);
    sessionStorage.setItem(TOKEN, token);
  } catch (error) {
    if (isDenied(error)) sessionStorage.setItem(CHOOSE, "1");
    throw explained(config, error);
  }
}

const ENDED = "The sign-in has ended already, by this computer's clock. Correct its date and time, then sign in again.";

/** Whether the provider refused the account, so that another one may sign in. */
function isDenied(error: unknown): boolean {
  return error instanceof ErrorResponse && error.error === "access_denied";
}

function clientOf({ signIn }: Config): OidcClient {
  if (!signIn) throw new Failure("This installation has no sign-in. Its operator can configure one.", 0, "no_sign_in");
  return new OidcClient({
    authority: signIn.issuer,
    client_id: signIn.clientId,
    redirect_uri: BASE.href,
    response_type: "code",
    scope: "openid email",
    loadUserInfo: false,
    requestTimeoutInSeconds: 30,
    // The state is that of this tab, as the session is.
    stateStore: new WebStorageStateStore({ store: sessionStorage, prefix: "sign-in.state." }),
  });
}

/** What went wrong and what to do, in sentences for people. */
function explained({ signIn }: Config, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const host = signIn ? new URL(signIn.issuer).host : "The sign-in provider";
  return failed(sentence(host, error));
}

function failed(message: string): Failure {
  return new Failure(message, 0, "sign_in_failed");
}

function sentence(host: string, error: unknown): string {
  if (error instanceof ErrorResponse) {
    const reason = ` The reason is: ${(error.error_description || error.error || "nothing").replace(/[.\s]+$/, "")}.`;
    switch (error.error) {
      case "access_denied":
        return `${host} did not sign you in: access was denied.${reason} Nothing is lost; sign in again, or with another account.`;
      case "invalid_grant":
        return "The sign-in took too long, or was used already. Sign in again.";
      default:
        return `${host} refused the sign-in.${reason} Sign in again; if that fails too, ask the operator of this page.`;
    }
  }
  if (error instanceof DOMException && /^(Security|QuotaExceeded)Error$/.test(error.name)) {
    return "This browser does not let the page store a sign-in. Allow it, or clear the storage, then sign in again.";
  }
  const message = error instanceof Error ? error.message : String(error);
  if (/state/i.test(message)) {
    return "This tab did not start the sign-in, or no longer knows of it. Sign in again from this page.";
  }
  if (/secure context|crypto/i.test(message)) {
    return "Sign-in needs a secure connection. Open this page by https.";
  }
  if (error instanceof TypeError || /timed out|fetch|network/i.test(message)) {
    return `${host} cannot be reached. Check the connection, then sign in again.`;
  }
  return `${host} answered something unexpected (${message}). Sign in again; if that fails too, ask the operator of this page.`;
}
