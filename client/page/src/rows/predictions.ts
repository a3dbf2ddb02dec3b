// Predictions of all rows of a file, and the values of one node over them, computed in pieces.

import type { Calls } from "../api/calls";
import { ApiError } from "../api/http";
import type { PredictResponse } from "../api/messages";
import { matrixOf, rowOf } from "../api/tensors";
import type { Cell } from "../network/features";
import { INPUTS, type Version, widthOf } from "../network/version";

const MAX_ROWS = 1000;
/** Bounds the rows of a piece for wide networks and wide layers. */
const MAX_NUMBERS = 200_000;
/** Rows of a piece in which one is rejected are sent one by one, this many in a call. */
const MAX_SINGLE_ROWS = 100;

export interface Predictions {
  readonly version: Version;
  /** The first output of each row; NaN where the row was rejected. */
  readonly outputs: Float64Array;
  /** The class of each row; empty for networks that are no classifiers. */
  readonly labels: readonly string[];
  /** Why rows were rejected, by their index. */
  readonly errors: ReadonlyMap<number, string>;
  /** The number of rows that are computed by now. */
  readonly done: number;
}

export type RowAt = (row: number) => readonly Cell[];

/** Yield the predictions of `count` rows as they grow. */
export async function* predictRows(
  calls: Calls,
  version: Version,
  rowAt: RowAt,
  count: number,
): AsyncGenerator<Predictions> {
  const outputs = new Float64Array(count).fill(Number.NaN);
  const labels: string[] = version.classes.length > 0 ? new Array(count).fill("") : [];
  const errors = new Map<number, string>();
  const put = (row: number, response: PredictResponse, index: number) => {
    outputs[row] = rowOf(matrixOf(response.outputs), index)[0] ?? Number.NaN;
    if (labels.length > 0) labels[row] = response.classifications?.[index]?.label ?? "";
  };
  for (const [start, rows] of pieces(rowAt, count, version.features.length, MAX_ROWS)) {
    try {
      const response = await calls.predict(version, rows);
      const all = matrixOf(response.outputs);
      rows.forEach((_, index) => {
        outputs[start + index] = rowOf(all, index)[0] ?? Number.NaN;
        if (labels.length > 0) labels[start + index] = response.classifications?.[index]?.label ?? "";
      });
    } catch (error) {
      if (error instanceof ApiError && error.status !== 400) throw error;
      for (const [at, few] of pieces((row) => rows[row] ?? [], rows.length, version.features.length, MAX_SINGLE_ROWS)) {
        await predictEach(
          calls,
          version,
          few,
          (index, response) => put(start + at + index, response, 0),
          (index, message) => errors.set(start + at + index, message),
        );
      }
    }
    yield { version, outputs, labels, errors, done: start + rows.length };
  }
}

async function predictEach(
  calls: Calls,
  version: Version,
  rows: readonly (readonly Cell[])[],
  onResponse: (row: number, response: PredictResponse) => void,
  onError: (row: number, message: string) => void,
): Promise<void> {
  const results = await calls.predictEach(version, rows);
  results.forEach(({ response, error, unsent }, row) => {
    if (response !== undefined) onResponse(row, response);
    else onError(row, unsent ?? error?.message ?? "The row was rejected.");
  });
}

/** Return the value of one node for each row: its activation, or of an input the value after standardization. */
export async function nodeOverRows(
  calls: Calls,
  version: Version,
  { layer, node }: { layer: number; node: number },
  rowAt: RowAt,
  count: number,
  isWanted: (row: number) => boolean,
): Promise<Float64Array> {
  const values = new Float64Array(count).fill(Number.NaN);
  const accepted = Array.from({ length: count }, (_, row) => row).filter(isWanted);
  const width = Math.max(version.features.length, widthOf(version, layer));
  const names = version.layers[layer === INPUTS ? 0 : layer]?.name ?? "";
  for (const [start, rows] of pieces((index) => rowAt(accepted[index] ?? 0), accepted.length, width, MAX_ROWS)) {
    const response = await calls.trace(version, rows, [names]);
    const all = matrixOf(layer === INPUTS ? response.inputs : response.layers?.[0]?.activation);
    rows.forEach((_, index) => {
      values[accepted[start + index] ?? 0] = rowOf(all, index)[node] ?? Number.NaN;
    });
  }
  return values;
}

function* pieces(rowAt: RowAt, count: number, width: number, most: number): Generator<[number, (readonly Cell[])[]]> {
  const size = Math.max(1, Math.min(most, Math.floor(MAX_NUMBERS / Math.max(1, width))));
  for (let start = 0; start < count; start += size) {
    yield [start, Array.from({ length: Math.min(size, count - start) }, (_, index) => rowAt(start + index))];
  }
}
