// The edges of a picture: weight × value from node to node, the strongest where there are many.

import { inputsOf, mergedValue, originsOf, type Values, valueAt } from "../network/values";
import type { Version } from "../network/version";
import { Strongest } from "./strongest";

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
    const isRead = Array.from({ length: inputsOf(version, index) }, (_, input) =>
      originsOf(version, index, input).some((origin) => origin.layer === layer && origin.node === node),
    );
    const [kept, every] = [new Strongest<Product>(most), new Strongest<Product>(1)];
    for (const product of products(version, values, index, reader.nodes.keys(), ALL)) {
      every.add(product);
      if (isRead[product.input]) kept.add(product);
    }
    kept.largest = every.largest;
    return scaled(kept, (product) => edgesOf(version, values, index, product)).filter(
      ({ from }) => from.layer === layer && from.node === node,
    );
  });
}

type Unscaled = Omit<Edge, "strength">;

/** A product of a layer: which node reads which value. */
interface Product {
  readonly node: number;
  readonly input: number;
  readonly amount: number;
  readonly weight: number | undefined;
}

function strongest(version: Version, values: Values, layer: number, nodes: Iterable<number>, most: number): Edge[] {
  const kept = new Strongest<Product>(most);
  for (const product of products(version, values, layer, nodes, kept)) kept.add(product);
  return scaled(kept, (product) => edgesOf(version, values, layer, product));
}

/** Yield the products of a layer, of dense layers only those that `kept` may want. */
function* products(
  version: Version,
  values: Values,
  layer: number,
  nodes: Iterable<number>,
  kept: Strongest<Product>,
): Generator<Product> {
  const inputs = inputsOf(version, layer);
  const merged = Float64Array.from({ length: inputs }, (_, input) => mergedValue(version, values, layer, input));
  const weights = version.weights?.[layer];
  for (const node of nodes) {
    if (weights?.matrix !== undefined) {
      const row = weights.matrix.subarray(node * inputs, (node + 1) * inputs);
      for (let input = 0; input < inputs; input++) {
        const [weight, value] = [row[input] ?? 0, merged[input] ?? 0];
        if (kept.wants(weight * value)) yield { node, input, amount: weight * value, weight };
      }
    } else {
      for (const { input, weight } of weights?.links(node, inputs) ?? []) {
        yield { node, input, amount: (weight ?? 1) * (merged[input] ?? Number.NaN), weight };
      }
    }
  }
}

/** Return the edges of a product: one, or where several layers are merged one from each of them. */
function edgesOf(
  version: Version,
  values: Values,
  layer: number,
  { node, input, amount, weight }: Product,
): Unscaled[] {
  const origins = originsOf(version, layer, input);
  return origins.map((from) => {
    // Of a merge, each source has its own share; a sum's shares add up to the product.
    const own = origins.length > 1 ? (weight ?? 1) * valueAt(values, from.layer, from.node) : amount;
    return { from, to: { layer, node }, weight, amount: own };
  });
}

/** Return kept products as edges, weakest first, so that the strongest are drawn on top. */
function scaled(kept: Strongest<Product>, edges: (product: Product) => Unscaled[]): Edge[] {
  // Where only some are shown, one that adds nothing is none of them.
  const shown = kept.isCrowded ? kept.items().filter((product) => product.amount !== 0) : kept.items();
  const size = ({ amount }: Unscaled) => (Number.isFinite(amount) ? Math.abs(amount) : 0);
  const all = shown.reverse().flatMap(edges);
  const largest = Math.max(kept.largest, ...all.map(size));
  return all.map((edge) => ({ ...edge, strength: largest > 0 ? size(edge) / largest : 0 }));
}

/** Wants every product. */
const ALL = new Strongest<Product>(Infinity);
