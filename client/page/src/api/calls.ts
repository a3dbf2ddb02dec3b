// The calls that the page makes; none of them changes anything.

import type { Cell } from "../network/features";
import { type Version, versionOf } from "../network/version";
import type { Send } from "./http";
import type {
  ExplainResponse,
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

export interface PredictResult {
  response?: PredictResponse;
  error?: StatusMessage;
  /** Why a row was not even sent. */
  unsent?: string;
}

/** How an output is divided among the inputs, by Captum's names. */
export const METHODS = [
  "integrated_gradients",
  "shapley_values",
  "feature_ablation",
  "input_x_gradient",
  "gradient",
] as const;
export type Method = (typeof METHODS)[number];

const WITHOUT_BASELINE: readonly Method[] = ["input_x_gradient", "gradient"];
/** Enough for a picture, at a small part of the work. */
const COMPLETENESS = 1e-3;

export interface Calls {
  networks(): Promise<NetworkMessage[]>;
  versions(network: string): Promise<VersionMessage[]>;
  /** Return a version by its number or an alias; the latest where that is empty. */
  version(network: string, version: string): Promise<Version>;
  predict(version: Version, rows: readonly (readonly Cell[])[]): Promise<PredictResponse>;
  /** Predict each row on its own: a row that is rejected leaves the others alone. */
  predictEach(version: Version, rows: readonly (readonly Cell[])[]): Promise<PredictResult[]>;
  trace(version: Version, rows: readonly (readonly Cell[])[], layers?: readonly string[]): Promise<TraceResponse>;
  /** Divide the outputs of a row, or its chosen class, among the inputs; the baseline is another row, or the means. */
  explain(version: Version, row: readonly Cell[], method: Method, baseline?: readonly Cell[]): Promise<ExplainResponse>;
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
      const found: PredictResult[] = rows.map(() => ({}));
      const requests: unknown[] = [];
      const places: number[] = [];
      rows.forEach((row, index) => {
        try {
          requests.push({ network: version.network, ...which(version), ...inputsOf(version, [row]) });
          places.push(index);
        } catch (error) {
          found[index] = { unsent: error instanceof Error ? error.message : String(error) };
        }
      });
      if (requests.length === 0) return found;
      const { results = [] } = await send<{ results?: PredictResult[] }>("v1/networks:predictMany", { requests });
      results.forEach((result, index) => {
        found[places[index] ?? 0] = result;
      });
      return found;
    },
    trace: (version, rows, layers = []) =>
      send(`${path(version.network)}:trace`, {
        ...which(version),
        ...topK(version),
        ...inputsOf(version, rows),
        layers,
        ...(version.profileRows > 0 ? { percentiles: true } : {}),
      }),
    explain: (version, row, method, baseline) =>
      send(`${path(version.network)}:explain`, {
        ...which(version),
        ...inputsOf(version, [row]),
        method: `ATTRIBUTION_METHOD_${method.toUpperCase()}`,
        ...(WITHOUT_BASELINE.includes(method)
          ? {}
          : { baseline: baseline ? inputsOf(version, [baseline]) : { standard: "STANDARD_BASELINE_MEANS" } }),
        ...(method === "integrated_gradients" ? { tolerance: COMPLETENESS } : {}),
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
