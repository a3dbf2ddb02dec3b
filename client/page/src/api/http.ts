// Requests to the server's JSON API, which stands beside the page.

import type { StatusMessage } from "./messages";

/** A call that failed: the server's sentence, and the name of its reason where it has one. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(message: string, status: number, reason = "") {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
  }

  /** Whether the server wants a token, or another one. */
  get isUnauthenticated(): boolean {
    return this.status === 401;
  }

  /** Whether the token lacks the scope of the method. */
  get isDenied(): boolean {
    return this.status === 403;
  }

  /** Whether the server has no such method, as an older one. */
  get isAbsentMethod(): boolean {
    return this.status === 501 || this.status === 405 || (this.status === 404 && this.reason === "");
  }
}

export type Send = <Response>(path: string, body?: unknown) => Promise<Response>;

/** Return what sends a GET, or with a body a POST, with the token of that moment. */
export function sender(token: () => string): Send {
  return async (path, body) => {
    const headers: Record<string, string> = {};
    if (token()) headers.authorization = `Bearer ${token()}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const request: RequestInit = { headers };
    if (body !== undefined) Object.assign(request, { method: "POST", body: JSON.stringify(body) });
    let response: Response;
    try {
      response = await fetch(path, request);
    } catch {
      throw new ApiError("The server cannot be reached.", 0);
    }
    const content = await response.json().catch(() => ({}));
    if (response.ok) return content;
    throw errorOf(content, response.status);
  };
}

/** What a person does where a program sends metadata. */
const NO_TOKEN = "This server needs a token that it knows: enter one at the top of the page.";

/** Return the error that a status tells of. */
export function errorOf(content: StatusMessage, status: number): ApiError {
  const info = content.details?.find((detail) => detail["@type"]?.endsWith("google.rpc.ErrorInfo"));
  if (status === 401) return new ApiError(NO_TOKEN, status, info?.reason ?? "");
  return new ApiError(content.message || `The server returned HTTP ${status}.`, status, info?.reason ?? "");
}
