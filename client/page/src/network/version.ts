// A version of a network, as the page reads it from the server's messages.

import type {
  ActivationMessage,
  LayerSummaryMessage,
  OutputMessage,
  SpecMessage,
  VersionMessage,
} from "../api/messages";
import { type Feature, featureOf, namelessFeature } from "./features";
import { type Weights, weightsOf } from "./weights";

/** The index of the inputs among the layers. */
export const INPUTS = -1;

/** Adjacent nodes of a layer, or of the inputs, that another layer reads. */
export interface Source {
  readonly layer: number;
  readonly start: number;
  readonly width: number;
}

export interface Layer {
  readonly name: string;
  readonly nodes: readonly string[];
  readonly kind: string;
  readonly activation: string;
  readonly sources: readonly Source[];
  readonly merge: string;
}

export interface Output {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly scale: number;
  readonly shift: number;
  /** The node that computes it. */
  readonly layer: number;
  readonly node: number;
}

export interface Version {
  readonly network: string;
  readonly number: number;
  readonly digest: string;
  readonly aliases: readonly string[];
  readonly dtype: string;
  readonly features: readonly Feature[];
  /** Whether the features have names by which rows give them. */
  readonly isNamed: boolean;
  readonly layers: readonly Layer[];
  readonly outputs: readonly Output[];
  readonly classes: readonly string[];
  readonly thresholds: readonly number[];
  readonly parameterCount: number;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly createTime: string;
  /** The number of rows of the version's profile; 0 where it has none. */
  readonly profileRows: number;
  /** Why the version serves no requests, or empty. */
  readonly obstacle: string;
  /** The arrays of each layer, or undefined where the spec was not read. */
  readonly weights: readonly Weights[] | undefined;
  /** Rows of inputs that the spec has as examples. */
  readonly examples: readonly (readonly number[])[];
}

export function versionOf(message: VersionMessage, spec?: SpecMessage): Version {
  const width = Number(message.inputs?.width ?? 0);
  const named = message.inputs?.features ?? [];
  const features =
    named.length > 0 ? named.map(featureOf) : Array.from({ length: width }, (_, i) => namelessFeature(i));
  const layers = layersOf(message);
  return {
    network: message.network ?? "",
    number: Number(message.version ?? 0),
    digest: message.digest ?? "",
    aliases: message.aliases ?? [],
    dtype: message.dtype === "DATA_TYPE_FLOAT32" ? "float32" : "float64",
    features,
    isNamed: named.length > 0,
    layers,
    outputs: outputsOf(message, layers),
    classes: message.classLabels ?? [],
    thresholds: message.thresholds ?? [],
    parameterCount: Number(message.parameterCount ?? 0),
    description: message.description ?? "",
    metadata: message.metadata ?? {},
    tags: message.tags ?? [],
    createTime: message.createTime ?? "",
    profileRows: Number(message.profile?.rows ?? 0),
    obstacle: message.corrupt ? "its content is damaged" : message.outOfService ? "it is out of service" : "",
    weights: spec?.layers?.map((layer, index) => weightsOf(layers[index]?.kind ?? "", layer)),
    examples: (spec?.examples ?? []).map((example) => (example.inputs ?? []).map(Number)),
  };
}

function layersOf(message: VersionMessage): Layer[] {
  const width = Number(message.inputs?.width ?? 0);
  const sources = new Map<string, Source>([["inputs", { layer: INPUTS, start: 0, width }]]);
  let start = 0;
  for (const group of message.inputs?.groups ?? []) {
    const size = Number(group.width ?? 0);
    // A group may be called as the whole: then it is all there is.
    sources.set(group.name ?? "", { layer: INPUTS, start, width: size });
    start += size;
  }
  return (message.layers ?? []).map((layer, index, layers) => {
    const name = layer.name ?? "";
    const nodes = layer.nodes ?? Array.from({ length: Number(layer.width ?? 0) }, (_, node) => `${name}_${node}`);
    const before = index === 0 ? "inputs" : (layers[index - 1]?.name ?? "");
    const read = (layer.from?.length ? layer.from : [before]).flatMap((source) => sources.get(source) ?? []);
    sources.set(name, { layer: index, start: 0, width: nodes.length });
    return {
      name,
      nodes,
      kind: layer.kind ?? "dense",
      activation: activationName(layer.activation),
      sources: read,
      merge: mergeName(layer),
    };
  });
}

function mergeName(layer: LayerSummaryMessage): string {
  return (layer.merge ?? "").replace("MERGE_", "").replace("UNSPECIFIED", "").toLowerCase();
}

/** Return an activation in a few characters: its name, or its expression, with its parameters. */
export function activationName(activation: ActivationMessage | undefined): string {
  const parameters = Object.entries(activation?.parameters ?? {}).map(([name, value]) => `${name}=${value}`);
  const name = activation?.expression || activation?.name || "identity";
  return parameters.length > 0 ? `${name} (${parameters.join(", ")})` : name;
}

function outputsOf(message: VersionMessage, layers: readonly Layer[]): Output[] {
  const indices = (message.outputLayers ?? []).map((name) => layers.findIndex((layer) => layer.name === name));
  const nodes = (indices.length > 0 ? indices : [layers.length - 1]).flatMap((layer) =>
    (layers[layer]?.nodes ?? []).map((name, node) => ({ layer, node, name })),
  );
  return nodes.map(({ layer, node, name }, index) => {
    const output: OutputMessage = message.outputs?.[index] ?? {};
    return {
      name: message.outputNames?.[index] ?? name,
      unit: output.unit ?? "",
      description: output.description ?? "",
      scale: output.scale ?? 1,
      shift: output.shift ?? 0,
      layer,
      node,
    };
  });
}

/**
 * Return an output in words: of a classifier its class, else its name. The output's name follows in parentheses where
 * it is another one, and more than a number.
 */
export function outputLabel({ classes, outputs }: Version, index: number): string {
  const name = outputs[index]?.name ?? "";
  const label = classes.slice(-outputs.length)[index] ?? name;
  const shown = label === name || name.endsWith(`_${index}`) ? label : `${label} (${name})`;
  return isOfTwo({ classes, outputs }) ? `probability of ${shown}` : shown;
}

/** Whether a single output is the probability of the second of two classes. */
export function isOfTwo({ classes, outputs }: Pick<Version, "classes" | "outputs">): boolean {
  return classes.length > 0 && outputs.length === 1;
}

/** Return the number of nodes of a layer, or of the inputs. */
export function widthOf(version: Version, layer: number): number {
  return layer === INPUTS ? version.features.length : (version.layers[layer]?.nodes.length ?? 0);
}

export function layerName(version: Version, layer: number): string {
  return layer === INPUTS ? "inputs" : (version.layers[layer]?.name ?? "");
}

export function nodeName(version: Version, layer: number, node: number): string {
  const name = layer === INPUTS ? version.features[node]?.name : version.layers[layer]?.nodes[node];
  return name ?? "";
}
