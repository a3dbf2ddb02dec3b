import { expect, test } from "vitest";
import { markOf } from "../src/network/marks";
import { percent, short } from "../src/network/numbers";

test.each([
  ["relu", -3, 0, "dead"],
  ["relu", 2, 2, ""],
  ["leaky_relu (negative_slope=0.1)", -3, -0.3, ""],
  ["sigmoid", 9, 0.9999, "saturated"],
  ["tanh", -9, -0.9999, "saturated"],
  ["tanh", 0, 0, ""],
  ["identity", 0, 0, ""],
] as const)("%s of %d is %d: %s", (activation, before, value, mark) => {
  expect(markOf(activation, before, value)).toBe(mark);
});

test.each([
  [0.1 + 0.2, "0.3"],
  [-1.5, "−1.5"],
  [123456.789, "123500"],
  [1.23456e-7, "1.235e−7"],
  [-0, "0"],
  [Number.NaN, "NaN"],
  [-Infinity, "−∞"],
])("%d is written as %s", (value, text) => {
  expect(short(value)).toBe(text);
});

test("a probability is a percentage, with more digits near its ends", () => {
  expect([percent(0.5), percent(1), percent(0.9999), percent(0.00012)]).toEqual(["50 %", "100 %", "99.99 %", "0.01 %"]);
});
