// How usual a value is, by the profile of its version: the distribution of every value over some rows.

import { short } from "./numbers";

/** Percentiles of this row's values; NaN where a value was not profiled. */
export interface Percentiles {
  /** The number of rows of the profile. */
  readonly rows: number;
  readonly inputs: ArrayLike<number>;
  readonly layers: readonly ArrayLike<number>[];
}

/** A value is unusual below this percentile, or as far from 100. */
const UNUSUAL = 0.5;

export function isUnusual(percentile: number): boolean {
  return percentile <= UNUSUAL || percentile >= 100 - UNUSUAL;
}

/** Return how usual a value is in a sentence; empty where that is not known. 0 and 100 are beyond all that was seen. */
export function usualInWords(percentile: number, rows: number): string {
  const count = `${rows.toLocaleString("en")} rows of the profile`;
  if (Number.isNaN(percentile)) return "";
  if (percentile === 0) return `Below all ${count}.`;
  if (percentile === 100) return `Above all ${count}.`;
  if (percentile <= UNUSUAL) return `In the lowest ${short(percentile, 2)} % of the ${count}.`;
  if (percentile >= 100 - UNUSUAL) return `In the highest ${short(100 - percentile, 2)} % of the ${count}.`;
  return `Above ${Math.round(percentile)} % of the ${count}.`;
}
