// Rows of features as the inputs of a request.

import { type Cell, type Feature, isUnknown } from "../network/features";
import { compact } from "../network/numbers";
import type { Version } from "../network/version";
import { type Tensor, tensorOf } from "./tensors";

interface Column {
  name: string;
  numbers?: { values: (number | string)[] };
  texts?: { values: string[] };
  booleans?: { values: boolean[] };
  missing?: number[];
}

export type Inputs = { tensor: Tensor } | { columns: { columns: Column[] } };

/** A value that cannot be sent as it is, because its feature has another kind. */
export class CellError extends Error {}

/** Return rows as columns by the features' names, or as a tensor where they have none. */
export function inputsOf(version: Version, rows: readonly (readonly Cell[])[]): Inputs {
  const { features } = version;
  if (version.isNamed) {
    return {
      columns: {
        columns: features.map((feature, index) =>
          columnOf(
            feature,
            rows.map((row) => row[index] ?? null),
          ),
        ),
      },
    };
  }
  const values = rows.flatMap((row) => features.map((feature, index) => numberOf(feature, row[index] ?? null)));
  return { tensor: tensorOf(values, rows.length, features.length) };
}

function columnOf(feature: Feature, cells: readonly Cell[]): Column {
  const missing = cells.flatMap((cell, index) => (cell === null ? [index] : []));
  return { name: feature.name, ...COLUMNS[feature.kind](feature, cells), ...(missing.length > 0 ? { missing } : {}) };
}

const COLUMNS: Record<Feature["kind"], (feature: Feature, cells: readonly Cell[]) => Partial<Column>> = {
  number: (feature, cells) => ({ numbers: { values: cells.map((cell) => inJson(numberOf(feature, cell))) } }),
  category: (_, cells) => ({ texts: { values: cells.map((cell) => (cell === null ? "" : String(cell))) } }),
  boolean: (feature, cells) => ({ booleans: { values: cells.map((cell) => booleanOf(feature, cell)) } }),
};

function numberOf(feature: Feature, cell: Cell): number {
  if (cell === null) return Number.NaN;
  if (typeof cell === "number") return cell;
  if (typeof cell === "boolean") return Number(cell);
  throw new CellError(`${feature.name}: “${cell}” is no number`);
}

function booleanOf(feature: Feature, cell: Cell): boolean {
  if (cell === null || cell === false || cell === 0) return false;
  if (cell === true || cell === 1) return true;
  throw new CellError(`${feature.name}: “${cell}” is neither true nor false`);
}

/** Return a number as protobuf's JSON has it. */
function inJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** Return the text of a cell of a file as the value of a feature; an empty one is missing. */
export function cellFromText(feature: Feature, text: string): Cell {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (feature.kind === "category") return trimmed;
  const word = trimmed.toLowerCase();
  if (feature.kind === "boolean" && (word === "true" || word === "false")) return word === "true";
  const number = Number(trimmed);
  return Number.isNaN(number) && word !== "nan" ? trimmed : Number.isNaN(number) ? null : number;
}

/** Return a row in a few words, for a heading. */
export function rowInWords(version: Version, row: readonly Cell[], most = 4): string {
  const words = version.features
    .slice(0, most)
    .map((feature, index) => `${feature.name} ${cellInWords(feature, row[index] ?? null)}`);
  const rest = version.features.length - words.length;
  return [...words, ...(rest > 0 ? [`${rest} more`] : [])].join(", ");
}

export function cellInWords(feature: Feature, cell: Cell): string {
  if (cell === null) return "missing";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  if (isUnknown(feature, cell)) return "unknown";
  return [typeof cell === "number" ? Number(cell.toPrecision(6)) : cell, feature.unit]
    .filter((part) => part !== "")
    .join(" ");
}

/** Return a value in as few characters as a node of a picture has room for. */
export function cellInShort(feature: Feature | undefined, cell: Cell, digits: number): string {
  if (cell === null) return "–";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  if (typeof cell === "number") return feature?.kind === "boolean" ? (cell ? "yes" : "no") : compact(cell, digits, 6);
  return feature !== undefined && isUnknown(feature, cell) ? "?" : cell;
}
