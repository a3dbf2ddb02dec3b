// Where two traces differ, node by node.

import { type Values, valueAt } from "./values";
import { INPUTS, type Version } from "./version";

export interface Side {
  readonly version: Version;
  readonly values: Values;
}

export interface Difference {
  readonly layer: string;
  readonly node: string;
  readonly one: number;
  readonly other: number;
}

/** As `forwardpass.compare` has it: times max(1, |number|). */
const TOLERANCE: Record<string, number> = { float64: 1e-9, float32: 1e-4 };

/** Return the nodes of one side whose value is another on the other side, as `layer/node`; a node of one side alone is one. */
export function differingNodes(one: Side, other: Side): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [layer, node, mine, theirs] of pairs(one, other)) {
    if (isDifferent(mine, theirs, toleranceOf(one, other))) found.add(`${layer}/${node}`);
  }
  return found;
}

/** Return the differences of the nodes that both sides have, the largest first. */
export function differencesOf(one: Side, other: Side): Difference[] {
  const found: Difference[] = [];
  for (const [layer, node, mine, theirs] of pairs(one, other)) {
    if (theirs === undefined || !isDifferent(mine, theirs, toleranceOf(one, other))) continue;
    const name = layer === INPUTS ? "inputs" : (one.version.layers[layer]?.name ?? "");
    const names =
      layer === INPUTS ? one.version.features.map((feature) => feature.name) : one.version.layers[layer]?.nodes;
    found.push({ layer: name, node: names?.[node] ?? "", one: mine, other: theirs });
  }
  const size = (difference: Difference) => Math.abs(difference.one - difference.other);
  return found.sort((a, b) => size(b) - size(a));
}

function toleranceOf(one: Side, other: Side): number {
  return Math.max(TOLERANCE[one.version.dtype] ?? 0, TOLERANCE[other.version.dtype] ?? 0);
}

function isDifferent(mine: number, theirs: number | undefined, tolerance: number): boolean {
  if (theirs === undefined) return true;
  if (Number.isNaN(mine) || Number.isNaN(theirs)) return Number.isNaN(mine) !== Number.isNaN(theirs);
  return mine !== theirs && Math.abs(mine - theirs) > tolerance * Math.max(1, Math.abs(mine));
}

/** Yield each node of one side with its value, and the value of the node of the same layer and name on the other. */
function* pairs(one: Side, other: Side): Generator<[number, number, number, number | undefined]> {
  const places = new Map<string, [number, number]>();
  for (const [layer, names] of layersOf(other.version)) {
    names.nodes.forEach((name, node) => {
      places.set(JSON.stringify([names.name, name]), [layer, node]);
    });
  }
  for (const [layer, names] of layersOf(one.version)) {
    for (const [node, name] of names.nodes.entries()) {
      const place = places.get(JSON.stringify([names.name, name]));
      yield [layer, node, valueAt(one.values, layer, node), place && valueAt(other.values, ...place)];
    }
  }
}

function layersOf(version: Version): [number, { name: string; nodes: readonly string[] }][] {
  const inputs = { name: "inputs", nodes: version.features.map((feature) => feature.name) };
  return [[INPUTS, inputs], ...version.layers.map((layer, index) => [index, layer] as [number, typeof layer])];
}
