// What changed between two versions: facts, features, layers, and statistics of the weights.

import type { Feature } from "./features";
import { counted, percent, short } from "./numbers";
import { type Layer, layerName, type Version } from "./version";

export interface Change {
  readonly what: string;
  readonly one: string;
  readonly other: string;
}

/** How far the parameters of a layer moved from one version to the other. */
export interface Movement {
  readonly layer: string;
  readonly count: number;
  /** The number of parameters that differ. */
  readonly changed: number;
  readonly largest: number;
  /** The length of the difference as a share of the length of the first version's parameters. */
  readonly relative: number;
  readonly deviations: readonly [number, number];
}

const ABSENT = "—";

const FACTS: Record<string, (version: Version) => string> = {
  dtype: (version) => version.dtype,
  outputs: (version) =>
    version.outputs.map((output) => [output.name, output.unit].filter(Boolean).join(" ")).join(", "),
  "output scale and shift": (version) =>
    version.outputs.map(({ scale, shift }) => `y × ${scale} + ${shift}`).join(", "),
  classes: (version) => version.classes.join(", "),
  thresholds: (version) => version.thresholds.join(", "),
  parameters: (version) => counted(version.parameterCount, "parameter"),
  description: (version) => version.description,
  tags: (version) => version.tags.join(", "),
};

const FACTS_OF_FEATURES: Record<string, (feature: Feature) => string> = {
  kind: (feature) => feature.kind,
  mean: (feature) => short(feature.mean, 6),
  scale: (feature) => short(feature.scale, 6),
  unit: (feature) => feature.unit,
  range: (feature) => `${feature.low ?? "−∞"} to ${feature.high ?? "∞"}`,
  "out of range": (feature) => (feature.isRangeStrict ? "rejected" : "reported"),
  categories: (feature) => feature.categories.join(", "),
  missing: (feature) => JSON.stringify(feature.missing) ?? "rejected",
  unknown: (feature) => JSON.stringify(feature.unknown) ?? "rejected",
};

/** Return the differences of two versions but for their weights. */
export function changesOf(one: Version, other: Version): Change[] {
  return [
    ...differences(FACTS, one, other),
    ...byName(one.features, other.features).flatMap(([name, mine, theirs]) =>
      differences(FACTS_OF_FEATURES, mine, theirs, `feature ${name}`),
    ),
    ...byName(one.layers, other.layers).flatMap(([name, mine, theirs]) =>
      differences(FACTS_OF_LAYERS, mine && [one, mine], theirs && [other, theirs], `layer ${name}`),
    ),
    ...differences(metadataOf(one, other), one, other),
  ];
}

type LayerOf = readonly [Version, Layer];

const FACTS_OF_LAYERS: Record<string, (layer: LayerOf) => string> = {
  kind: ([, layer]) => layer.kind,
  nodes: ([, layer]) => counted(layer.nodes.length, "node"),
  activation: ([, layer]) => layer.activation,
  reads: ([version, layer]) => layer.sources.map((source) => layerName(version, source.layer)).join(", "),
  merge: ([, layer]) => layer.merge,
};

function metadataOf(one: Version, other: Version): Record<string, (version: Version) => string> {
  const keys = new Set([...Object.keys(one.metadata), ...Object.keys(other.metadata)]);
  return Object.fromEntries(
    [...keys].map((key) => [`metadata ${key}`, (version: Version) => version.metadata[key] ?? ""]),
  );
}

function differences<Thing>(
  facts: Record<string, (thing: Thing) => string>,
  one: Thing | undefined,
  other: Thing | undefined,
  prefix = "",
): Change[] {
  if (one === undefined || other === undefined) {
    return [
      { what: prefix, one: one === undefined ? ABSENT : "present", other: other === undefined ? ABSENT : "present" },
    ];
  }
  return Object.entries(facts)
    .map(([name, fact]) => ({ what: [prefix, name].filter(Boolean).join(", "), one: fact(one), other: fact(other) }))
    .filter((change) => change.one !== change.other)
    .map((change) => ({ ...change, one: change.one || ABSENT, other: change.other || ABSENT }));
}

function byName<Named extends { readonly name: string }>(
  ones: readonly Named[],
  others: readonly Named[],
): [string, Named | undefined, Named | undefined][] {
  const names = new Set([...ones, ...others].map((named) => named.name));
  const find = (list: readonly Named[], name: string) => list.find((named) => named.name === name);
  return [...names].map((name) => [name, find(ones, name), find(others, name)]);
}

/** Return how the parameters of the layers of the same name moved; those of another size moved as a whole. */
export function movementsOf(one: Version, other: Version): Movement[] {
  return one.layers.flatMap((layer, index) => {
    const theirs = other.layers.findIndex(({ name }) => name === layer.name);
    const [mine, yours] = [one.weights?.[index]?.parameters, other.weights?.[theirs]?.parameters];
    if (mine === undefined || yours === undefined || mine.length !== yours.length || mine.length === 0) return [];
    return [movement(layer.name, mine, yours)];
  });
}

function movement(layer: string, one: Float64Array, other: Float64Array): Movement {
  let [changed, largest, distance, length] = [0, 0, 0, 0];
  one.forEach((value, index) => {
    const difference = Math.abs((other[index] ?? 0) - value);
    if (difference > 0) changed += 1;
    largest = Math.max(largest, difference);
    distance += difference ** 2;
    length += value ** 2;
  });
  const relative = distance === 0 ? 0 : Math.sqrt(distance / length);
  return { layer, count: one.length, changed, largest, relative, deviations: [deviation(one), deviation(other)] };
}

function deviation(values: Float64Array): number {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  return Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length);
}

/** Return a movement's size in words. */
export function movementInWords({ changed, count, relative }: Movement): string {
  return changed === 0 ? "the same" : `${changed} of ${count} changed, by ${percent(relative)}`;
}
