// The edges of a picture: weight × value from node to node, the strongest where there are many.

import { inputsOf, mergedValue, originsOf, type Values, valueAt } from "../network/values";
import type { Version } from "../network/version";

export interface Edge {
  readonly from: { readonly layer: number; readonly node: number };
  readonly to: { readonly layer: number; readonly node: number };
  /** Undefined where the layer has no weights, as one that looks values up. */
  readonly weight: number | undefined;
  /** Weight × value, or the value where there is no weight. */
  readonly amount: number;
  /** The size of the amount as a share of the largest into its layer. */
  readonly strength: number;
}

export const MAX_EDGES_OF_LAYER = 96;
/** Layers of more products than this show edges only of the node that is selected. */
const MAX_PRODUCTS = 2_000_000;

/** Return the strongest edges into every layer. */
export function strongestEdges(version: Version, values: Values, most = MAX_EDGES_OF_LAYER): Edge[] {
  return version.layers.flatMap((layer, index) => {
    if (version.weights === undefined || layer.nodes.length * inputsOf(version, index) > MAX_PRODUCTS) return [];
    return strongest(version, values, index, layer.nodes.keys(), most);
  });
}

/** Return the strongest edges into one node. */
export function edgesInto(version: Version, values: Values, layer: number, node: number, most: number): Edge[] {
  return version.weights === undefined ? [] : strongest(version, values, layer, [node], most);
}

/** Return the strongest edges out of one node. */
export function edgesOutOf(version: Version, values: Values, layer: number, node: number, most: number): Edge[] {
  if (version.weights === undefined) return [];
  return version.layers.flatMap((reader, index) => {
    if (!reader.sources.some((source) => source.layer === layer)) return [];
    const every = allEdges(version, values, index, reader.nodes.keys());
    return kept(every, most, (edge) => edge.from.layer === layer && edge.from.node === node);
  });
}

type Unscaled = Omit<Edge, "strength">;

function strongest(version: Version, values: Values, layer: number, nodes: Iterable<number>, most: number): Edge[] {
  return kept(allEdges(version, values, layer, nodes), most, () => true);
}

function* allEdges(version: Version, values: Values, layer: number, nodes: Iterable<number>): Generator<Unscaled> {
  const inputs = inputsOf(version, layer);
  const origins = Array.from({ length: inputs }, (_, input) => originsOf(version, layer, input));
  const merged = Array.from({ length: inputs }, (_, input) => mergedValue(version, values, layer, input));
  for (const node of nodes) {
    for (const { input, weight } of version.weights?.[layer]?.links(node, inputs) ?? []) {
      for (const from of origins[input] ?? []) {
        // Of a merge, each source has its own share; a sum's shares add up to the product.
        const value = (origins[input]?.length ?? 0) > 1 ? valueAt(values, from.layer, from.node) : (merged[input] ?? 0);
        yield { from, to: { layer, node }, weight, amount: (weight ?? 1) * value };
      }
    }
  }
}

/** Return the edges of the largest size that are wanted, weakest first, so that the strongest are drawn on top. */
function kept(edges: Iterable<Unscaled>, most: number, wanted: (edge: Unscaled) => boolean): Edge[] {
  const found: Unscaled[] = [];
  let largest = 0;
  for (const edge of edges) {
    if (Number.isFinite(edge.amount)) largest = Math.max(largest, Math.abs(edge.amount));
    if (wanted(edge)) found.push(edge);
    if (found.length >= 4 * most + 1024) keepLargest(found, most);
  }
  const isCrowded = found.length > most;
  keepLargest(found, most);
  // Where only some are shown, one that adds nothing is none of them.
  const shown = isCrowded ? found.filter((edge) => edge.amount !== 0) : found;
  return shown.reverse().map((edge) => ({ ...edge, strength: largest > 0 ? Math.abs(edge.amount) / largest : 0 }));
}

function keepLargest(edges: Unscaled[], most: number): void {
  const size = (edge: Unscaled) => (Number.isNaN(edge.amount) ? -1 : Math.abs(edge.amount));
  edges.sort((one, other) => size(other) - size(one));
  edges.length = Math.min(edges.length, most);
}
