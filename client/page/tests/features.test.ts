import { expect, test } from "vitest";
import { cellFromText, inputsOf } from "../src/api/rows";
import { featureOf, initialCell, sliderRange, unknownCategory } from "../src/network/features";
import { versionOf } from "../src/network/version";

const AGE = featureOf({ name: "age", mean: 40, scale: 15, low: 0, high: 120 });
const REGION = featureOf({ name: "region", kind: "FEATURE_KIND_CATEGORY", categories: ["north", "(unknown)"] });
const SMOKER = featureOf({ name: "smoker", kind: "FEATURE_KIND_BOOLEAN" });

test("a slider has the declared range", () => {
  expect(sliderRange(AGE, [])).toEqual({ low: 0, high: 120, step: 1 });
});

test("a slider without one covers three scales around the mean, and every example", () => {
  const { low, high } = sliderRange(featureOf({ name: "x", mean: 10, scale: 2 }), [30]);
  expect(low).toBeLessThanOrEqual(4);
  expect(high).toBeGreaterThanOrEqual(30);
});

test("a slider of whole examples has whole steps from 0", () => {
  expect(sliderRange(featureOf({ name: "children" }), [3])).toEqual({ low: 0, high: 6, step: 1 });
});

test("a slider without any hint goes both ways", () => {
  expect(sliderRange(featureOf({ name: "x" }), [])).toEqual({ low: -3, high: 3, step: 0.05 });
});

test("a form begins with the example, else with the mean", () => {
  expect(initialCell(AGE, 55)).toBe(55);
  expect(initialCell(AGE, undefined)).toBe(40);
  expect(initialCell(REGION, 1)).toBe("(unknown)");
  expect(initialCell(SMOKER, 1)).toBe(true);
});

test("an unknown category is none of the categories", () => {
  expect(REGION.categories).not.toContain(unknownCategory(REGION));
});

test.each([
  [AGE, " 55 ", 55],
  [AGE, "", null],
  [AGE, "nan", null],
  [AGE, "old", "old"],
  [REGION, "north", "north"],
  [SMOKER, "True", true],
  [SMOKER, "0", 0],
])("a cell of a file becomes a value: %o %s", (feature, text, cell) => {
  expect(cellFromText(feature, text)).toBe(cell);
});

test("rows are sent as columns by name, with what is missing", () => {
  const features = [{ name: "age" }, { name: "region", kind: "FEATURE_KIND_CATEGORY", categories: ["north"] }];
  const version = versionOf({ inputs: { width: "2", features } });
  expect(inputsOf(version, [[1, "north"], [null, "south"]])).toEqual({
    columns: {
      columns: [
        { name: "age", numbers: { values: [1, "NaN"] }, missing: [1] },
        { name: "region", texts: { values: ["north", "south"] } },
      ],
    },
  });
});

test("a text in place of a number is named before it is sent", () => {
  const version = versionOf({ inputs: { width: "1", features: [{ name: "age" }] } });
  expect(() => inputsOf(version, [["old"]])).toThrow("age: “old” is no number");
});
