// The calls that the page makes; none of them changes anything.

import type { Cell } from "../network/features";
import { type Version, versionOf } from "../network/version";
import type { Send } from "./http";
import type {
  NetworkMessage,
  PredictResponse,
  SpecMessage,
  StatusMessage,
  TraceResponse,
  VersionMessage,
} from "./messages";
import { inputsOf } from "./rows";

/** A version with more weights than this is read without them: its edges are not drawn. */
const MAX_PARAMETERS = 2_000_000;
const PAGE_SIZE = 500;
const TOP_K = 5;

interface GetNetworkResponse {
  network?: NetworkMessage;
  version?: VersionMessage;
  spec?: SpecMessage;
}

export type PredictResult = { response?: PredictResponse; error?: StatusMessage };

export interface Calls {
  networks(): Promise<NetworkMessage[]>;
  versions(network: string): Promise<VersionMessage[]>;
  /** Return a version by its number or an alias; the latest where that is empty. */
  version(network: string, version: string): Promise<Version>;
  predict(version: Version, rows: readonly (readonly Cell[])[]): Promise<PredictResponse>;
  /** Predict each row on its own: a row that is rejected leaves the others alone. */
  predictEach(version: Version, rows: readonly (readonly Cell[])[]): Promise<PredictResult[]>;
  trace(version: Version, rows: readonly (readonly Cell[])[], layers?: readonly string[]): Promise<TraceResponse>;
}

export function callsBy(send: Send): Calls {
  const path = (network: string) => `v1/networks/${encodeURIComponent(network)}`;
  const which = (version: Version) => ({ version: String(version.number) });
  const topK = (version: Version) => (version.classes.length > 0 ? { topK: TOP_K } : {});
  return {
    networks: () => everyPage(send, "v1/networks", "networks"),
    versions: (network) => everyPage(send, `${path(network)}/versions`, "versions"),
    async version(network, version) {
      const place = version ? `${path(network)}/versions/${encodeURIComponent(version)}` : path(network);
      const basic = await send<GetNetworkResponse>(place);
      const message = basic.version ?? {};
      if (Number(message.parameterCount ?? 0) > MAX_PARAMETERS || message.corrupt) return versionOf(message);
      const number = message.version ?? "";
      const full = await send<GetNetworkResponse>(`${path(network)}/versions/${number}?view=NETWORK_VIEW_FULL`).catch(
        () => basic,
      );
      return versionOf(full.version ?? message, full.spec);
    },
    predict: (version, rows) =>
      send(`${path(version.network)}:predict`, { ...which(version), ...topK(version), ...inputsOf(version, rows) }),
    async predictEach(version, rows) {
      const requests = rows.map((row) => ({
        network: version.network,
        ...which(version),
        ...inputsOf(version, [row]),
      }));
      const { results = [] } = await send<{ results?: PredictResult[] }>("v1/networks:predictMany", { requests });
      return results;
    },
    trace: (version, rows, layers = []) =>
      send(`${path(version.network)}:trace`, {
        ...which(version),
        ...topK(version),
        layers,
        ...inputsOf(version, rows),
      }),
  };
}

async function everyPage<Item>(send: Send, path: string, field: string): Promise<Item[]> {
  const items: Item[] = [];
  let token = "";
  do {
    const query = new URLSearchParams({ pageSize: String(PAGE_SIZE), ...(token ? { pageToken: token } : {}) });
    const page = await send<Record<string, unknown>>(`${path}?${query}`);
    items.push(...((page[field] as Item[] | undefined) ?? []));
    token = String(page.nextPageToken ?? "");
  } while (token !== "");
  return items;
}
