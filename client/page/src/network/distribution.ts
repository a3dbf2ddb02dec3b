// How values are spread: bins for a histogram, and quantiles for a table.

import { bin, quantileSorted } from "d3-array";

export interface Distribution {
  readonly count: number;
  readonly bins: readonly { readonly low: number; readonly high: number; readonly count: number }[];
  /** By the share of values below: the smallest is 0, the median 0.5. */
  readonly quantiles: readonly (readonly [number, number])[];
  /** The share of values that are exactly 0. */
  readonly zeros: number;
}

const SHARES = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1];

/** Return the distribution of the finite values, or undefined where there are none. */
export function distributionOf(values: ArrayLike<number>, bins = 24): Distribution | undefined {
  const sorted = [...Float64Array.from(values).filter(Number.isFinite).sort()];
  const [low, high] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined) return undefined;
  const edges = Array.from({ length: bins - 1 }, (_, index) => low + ((index + 1) * (high - low)) / bins);
  const found = bin<number, number>()
    .domain([low, high])
    .thresholds(low === high ? [] : edges)(sorted);
  return {
    count: sorted.length,
    bins: found.map((values) => ({ low: values.x0 ?? low, high: values.x1 ?? high, count: values.length })),
    quantiles: SHARES.map((share) => [share, quantileSorted(sorted, share) ?? Number.NaN] as const),
    zeros: sorted.filter((value) => value === 0).length / sorted.length,
  };
}

/** Return the share of values that are smaller, plus half of those that are the same. */
export function percentileOf(values: ArrayLike<number>, value: number): number {
  let [below, same, count] = [0, 0, 0];
  for (let index = 0; index < values.length; index++) {
    const other = values[index] ?? Number.NaN;
    if (Number.isNaN(other)) continue;
    count += 1;
    if (other < value) below += 1;
    else if (other === value) same += 1;
  }
  return (below + same / 2) / count;
}
