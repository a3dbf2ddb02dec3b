import { expect, test } from "vitest";
import { inputsOf, mergedValue, type Values } from "../src/network/values";
import type { Version } from "../src/network/version";
import { edgesInto, edgesOutOf, strongestEdges } from "../src/picture/edges";
import { chance, randomNetwork } from "./networks";

function randomValues(version: Version, random: () => number): Values {
  const numbers = (count: number) => Array.from({ length: count }, () => 2 * random() - 1);
  return {
    inputs: numbers(version.features.length),
    before: version.layers.map((layer) => numbers(layer.nodes.length)),
    after: version.layers.map((layer) => numbers(layer.nodes.length)),
    outputs: [],
    classification: undefined,
    warnings: [],
  };
}

/** Every product into a layer, the slow way. */
function products(version: Version, values: Values, layer: number): number[] {
  const inputs = inputsOf(version, layer);
  return (version.layers[layer]?.nodes ?? []).flatMap((_, node) =>
    (version.weights?.[layer]?.links(node, inputs) ?? []).map(
      ({ input, weight }) => (weight ?? 1) * mergedValue(version, values, layer, input),
    ),
  );
}

test("the strongest edges are those of the largest products", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = chance(seed);
    const version = randomNetwork(random);
    const values = randomValues(version, random);
    const edges = strongestEdges(version, values, 20);
    version.layers.forEach((_, layer) => {
      const sizes = products(version, values, layer).map(Math.abs).sort((one, other) => other - one);
      const shown = edges.filter((edge) => edge.to.layer === layer).map((edge) => Math.abs(edge.amount));
      expect(shown.sort((one, other) => other - one)).toEqual(sizes.slice(0, 20));
    });
    for (const edge of edges) expect(edge.strength).toBeLessThanOrEqual(1);
  }
});

test("the edges into a node add up to its sum without bias", () => {
  const random = chance(7);
  const version = randomNetwork(random);
  const values = randomValues(version, random);
  const inputs = inputsOf(version, 0);
  const total = edgesInto(version, values, 0, 0, inputs).reduce((sum, edge) => sum + edge.amount, 0);
  const expected = products(version, values, 0).slice(0, inputs).reduce((sum, product) => sum + product, 0);
  expect(total).toBeCloseTo(expected, 9);
});

test("the edges out of a node lead to what reads it", () => {
  const random = chance(3);
  const version = randomNetwork(random);
  const edges = edgesOutOf(version, randomValues(version, random), -1, 0, 1000);
  expect(edges.length).toBeGreaterThan(0);
  for (const edge of edges) expect(edge.from).toEqual({ layer: -1, node: 0 });
});
