// The values of one row: what a trace found in every node.

import type { ClassificationMessage, TraceResponse } from "../api/messages";
import { type Matrix, matrixOf, rowOf } from "../api/tensors";
import type { Percentiles } from "./usual";
import { INPUTS, type Version } from "./version";

/** The values of one row. A layer that was not traced has none. */
export interface Values {
  /** The inputs after standardization. */
  readonly inputs: ArrayLike<number>;
  readonly before: readonly ArrayLike<number>[];
  readonly after: readonly ArrayLike<number>[];
  readonly outputs: ArrayLike<number>;
  readonly classification: ClassificationMessage | undefined;
  readonly warnings: readonly string[];
  /** How usual the values are, where the version has a profile. */
  readonly percentiles?: Percentiles;
}

const NOTHING: ArrayLike<number> = [];

/** Return one row of a trace. */
export function valuesOf(version: Version, trace: TraceResponse, row = 0): Values {
  const layers = new Map(trace.layers?.map((layer) => [layer.name, layer]));
  const traced = version.layers.map((layer) => layers.get(layer.name));
  const numbers = (matrix: Matrix) => (matrix.rows > row ? rowOf(matrix, row) : NOTHING);
  const percentiles = trace.percentiles && {
    rows: Number(trace.percentiles.rows ?? 0),
    inputs: numbers(matrixOf(trace.percentiles.inputs)),
    layers: (trace.percentiles.layers ?? []).map((layer) => numbers(matrixOf(layer))),
  };
  return {
    inputs: numbers(matrixOf(trace.inputs)),
    before: traced.map((layer) => numbers(matrixOf(layer?.preActivation))),
    after: traced.map((layer) => numbers(matrixOf(layer?.activation))),
    outputs: numbers(matrixOf(trace.outputs)),
    classification: trace.classifications?.[row],
    warnings: (trace.warnings ?? [])
      .filter((warning) => Number(warning.row ?? 0) === row)
      .map((warning) => warning.message ?? ""),
    ...(percentiles ? { percentiles } : {}),
  };
}

/** Return a node's value: its activation, or an input after standardization; NaN where it was not traced. */
export function valueAt(values: Values, layer: number, node: number): number {
  return (layer === INPUTS ? values.inputs[node] : values.after[layer]?.[node]) ?? Number.NaN;
}

/** Return the percentile of a node's value in the version's profile; NaN where there is none. */
export function percentileAt({ percentiles }: Values, layer: number, node: number): number {
  return (layer === INPUTS ? percentiles?.inputs[node] : percentiles?.layers[layer]?.[node]) ?? Number.NaN;
}

export interface Origin {
  readonly layer: number;
  readonly node: number;
}

/** Returns one value from those that a merge puts together. */
const MERGES: Record<string, (values: readonly number[]) => number> = {
  sum: (values) => values.reduce((total, value) => total + value, 0),
  mean: (values) => values.reduce((total, value) => total + value, 0) / values.length,
  multiply: (values) => values.reduce((product, value) => product * value, 1),
  max: (values) => Math.max(...values),
};

/** Return the number of values that a layer reads. */
export function inputsOf(version: Version, layer: number): number {
  const { sources = [], merge = "" } = version.layers[layer] ?? {};
  if (isElementwise(merge)) return sources[0]?.width ?? 0;
  return sources.reduce((total, source) => total + source.width, 0);
}

/** Return the nodes from which a layer has the value that it reads at an index; several where it merges them. */
export function originsOf(version: Version, layer: number, input: number): readonly Origin[] {
  const { sources = [], merge = "" } = version.layers[layer] ?? {};
  if (isElementwise(merge)) return sources.map((source) => ({ layer: source.layer, node: source.start + input }));
  let start = 0;
  for (const source of sources) {
    if (input < start + source.width) return [{ layer: source.layer, node: source.start + input - start }];
    start += source.width;
  }
  return [];
}

/** Return the value that a layer reads at an index. */
export function mergedValue(version: Version, values: Values, layer: number, input: number): number {
  const read = originsOf(version, layer, input).map((origin) => valueAt(values, origin.layer, origin.node));
  const merge = MERGES[version.layers[layer]?.merge ?? ""];
  return read.length > 1 && merge !== undefined ? merge(read) : (read[0] ?? Number.NaN);
}

function isElementwise(merge: string): boolean {
  return merge in MERGES;
}
