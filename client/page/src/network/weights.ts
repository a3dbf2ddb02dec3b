// The arrays of layers, and what each node reads by them.

import type { LayerMessage } from "../api/messages";
import { numbersOf, type Tensor } from "../api/tensors";
import { short } from "./numbers";
import { windowsOf } from "./windows";

/** What a node reads: the index of a value of its layer's input, and the weight that multiplies it where there is one. */
export interface Link {
  readonly input: number;
  readonly weight: number | undefined;
}

/** What the nodes of one layer compute. */
export interface Weights {
  /** What a node reads, for a layer that reads `inputs` values. */
  readonly links: (node: number, inputs: number) => readonly Link[];
  readonly bias: (node: number) => number;
  /** The pre-activation in words, where it is no weighted sum; `x` are the values that the node reads. */
  readonly formula: ((node: number, x: readonly number[]) => string) | undefined;
  /** Of a dense layer, all weights, row-major: a row for each node. */
  readonly matrix?: Float64Array;
  /** Of a layer that compares its values with categories, the one of a node. */
  readonly category?: (node: number) => number;
  /** All numbers that training found, for statistics. */
  readonly parameters: Float64Array;
}

const WITHOUT_BIAS = () => 0;

/** Returns the arrays of a layer of a kind. */
const KINDS: Record<string, (layer: LayerMessage) => Weights> = {
  dense(layer) {
    const weights = masked(numbersOf(layer.weights), layer.mask);
    const bias = numbersOf(layer.bias);
    return {
      links: (node, inputs) =>
        Array.from({ length: inputs }, (_, input) => ({ input, weight: weights[node * inputs + input] ?? 0 })),
      bias: (node) => bias[node] ?? 0,
      formula: undefined,
      matrix: weights,
      parameters: joined(weights, bias),
    };
  },
  scale_shift({ scaleShift: arrays }) {
    const scale = numbersOf(arrays?.scale);
    const shift = numbersOf(arrays?.shift);
    return {
      links: (node) => [{ input: node, weight: scale[node] ?? 1 }],
      bias: (node) => shift[node] ?? 0,
      formula: undefined,
      parameters: joined(scale, shift),
    };
  },
  batch_norm({ batchNorm: arrays }) {
    const [mean, variance] = [numbersOf(arrays?.mean), numbersOf(arrays?.variance)];
    const [gamma, beta] = [numbersOf(arrays?.gamma), numbersOf(arrays?.beta)];
    const factor = (node: number) => (gamma[node] ?? 1) / Math.sqrt((variance[node] ?? 0) + (arrays?.epsilon ?? 1e-5));
    return {
      links: (node) => [{ input: node, weight: factor(node) }],
      bias: (node) => (beta[node] ?? 0) - factor(node) * (mean[node] ?? 0),
      formula: undefined,
      parameters: joined(mean, variance, gamma, beta),
    };
  },
  layer_norm({ layerNorm: arrays }) {
    const [gamma, beta] = [numbersOf(arrays?.gamma), numbersOf(arrays?.beta)];
    return {
      ...same(joined(gamma, beta)),
      formula: () => "gamma × (x − mean of the row) / deviation of the row + beta",
    };
  },
  embedding({ embedding: arrays }) {
    const size = Number(arrays?.table?.shape?.at(-1) ?? 1);
    return {
      links: (node) => [{ input: Math.floor(node / size), weight: undefined }],
      bias: WITHOUT_BIAS,
      formula: (node, [x]) => `table row ${x}, column ${node % size}`,
      parameters: numbersOf(arrays?.table),
    };
  },
  one_hot({ oneHot: arrays }) {
    const [categories, indices] = [numbersOf(arrays?.categories), numbersOf(arrays?.indices)];
    return {
      links: (node) => [{ input: indices[node] ?? 0, weight: undefined }],
      bias: WITHOUT_BIAS,
      formula: (node, [x]) => `1 if ${x} equals ${categories[node]}, else 0`,
      category: (node) => categories[node] ?? Number.NaN,
      parameters: new Float64Array(),
    };
  },
  bucketize({ bucketize: arrays }) {
    const boundaries = numbersOf(arrays?.boundaries);
    return {
      ...same(boundaries),
      formula: (_, [x]) => `how many of ${boundaries.length} boundaries are at most ${x}`,
    };
  },
  lookup({ lookup: arrays }) {
    return { ...same(numbersOf(arrays?.values)), formula: (_, [x]) => `the value beside the key ${x}` };
  },
  clip({ clip: arrays }) {
    const [low, high] = [numbersOf(arrays?.low), numbersOf(arrays?.high)];
    const formula = (node: number, [x]: readonly number[]) =>
      `${x}, at least ${low[node] ?? "−∞"} and at most ${high[node] ?? "∞"}`;
    return { ...same(new Float64Array()), formula };
  },
  impute({ impute: arrays }) {
    const values = numbersOf(arrays?.values);
    return { ...same(values), formula: (node, [x]) => `${x}, or ${values[node]} where it is missing` };
  },
  dropout() {
    return { ...same(new Float64Array()), formula: (_, [x]) => `${x}: dropout happens in training only` };
  },
  take({ take: arrays }) {
    const indices = numbersOf(arrays?.indices);
    return {
      links: (node) => [{ input: indices[node] ?? 0, weight: 1 }],
      bias: WITHOUT_BIAS,
      formula: (_, [x]) => `${x}, as it is`,
      parameters: new Float64Array(),
    };
  },
  pool({ pool: arrays }) {
    const windows = numbersOf(arrays?.windows);
    const size = Number(arrays?.windows?.shape?.at(-1) ?? 1);
    return {
      links: (node) =>
        Array.from(windows.subarray(node * size, (node + 1) * size), (input) => ({ input, weight: undefined })),
      bias: WITHOUT_BIAS,
      formula: (_, x) => `${arrays?.reduce || "max"} of ${x.length} values`,
      parameters: new Float64Array(),
    };
  },
  conv({ conv = {} }) {
    const bias = numbersOf(conv.bias);
    const { links, filterOf } = windowsOf(conv);
    return {
      links,
      bias: (node) => bias[filterOf(node)] ?? 0,
      formula: undefined,
      parameters: joined(numbersOf(conv.weights), bias),
    };
  },
  matmul({ matmul: sizes }) {
    const [groups, rows] = [Number(sizes?.groups ?? 1), Number(sizes?.rows ?? 1)];
    const [inner, columns] = [Number(sizes?.inner ?? 1), Number(sizes?.columns ?? 1)];
    return {
      links(node) {
        const [row, column] = [Math.floor(node / columns), node % columns];
        const right = groups * rows * inner + Math.floor(row / rows) * inner * columns + column;
        const index = Array.from({ length: inner }, (_, at) => at);
        const both = [...index.map((at) => row * inner + at), ...index.map((at) => right + at * columns)];
        return both.map((input) => ({ input, weight: undefined }));
      },
      bias: WITHOUT_BIAS,
      formula: (_, x) => productsInWords(x.slice(0, inner), x.slice(inner)),
      parameters: new Float64Array(),
    };
  },
  elementwise({ elementwise }) {
    const expression = elementwise?.expression ?? "x";
    const names = ["x", "y", "z"].slice(
      0,
      1 + Math.max(...[..."xyz"].map((name, at) => (uses(expression, name) ? at : 0))),
    );
    return {
      links: (node, inputs) =>
        names.map((_, part) => ({ input: node + (part * inputs) / names.length, weight: undefined })),
      bias: WITHOUT_BIAS,
      formula: (_, x) =>
        `${expression} with ${names.map((name, at) => `${name} = ${short(x[at] ?? Number.NaN)}`).join(", ")}`,
      parameters: new Float64Array(),
    };
  },
  group_softmax({ groupSoftmax }) {
    return ofGroup(groupSoftmax, (x, size) => `exp(${x}) / the sum of exp of ${size} values`);
  },
  group_sparsemax({ groupSparsemax }) {
    return ofGroup(groupSparsemax, (x, size) => `max(${x} - the threshold of ${size} values, 0)`);
  },
  recurrent({ recurrent: arrays }) {
    const features = Number(arrays?.weights?.shape?.at(-1) ?? 1);
    const [units, steps] = [Number(arrays?.recurrentWeights?.shape?.at(-1) ?? 1), Number(arrays?.steps ?? 1)];
    // The cell state may follow the last step.
    const stepOf = (node: number) => Math.min(Math.floor(node / units), steps - 1);
    return {
      links: (node) =>
        Array.from({ length: features }, (_, at) => ({ input: stepOf(node) * features + at, weight: undefined })),
      bias: WITHOUT_BIAS,
      formula: (node, x) => `${arrays?.cell} of ${x.length} values at step ${stepOf(node)} and the state before it`,
      parameters: joined(
        ...[arrays?.weights, arrays?.recurrentWeights, arrays?.bias, arrays?.recurrentBias].map(numbersOf),
      ),
    };
  },
};

