// Features as the form shows them: kinds, ranges, units, fill values.

import { nice, tickStep } from "d3-array";
import type { FeatureMessage, FillValue } from "../api/messages";

/** The value of one feature in a row; null is a missing value. */
export type Cell = number | string | boolean | null;

export interface Feature {
  readonly name: string;
  readonly kind: "number" | "category" | "boolean";
  readonly unit: string;
  readonly description: string;
  readonly mean: number;
  readonly scale: number;
  readonly low: number | undefined;
  readonly high: number | undefined;
  /** Whether a number out of range is rejected rather than reported. */
  readonly isRangeStrict: boolean;
  readonly categories: readonly string[];
  readonly missing: FillValue | undefined;
  readonly unknown: FillValue | undefined;
}

/** The ends of a slider, and the distance of its steps. */
export interface Range {
  readonly low: number;
  readonly high: number;
  readonly step: number;
}

const KINDS: Record<string, Feature["kind"]> = {
  FEATURE_KIND_CATEGORY: "category",
  FEATURE_KIND_BOOLEAN: "boolean",
};

export function featureOf(message: FeatureMessage): Feature {
  return {
    name: message.name ?? "",
    kind: KINDS[message.kind ?? ""] ?? "number",
    unit: message.unit ?? "",
    description: message.description ?? "",
    mean: message.mean ?? 0,
    scale: message.scale ?? 1,
    low: message.low,
    high: message.high,
    isRangeStrict: message.outOfRange === "OUT_OF_RANGE_REFUSE",
    categories: message.categories ?? [],
    missing: message.missing,
    unknown: message.unknown,
  };
}

/** Return a feature for an input that has no name but its position. */
export function namelessFeature(index: number): Feature {
  return featureOf({ name: `input_${index}` });
}

export function isStandardized(feature: Feature): boolean {
  return feature.mean !== 0 || feature.scale !== 1;
}

/**
 * Return the range of a number's slider: the declared one, else three scales around the mean, else what examples
 * suggest.
 */
export function sliderRange(feature: Feature, examples: readonly number[]): Range {
  if (feature.low !== undefined && feature.high !== undefined) {
    return { low: feature.low, high: feature.high, step: tickStep(feature.low, feature.high, 100) };
  }
  const values = examples.filter(Number.isFinite);
  if (isStandardized(feature)) {
    const [low, high] = nice(
      Math.min(feature.mean - 3 * Math.abs(feature.scale), ...values),
      Math.max(feature.mean + 3 * Math.abs(feature.scale), ...values),
      10,
    );
    return clipped(feature, { low, high, step: tickStep(low, high, 100) });
  }
  if (values.length === 0) return clipped(feature, { low: -3, high: 3, step: 0.05 });
  const high = nice(0, 2 * Math.max(1, ...values.map(Math.abs)), 5)[1];
  const low = values.every((value) => value >= 0) ? 0 : -high;
  const step = tickStep(low, high, 100);
  return clipped(feature, { low, high, step: values.every(Number.isInteger) ? Math.max(1, step) : step });
}

function clipped(feature: Feature, range: Range): Range {
  return { ...range, low: feature.low ?? range.low, high: feature.high ?? range.high };
}

/** Return the value that a form begins with. */
export function initialCell(feature: Feature, example: number | undefined): Cell {
  if (example !== undefined && Number.isFinite(example)) return cellOf(feature, example);
  if (feature.kind === "category") return feature.categories[0] ?? null;
  if (feature.kind === "boolean") return false;
  const { low, high } = sliderRange(feature, []);
  return isStandardized(feature) ? Number(feature.mean.toPrecision(4)) : (low + high) / 2;
}

/** Return an input of a tensor as the value of its feature: an index as its category, 1 as true, NaN as missing. */
export function cellOf(feature: Feature, input: number): Cell {
  if (Number.isNaN(input)) return null;
  if (feature.kind === "category") return feature.categories[input] ?? null;
  return feature.kind === "boolean" ? input !== 0 : input;
}

/** Return a text that is none of a feature's categories. */
export function unknownCategory(feature: Feature): string {
  let text = "(unknown)";
  while (feature.categories.includes(text)) text += "?";
  return text;
}

/** Return whether a cell holds a text that is no category of its feature. */
export function isUnknown(feature: Feature, cell: Cell): boolean {
  return feature.kind === "category" && typeof cell === "string" && !feature.categories.includes(cell);
}

/** Return what the server takes in place of a missing or unknown value, in words. */
export function fillWords(fill: FillValue): string {
  if (fill.category !== undefined) return fill.category;
  if (fill.nan) return "no value";
  return String(fill.number ?? 0);
}
