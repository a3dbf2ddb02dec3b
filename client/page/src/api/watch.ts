// The server's stream of changes: every network first, then each change as it happens.

import { errorOf } from "./http";
import type { NetworkMessage, StatusMessage } from "./messages";

export interface Change {
  readonly event: string;
  readonly network: NetworkMessage;
}

interface Line {
  event?: string;
  network?: NetworkMessage;
  error?: StatusMessage;
}

/** Yield changes until the stream ends. Empty lines are the server's sign of life. */
export async function* changes(token: string, signal: AbortSignal): AsyncGenerator<Change> {
  const response = await fetch("v1/networks:watch", {
    headers: token ? { authorization: `Bearer ${token}` } : {},
    signal,
  });
  if (!response.ok || response.body === null) throw errorOf(await response.json().catch(() => ({})), response.status);
  for await (const line of linesOf(response.body)) {
    const { event = "", network = {}, error }: Line = JSON.parse(line);
    if (error !== undefined) throw errorOf(error, 503);
    yield { event, network };
  }
}

/** Yield the lines of a stream that have something in them. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines.filter((line) => line.trim() !== "");
    }
  } finally {
    reader.releaseLock();
  }
}
