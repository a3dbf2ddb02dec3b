import { expect, test } from "vitest";
import { activationInWords, sumInWords, sumOf } from "../src/network/sums";
import type { Values } from "../src/network/values";
import { INPUTS, versionOf } from "../src/network/version";
import { tensorOf } from "../src/api/tensors";
import { weightsOf } from "../src/network/weights";
import { ARTICLE, network } from "./networks";

const VALUES: Values = {
  inputs: [2, 3],
  before: [[5, 1], [9]],
  after: [[5, 1], [9]],
  outputs: [9],
  classification: undefined,
  warnings: [],
};

test("a node's sum reads as in the article", () => {
  const sum = sumOf(ARTICLE, VALUES, 0, 0);
  expect(sumInWords(sum)).toBe("2 × 1 + 3 × 1 = 5");
  expect(activationInWords(sum)).toBe("relu → 5");
});

test("a negative value or weight keeps its sign", () => {
  expect(sumInWords(sumOf(ARTICLE, VALUES, 0, 1))).toBe("2 × −1 + 3 × 1 = 1");
  expect(sumInWords(sumOf(ARTICLE, { ...VALUES, inputs: [2, -3] }, 0, 0))).toBe("2 × 1 − 3 × 1 = 5");
});

test("an input that is not standardized is its value", () => {
  expect(sumInWords(sumOf(ARTICLE, VALUES, INPUTS, 1))).toBe("3");
});

test("a standardized input shows how", () => {
  const version = versionOf({ inputs: { width: "1", features: [{ name: "age", mean: 40, scale: 15 }] }, layers: [] });
  expect(sumInWords(sumOf(version, { ...VALUES, inputs: [1] }, INPUTS, 0))).toBe("(55 − 40) / 15 = 1");
});

test("of many products the largest are spelled out, and the rest adds up", () => {
  const names = ["a", "b", "c", "d", "e"];
  const version = network(names, [{ name: "sum", from: ["inputs"], weights: [[1, 10, 2, 20, 3]] }]);
  const sum = sumOf(version, { ...VALUES, inputs: [1, 1, 1, 1, 1], before: [[36]], after: [[36]] }, 0, 0);
  expect(sumInWords(sum, { terms: 2 })).toBe("1 × 10 + 1 × 20 + 6 (3 more) = 36");
  const terms = sum.terms.reduce((total, term) => total + term.product, 0);
  expect(terms).toBe(36);
});

test("a large product is spelled out also behind many zeros", () => {
  const names = Array.from({ length: 9 }, (_, index) => `x${index}`);
  const version = network(names, [{ name: "sum", from: ["inputs"], weights: [names.map(() => 1)] }]);
  const inputs = [0, 0, 0, 0, 0, 0, 0, 5, -7];
  const sum = sumOf(version, { ...VALUES, inputs, before: [[-2]], after: [[0]] }, 0, 0);
  expect(sumInWords(sum, { terms: 3 })).toBe("0 × 1 + 5 × 1 − 7 × 1 + 0 (6 more) = −2");
});

test("a bias stands at the end", () => {
  const version = versionOf(
    { inputs: { width: "1" }, layers: [{ name: "l", kind: "dense", width: "1", nodes: ["n"] }] },
    { layers: [{ weights: tensorOf([2], 1, 1), bias: tensorOf([-0.5], 1, 1) }] },
  );
  const sum = sumOf(version, { ...VALUES, inputs: [3], before: [[5.5]], after: [[5.5]] }, 0, 0);
  expect(sumInWords(sum)).toBe("3 × 2 − 0.5 = 5.5");
});

test("each source of a merge has its name in the sum", () => {
  const version = network(
    ["a", "b"],
    [
      { name: "left", from: ["inputs"], weights: [[1, 0]] },
      { name: "right", from: ["inputs"], weights: [[0, 1]] },
      { name: "top", from: ["left", "right"], weights: [[3]], merge: "max" },
    ],
  );
  const values = { ...VALUES, inputs: [2, 7], before: [[2], [7], [21]], after: [[2], [7], [21]] };
  const sum = sumOf(version, values, 2, 0);
  expect(sum.terms.map((term) => term.name)).toEqual(["max(left_0, right_0)"]);
  expect(sumInWords(sum)).toBe("7 × 3 = 21");
});

test("a node of a convolution reads its window, without the padding", () => {
  const conv = {
    weights: tensorOf([1, 2, 3, 4, 5, 6, 7, 8], 1, 8),
    bias: tensorOf([10], 1, 1),
    inputShape: ["2", "3", "3"],
    kernelShape: ["2", "2"],
    pads: ["1", "1", "0", "0"],
  };
  const weights = weightsOf("conv", { conv });
  expect(weights.links(0, 18)).toEqual([
    { input: 0, weight: 4 },
    { input: 9, weight: 8 },
  ]);
  expect(weights.links(4, 18)).toEqual(
    [0, 1, 3, 4, 9, 10, 12, 13].map((input, index) => ({ input, weight: index + 1 })),
  );
  expect(weights.bias(8)).toBe(10);
});

test("a node of a strided and grouped convolution reads the channels of its group", () => {
  const conv = {
    weights: tensorOf([1, 2, 3, 4], 2, 2),
    inputShape: ["2", "5"],
    kernelShape: ["2"],
    strides: ["2"],
    dilations: ["2"],
    group: "2",
  };
  const weights = weightsOf("conv", { conv });
  expect(weights.links(1, 10)).toEqual([
    { input: 2, weight: 1 },
    { input: 4, weight: 2 },
  ]);
  expect(weights.links(2, 10)).toEqual([
    { input: 5, weight: 3 },
    { input: 7, weight: 4 },
  ]);
});

test("a node of a product reads a row and a column", () => {
  const weights = weightsOf("matmul", { matmul: { groups: "2", rows: "1", inner: "2", columns: "2" } });
  expect(weights.links(3, 12).map((link) => link.input)).toEqual([2, 3, 9, 11]);
  expect(weights.formula?.(3, [1, 2, 3, 4])).toBe("1 × 3 + 2 × 4");
});

test("nodes of functions of values, of groups and of steps read their own", () => {
  const quotient = weightsOf("elementwise", { elementwise: { expression: "x / max(y, 1)" } });
  expect(quotient.links(1, 6).map((link) => link.input)).toEqual([1, 4]);
  expect(quotient.formula?.(1, [8, 2])).toBe("x / max(y, 1) with x = 8, y = 2");
  const softmax = weightsOf("group_softmax", { groupSoftmax: { groups: "2" } });
  expect(softmax.links(4, 6).map((link) => link.input)).toEqual([3, 4, 5]);
  expect(softmax.formula?.(4, [1, 2, 3])).toBe("exp(2) / the sum of exp of 3 values");
  const sparsemax = weightsOf("group_sparsemax", { groupSparsemax: { groups: "2" } });
  expect(sparsemax.links(4, 6).map((link) => link.input)).toEqual([3, 4, 5]);
  expect(sparsemax.formula?.(4, [1, 2, 3])).toBe("max(2 - the threshold of 3 values, 0)");
  const [weight, state] = [tensorOf([1, 2, 3, 4], 2, 2), tensorOf([1, 2, 3, 4], 2, 2)];
  const cell = weightsOf("recurrent", { recurrent: { weights: weight, recurrentWeights: state, cell: "rnn", steps: "3" } });
  expect(cell.links(3, 6).map((link) => link.input)).toEqual([2, 3]);
  expect(cell.formula?.(3, [1, 2])).toBe("rnn of 2 values at step 1 and the state before it");
});
