// What a node computes, spelled out: 2 × 1 + 3 × 1 = 5, relu → 5.

import { isStandardized } from "./features";
import { short } from "./numbers";
import { inputsOf, mergedValue, originsOf, type Values, valueAt } from "./values";
import { INPUTS, nodeName, type Version } from "./version";

/** One product of a weighted sum. */
export interface Term {
  readonly name: string;
  readonly value: number;
  readonly weight: number;
  readonly product: number;
}

/** A node's way from what it reads to its value. */
export interface NodeSum {
  readonly name: string;
  /** The products, in the order of the inputs; empty where the node is no weighted sum. */
  readonly terms: readonly Term[];
  readonly bias: number;
  /** The pre-activation in words, where the node is no weighted sum. */
  readonly formula: string | undefined;
  readonly before: number;
  readonly activation: string;
  readonly value: number;
}

/** Return what a node computed. For an input, its standardization. */
export function sumOf(version: Version, values: Values, layer: number, node: number): NodeSum {
  const name = nodeName(version, layer, node);
  const value = valueAt(values, layer, node);
  if (layer === INPUTS) {
    const feature = version.features[node];
    const raw = feature !== undefined && isStandardized(feature) ? value * feature.scale + feature.mean : value;
    const formula =
      feature !== undefined && isStandardized(feature)
        ? `(${short(raw, 6)} − ${short(feature.mean, 6)}) / ${short(feature.scale, 6)}`
        : undefined;
    return { name, terms: [], bias: 0, formula, before: value, activation: "identity", value };
  }
  const weights = version.weights?.[layer];
  const before = values.before[layer]?.[node] ?? Number.NaN;
  const links = weights?.links(node, inputsOf(version, layer)) ?? [];
  const read = links.map((link) => mergedValue(version, values, layer, link.input));
  const isSum = links.length > 0 && links.every((link) => link.weight !== undefined);
  const terms = links.map((link, index) => {
    const origins = originsOf(version, layer, link.input).map((origin) => nodeName(version, origin.layer, origin.node));
    const [x, weight] = [read[index] ?? Number.NaN, link.weight ?? 1];
    return { name: joinedNames(version, layer, origins), value: x, weight, product: x * weight };
  });
  return {
    name,
    terms: isSum ? terms : [],
    bias: weights?.bias(node) ?? 0,
    formula: isSum ? undefined : (categoryFormula(version, layer, node) ?? weights?.formula?.(node, read)),
    before,
    activation: version.layers[layer]?.activation ?? "identity",
    value,
  };
}

/** Return what a one-hot node of a categorical input says, by the category's name. */
function categoryFormula(version: Version, layer: number, node: number): string | undefined {
  const weights = version.weights?.[layer];
  const [link] = weights?.links(node, inputsOf(version, layer)) ?? [];
  const [origin] = link === undefined ? [] : originsOf(version, layer, link.input);
  const feature = origin?.layer === INPUTS ? version.features[origin.node] : undefined;
  const category = feature?.categories[weights?.category?.(node) ?? Number.NaN];
  return category === undefined ? undefined : `1 if ${feature?.name} is “${category}”, else 0`;
}

function joinedNames(version: Version, layer: number, names: readonly string[]): string {
  return names.length > 1 ? `${version.layers[layer]?.merge}(${names.join(", ")})` : (names[0] ?? "");
}

/** Return the sum in words: the largest products by size in the order of the inputs, the rest as one number. */
export function sumInWords(sum: NodeSum, { terms: most = 6, digits = 4 } = {}): string {
  const before = short(sum.before, digits);
  if (sum.terms.length === 0) return sum.formula === undefined ? before : `${sum.formula} = ${before}`;
  const shown = largest(sum.terms, most);
  const words = shown.map((term) => product(term, digits));
  const rest = sum.terms.filter((term) => !shown.includes(term));
  if (rest.length > 0) words.push(`${short(total(rest), digits)} (${rest.length} more)`);
  if (sum.bias !== 0) words.push(short(sum.bias, digits));
  return `${words.reduce(added)} = ${before}`;
}

/** Return the activation in words: `relu → 5`, or empty where it changes nothing by its nature. */
export function activationInWords(sum: NodeSum, digits = 4): string {
  return sum.activation === "identity" ? "" : `${sum.activation} → ${short(sum.value, digits)}`;
}

/** Return the terms of the largest size, in their order. */
export function largest(terms: readonly Term[], most: number): readonly Term[] {
  if (terms.length <= most) return terms;
  const bySize = [...terms].sort((one, other) => Math.abs(other.product) - Math.abs(one.product));
  const kept = new Set(bySize.slice(0, most));
  return terms.filter((term) => kept.has(term));
}

export function total(terms: readonly Term[]): number {
  return terms.reduce((sum, term) => sum + term.product, 0);
}

function product(term: Term, digits: number): string {
  return `${short(term.value, digits)} × ${short(term.weight, digits)}`;
}

function added(one: string, other: string): string {
  // "− 3 × 2" and "+ −3 × 2" are the same; the first reads as arithmetic does.
  return other.startsWith("−") ? `${one} − ${other.slice(1)}` : `${one} + ${other}`;
}
