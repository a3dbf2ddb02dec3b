// A file of rows: columns of values by name.

import { cellFromText } from "../api/rows";
import type { Cell } from "../network/features";
import type { Version } from "../network/version";

/** A value in a file: a text in CSV, any of these in Parquet; null is missing. */
export type Value = string | number | boolean | null;

export interface Table {
  readonly name: string;
  readonly columns: ReadonlyMap<string, readonly Value[]>;
  readonly count: number;
}

/** Where a version's features stand in a table. */
export interface Mapping {
  readonly columns: readonly (readonly Value[])[];
  /** The features of which the table has no column. */
  readonly absent: readonly string[];
  /** The columns that are no feature, one of which may be the truth. */
  readonly others: readonly string[];
}

/** Return the columns of a version's features: by their names, or in the table's order where they have none. */
export function mappingOf(version: Version, table: Table): Mapping {
  const names = [...table.columns.keys()];
  const used = version.isNamed
    ? version.features.map((feature) => feature.name)
    : names.slice(0, version.features.length);
  const absent = version.features
    .map((feature) => feature.name)
    .filter((_, index) => !table.columns.has(used[index] ?? ""));
  return {
    columns: used.map((name) => table.columns.get(name) ?? []),
    absent,
    others: names.filter((name) => !used.includes(name)),
  };
}

/** Return one row of a table as the values of a version's features. */
export function cellsAt(version: Version, mapping: Mapping, row: number): Cell[] {
  return version.features.map((feature, index) => {
    const value = mapping.columns[index]?.[row] ?? null;
    return typeof value === "string" ? cellFromText(feature, value) : numeric(value);
  });
}

/** Parquet's NaN is a missing value, as null is. */
function numeric(value: Exclude<Value, string>): Cell {
  return typeof value === "number" && Number.isNaN(value) ? null : value;
}
