import { expect, test } from "vitest";
import { changesOf, movementInWords, movementsOf } from "../src/network/changes";
import { differencesOf, differingNodes } from "../src/network/differences";
import { distributionOf, percentileOf } from "../src/network/distribution";
import { sharesOf } from "../src/network/shares";
import { isUnusual, usualInWords } from "../src/network/usual";
import type { Values } from "../src/network/values";
import { outputLabel, versionOf } from "../src/network/version";
import { tensorOf } from "../src/api/tensors";
import { pythonFor } from "../src/state/python";
import { ARTICLE, network } from "./networks";

const OTHER = network(
  ["children", "age"],
  [
    {
      name: "hidden",
      from: ["inputs"],
      weights: [
        [1, 1],
        [-1, 3],
      ],
      activation: "tanh",
    },
    { name: "output", from: ["hidden"], weights: [[2, -1]] },
    { name: "last", from: ["output"], weights: [[1]] },
  ],
  { version: "2", description: "Another" },
);

const VALUES: Values = { inputs: [2, 3], before: [[5, 1], [9]], after: [[5, 1], [9]], outputs: [9], classification: undefined, warnings: [] };

test("nothing changed from a version to itself", () => {
  expect(changesOf(ARTICLE, ARTICLE)).toEqual([]);
  expect(movementsOf(ARTICLE, ARTICLE).map(movementInWords)).toEqual(["the same", "the same"]);
});

test("what changed is named: features, layers, activations, descriptions", () => {
  const changes = new Map(changesOf(ARTICLE, OTHER).map((change) => [change.what, [change.one, change.other]]));
  expect(changes.get("feature accounts")).toEqual(["present", "—"]);
  expect(changes.get("feature age")).toEqual(["—", "present"]);
  expect(changes.get("layer hidden, activation")).toEqual(["relu", "tanh"]);
  expect(changes.get("layer last")).toEqual(["—", "present"]);
  expect(changes.get("description")).toEqual(["—", "Another"]);
});

test("how far weights moved is a share of their length", () => {
  const [hidden] = movementsOf(ARTICLE, OTHER);
  expect(hidden).toMatchObject({ layer: "hidden", count: 4, changed: 1, largest: 2, relative: 1 });
});

test("nodes differ by layer and name; one that the other side lacks differs too", () => {
  const other = { ...VALUES, after: [[5, 2], [8], [8]] };
  const sides = [{ version: ARTICLE, values: VALUES }, { version: OTHER, values: other }] as const;
  expect([...differingNodes(...sides)].sort()).toEqual(["-1/1", "0/1", "1/0"]);
  expect(differencesOf(...sides).map(({ node, one, other: theirs }) => [node, one, theirs])).toEqual([
    ["hidden_1", 1, 2],
    ["output_0", 9, 8],
  ]);
});

test("a distribution has every finite value in one bin", () => {
  const values = Float64Array.from({ length: 1000 }, (_, index) => Math.sin(index));
  values[0] = Number.NaN;
  const found = distributionOf(values);
  expect(found?.bins.reduce((total, each) => total + each.count, 0)).toBe(999);
  expect(found?.quantiles.map(([share]) => share)).toEqual([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]);
  expect(distributionOf([0, 0, 0])).toMatchObject({ count: 3, zeros: 1 });
  expect(distributionOf([Number.NaN])).toBeUndefined();
});

test("a percentile counts half of the equal values", () => {
  expect(percentileOf([1, 2, 2, 3, Number.NaN], 2)).toBe(0.5);
});

test.each([
  [0, "Below all 569 rows of the profile.", true],
  [100, "Above all 569 rows of the profile.", true],
  [99.8, "In the highest 0.2 % of the 569 rows of the profile.", true],
  [45.4, "Above 45 % of the 569 rows of the profile.", false],
  [Number.NaN, "", false],
])("how usual percentile %d is", (percentile, words, odd) => {
  expect(usualInWords(percentile, 569)).toBe(words);
  expect(isUnusual(percentile)).toBe(odd);
});

test("shares belong to the explained outputs, the largest first", () => {
  const version = versionOf({
    inputs: { width: "2", features: [{ name: "a" }, { name: "b" }] },
    layers: [{ name: "l", kind: "dense", width: "2", nodes: ["x", "y"] }],
    outputs: [{}, { unit: "EUR" }],
  });
  const response = {
    outputNames: ["x", "y"],
    explainedOutputs: [1],
    attributions: { ...tensorOf([1, -4], 1, 2), shape: ["1", "1", "2"] },
    explainedValues: tensorOf([7], 1, 1),
    baselineOutputs: tensorOf([10], 1, 1),
  };
  expect(sharesOf(version, response)).toEqual([
    { output: "y", unit: "EUR", value: 7, baseline: 10, shares: [{ name: "b", amount: -4 }, { name: "a", amount: 1 }] },
  ]);
});

test.each([
  [["o_0", "o_1"], ["x", "y"], ["x", "y"]],
  [["small", "y"], ["x", "y"], ["x (small)", "y"]],
  [["o_0"], ["no", "yes"], ["probability of yes"]],
  [["cost", "o_1"], [], ["cost", "o_1"]],
])("outputs %j of classes %j are %j", (outputNames, classLabels, labels) => {
  const layers = [{ name: "o", kind: "dense", width: String(outputNames.length) }];
  const version = versionOf({ inputs: { width: "1" }, layers, outputNames, classLabels });
  expect(version.outputs.map((_, index) => outputLabel(version, index))).toEqual(labels);
});

test("Python has the row by name, with its own words for true and nothing", () => {
  const features = [{ name: 'a "b"' }, { name: "smoker", kind: "FEATURE_KIND_BOOLEAN" }, { name: "x" }];
  const version = versionOf({ network: "bank", version: "3", inputs: { width: "3", features } });
  const program = pythonFor(version, [1.5, true, null], { target: "host:1", hasToken: true });
  expect(program).toContain('    "a \\"b\\"": 1.5,\n    "smoker": True,\n    "x": None,\n');
  expect(program).toContain('Client("host:1", token=os.environ["FORWARDPASS_TOKEN"])');
  expect(program).toContain('client.trace("bank", row, version=3)');
});
