import { expect, test } from "vitest";
import { matrixOf, numbersOf, rowOf, tensorOf } from "../src/api/tensors";

test("a tensor keeps every bit, also of many numbers", () => {
  const numbers = Array.from({ length: 20_000 }, (_, index) => Math.sin(index) * 10 ** (index % 300));
  numbers.push(Number.NaN, Infinity, -0, 5e-324);
  expect(numbersOf(tensorOf(numbers, 1, numbers.length))).toEqual(Float64Array.from(numbers));
});

test("float32 is read as what it is", () => {
  const data = btoa(String.fromCharCode(...new Uint8Array(Float32Array.from([0.5, -3]).buffer)));
  expect([...numbersOf({ dtype: "DATA_TYPE_FLOAT32", shape: ["2"], data })]).toEqual([0.5, -3]);
});

test("a matrix has rows", () => {
  const matrix = matrixOf(tensorOf([1, 2, 3, 4, 5, 6], 2, 3));
  expect([matrix.rows, matrix.columns]).toEqual([2, 3]);
  expect([...rowOf(matrix, 1)]).toEqual([4, 5, 6]);
});
