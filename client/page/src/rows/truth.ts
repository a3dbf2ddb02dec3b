// How far predictions are from a column that has the truth.

import type { Version } from "../network/version";
import type { Predictions } from "./predictions";
import type { Value } from "./table";

export interface Errors {
  /** Of a classifier 1 for a wrong row and 0 for a right one; else the absolute error. NaN where there is no truth. */
  readonly sizes: Float64Array;
  readonly isClasses: boolean;
  /** The number of rows with a truth and a prediction. */
  readonly compared: number;
  /** The number of wrong rows, or the mean absolute error. */
  readonly summary: number;
}

/** Compare predictions with a column. A class may be its label or, where no label is so called, its index. */
export function errorsOf(version: Version, predictions: Predictions, truth: readonly Value[]): Errors {
  const isClasses = predictions.labels.length > 0;
  const size = isClasses ? classError(version, predictions) : distance(predictions);
  const sizes = Float64Array.from(truth, (value, row) =>
    isMissing(value) || row >= predictions.done ? Number.NaN : size(row, value),
  );
  const known = sizes.filter((value) => !Number.isNaN(value));
  const total = known.reduce((sum, value) => sum + value, 0);
  return { sizes, isClasses, compared: known.length, summary: isClasses ? total : total / known.length };
}

type SizeOf = (row: number, truth: Value) => number;

function classError(version: Version, { labels, errors }: Predictions): SizeOf {
  return (row, truth) => {
    if (errors.has(row)) return Number.NaN;
    const text = String(truth).trim();
    const label = version.classes.includes(text) ? text : (version.classes[Number(text)] ?? text);
    return label === labels[row] ? 0 : 1;
  };
}

function distance({ outputs }: Predictions): SizeOf {
  return (row, truth) => Math.abs((outputs[row] ?? Number.NaN) - Number(truth));
}

function isMissing(value: Value): boolean {
  return value === null || value === "" || (typeof value === "number" && Number.isNaN(value));
}

export type Order = "file" | "error" | "high" | "low";

/** Return the rows in an order, those without a value last; only the wrong ones where that is wanted. */
export function orderOf(
  count: number,
  order: Order,
  { errors, node, isWrongOnly }: { errors: Errors | undefined; node: Float64Array | undefined; isWrongOnly: boolean },
): number[] {
  const rows = Array.from({ length: count }, (_, row) => row).filter(
    (row) => !isWrongOnly || (errors?.sizes[row] ?? 0) > 0,
  );
  const keys = order === "error" ? errors?.sizes : order === "file" ? undefined : node;
  if (keys === undefined) return rows;
  const sign = order === "low" ? 1 : -1;
  const key = (row: number) => {
    const value = keys[row] ?? Number.NaN;
    return Number.isNaN(value) ? Infinity : sign * value;
  };
  // Array.sort keeps the file's order of equal rows.
  return rows.sort((one, other) => (key(one) === key(other) ? 0 : key(one) - key(other)));
}
