// What one sees as a file of JSON: every node by name.

import { valueAt } from "../network/values";
import { INPUTS, layerName, nodeName } from "../network/version";
import type { Traced } from "./store";

/** Return a trace as plain values; NaN and infinities as texts, which JSON has no numbers for. */
export function traceAsJson({ version, row, values }: Traced): string {
  const inputs = version.features.map((feature, node) => ({
    name: feature.name,
    value: row[node] ?? null,
    standardized: number(valueAt(values, INPUTS, node)),
  }));
  const layers = version.layers.map((layer, index) => ({
    name: layerName(version, index),
    kind: layer.kind,
    activation: layer.activation,
    nodes: layer.nodes.map((_, node) => ({
      name: nodeName(version, index, node),
      pre_activation: number(values.before[index]?.[node] ?? Number.NaN),
      activation: number(valueAt(values, index, node)),
    })),
  }));
  const outputs = version.outputs.map((output, index) => ({
    name: output.name,
    value: number(values.outputs[index] ?? Number.NaN),
    ...(output.unit ? { unit: output.unit } : {}),
  }));
  const { network, number: versionNumber, digest } = version;
  const said = values.classification;
  const document = {
    network,
    version: versionNumber,
    digest,
    inputs,
    layers,
    outputs,
    ...(said ? { class: said } : {}),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function number(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
