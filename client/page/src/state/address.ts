// The state of the page in the address bar, after `#`, so that no server's log has it.

import type { Cell } from "../network/features";

export interface NodePlace {
  readonly layer: string;
  readonly node: string;
}

export type Comparison =
  | { readonly kind: "version"; readonly version: string }
  | { readonly kind: "row"; readonly row: readonly Cell[] };

export const TABS = ["rows", "compare", "versions", "table", "take"] as const;
export type Tab = (typeof TABS)[number];

export interface Address {
  readonly network: string;
  /** A number or an alias; empty for the latest version. */
  readonly version: string;
  /** A value for each feature; undefined for the values that the page begins with. */
  readonly row: readonly Cell[] | undefined;
  readonly node: NodePlace | undefined;
  readonly comparison: Comparison | undefined;
  readonly tab: Tab;
  /** Sentences on what cannot be read. */
  readonly faults?: readonly string[];
}

export function writeAddress(address: Address): string {
  const parameters = new URLSearchParams();
  const put = (name: string, value: string | undefined) => value && parameters.set(name, value);
  put("network", address.network);
  put("version", address.version);
  put("row", address.row && JSON.stringify(address.row));
  put("node", address.node && JSON.stringify([address.node.layer, address.node.node]));
  if (address.comparison?.kind === "version") put("with_version", address.comparison.version);
  if (address.comparison?.kind === "row") put("with_row", JSON.stringify(address.comparison.row));
  if (address.tab !== "rows") put("tab", address.tab);
  return `#${parameters}`;
}

/** Read what `writeAddress` wrote; what is wrong in it is left out, and of rows `faults` says so. */
export function readAddress(hash: string): Address {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const [layer, node] = list(parameters.get("node")) ?? [];
  const withRow = row(parameters.get("with_row"));
  const withVersion = parameters.get("with_version");
  const faults = [
    ...(isUnreadable(parameters.get("row")) ? ["The row in the link cannot be read; the page shows another one."] : []),
    ...(isUnreadable(parameters.get("with_row")) ? ["The row to compare with in the link cannot be read."] : []),
  ];
  const tab = TABS.find((name) => name === parameters.get("tab"));
  return {
    network: parameters.get("network") ?? "",
    version: parameters.get("version") ?? "",
    row: row(parameters.get("row")),
    node: typeof layer === "string" && typeof node === "string" ? { layer, node } : undefined,
    comparison: withVersion ? { kind: "version", version: withVersion } : withRow && { kind: "row", row: withRow },
    tab: tab ?? "rows",
    ...(faults.length > 0 ? { faults } : {}),
  };
}

function isUnreadable(text: string | null): boolean {
  return text !== null && row(text) === undefined;
}

function row(text: string | null): Cell[] | undefined {
  const values = list(text);
  const isCell = (value: unknown) => value === null || ["number", "string", "boolean"].includes(typeof value);
  return values?.every(isCell) ? (values as Cell[]) : undefined;
}

function list(text: string | null): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