const SHOWN_PRODUCTS = 3;

/** Return a sum of products of two lists in words: `2 × 3 + 1 × 4`. */
function productsInWords(left: readonly number[], right: readonly number[]): string {
  const shown = left.slice(0, SHOWN_PRODUCTS).map((value, at) => `${short(value)} × ${short(right[at] ?? Number.NaN)}`);
  const more = left.length - shown.length;
  return more > 0 ? `${shown.join(" + ")} + ${more} more` : shown.join(" + ");
}

/** Return whether an expression names a variable. */
function uses(expression: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(expression);
}

/** Return the arrays of a layer of a kind; of an unknown kind, arrays by which nothing is drawn. */
export function weightsOf(kind: string, layer: LayerMessage): Weights {
  const known = KINDS[kind];
  if (known !== undefined) return known(layer);
  return { links: () => [], bias: WITHOUT_BIAS, formula: () => kind, parameters: new Float64Array() };
}

/** Arrays of a layer whose nodes each read the values of their group; `formula` gets the own one and their number. */
function ofGroup(arrays: { groups?: string } | undefined, formula: (x: string, size: number) => string): Weights {
  const groups = Number(arrays?.groups ?? 1);
  return {
    links(node, inputs) {
      const size = inputs / groups;
      const first = Math.floor(node / size) * size;
      return Array.from({ length: size }, (_, at) => ({ input: first + at, weight: undefined }));
    },
    bias: WITHOUT_BIAS,
    formula: (node, x) => formula(short(x[node % x.length] ?? Number.NaN), x.length),
    parameters: new Float64Array(),
  };
}

/** Arrays of a layer whose nodes each read the value at their own index. */
function same(parameters: Float64Array): Weights {
  return {
    links: (node) => [{ input: node, weight: undefined }],
    bias: WITHOUT_BIAS,
    formula: undefined,
    parameters,
  };
}

function masked(weights: Float64Array, mask: Tensor | undefined): Float64Array {
  if (mask === undefined) return weights;
  const counts = numbersOf(mask);
  return weights.map((weight, index) => (counts[index] === 0 ? 0 : weight));
}

function joined(...arrays: Float64Array[]): Float64Array {
  const all = new Float64Array(arrays.reduce((length, array) => length + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
