// Tensors as protobuf's JSON has them: base64 of row-major, little-endian numbers.

export interface Tensor {
  dtype?: string;
  shape?: string[];
  data?: string;
  values?: (number | string)[];
}

/** Numbers in rows, row-major: `values[row * columns + column]`. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** Return a tensor's numbers, whatever their format. */
export function numbersOf(tensor: Tensor | undefined): Float64Array {
  if (tensor?.values !== undefined) return Float64Array.from(tensor.values, Number);
  const bytes = Uint8Array.from(atob(tensor?.data ?? ""), (character) => character.charCodeAt(0));
  return tensor?.dtype === "DATA_TYPE_FLOAT32"
    ? Float64Array.from(new Float32Array(bytes.buffer))
    : new Float64Array(bytes.buffer);
}

/** Return a tensor's numbers in rows; a tensor of one axis is one row. */
export function matrixOf(tensor: Tensor | undefined): Matrix {
  const values = numbersOf(tensor);
  const shape = (tensor?.shape ?? [String(values.length)]).map(Number);
  const columns = shape.at(-1) ?? 0;
  return { rows: columns === 0 ? 0 : values.length / columns, columns, values };
}

/** Return one row of a matrix; no copy. */
export function rowOf(matrix: Matrix, row: number): Float64Array {
  return matrix.values.subarray(row * matrix.columns, (row + 1) * matrix.columns);
}

/** Return a tensor of shape `[rows, columns]` for a request. */
export function tensorOf(values: ArrayLike<number>, rows: number, columns: number): Tensor {
  const bytes = new Uint8Array(Float64Array.from(values).buffer);
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += 0x8000) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  }
  return { dtype: "DATA_TYPE_FLOAT64", shape: [String(rows), String(columns)], data: btoa(pieces.join("")) };
}
