// The Python that makes the same call as the page.

import { type Cell, isUnknown } from "../network/features";
import type { Version } from "../network/version";

/** Return a program that traces a row; `target` is the server's address. */
export function pythonFor(
  version: Version,
  row: readonly Cell[],
  { target, hasToken }: { target: string; hasToken: boolean },
): string {
  const lines = ["from forwardpass import Client", ""];
  if (hasToken) lines.unshift("import os", "");
  const token = hasToken ? ', token=os.environ["FORWARDPASS_TOKEN"]' : "";
  return [
    ...lines,
    `row = ${version.isNamed ? named(version, row) : `[${row.map(literal).join(", ")}]`}`,
    `with Client(${literal(target)}${token}) as client:`,
    `    trace = client.trace(${literal(version.network)}, row, version=${version.number})`,
    "print(trace)",
    "",
  ].join("\n");
}

function named(version: Version, row: readonly Cell[]): string {
  const items = version.features.map((feature, index) => {
    const cell = row[index] ?? null;
    const comment = isUnknown(feature, cell) ? "  # none of the categories" : "";
    return `    ${literal(feature.name)}: ${literal(cell)},${comment}`;
  });
  return ["{", ...items, "}"].join("\n");
}

/** Return a value as Python writes it; texts of JSON are texts of Python. */
function literal(cell: Cell): string {
  if (cell === null) return "None";
  if (typeof cell === "boolean") return cell ? "True" : "False";
  if (typeof cell === "number") return Number.isFinite(cell) ? String(cell) : `float("${cell}")`;
  return JSON.stringify(cell);
}
