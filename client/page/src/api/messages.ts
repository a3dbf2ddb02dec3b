// The messages of protos/forwardpass/v1 as protobuf's JSON: default values are left out, 64-bit integers are strings.

import type { Tensor } from "./tensors";

export interface FillValue {
  nan?: boolean;
  number?: number;
  category?: string;
}

export interface FeatureMessage {
  name?: string;
  mean?: number;
  scale?: number;
  unit?: string;
  description?: string;
  kind?: string;
  low?: number;
  high?: number;
  outOfRange?: string;
  categories?: string[];
  missing?: FillValue;
  unknown?: FillValue;
}

export interface InputsMessage {
  width?: string;
  features?: FeatureMessage[];
  groups?: { name?: string; width?: string }[];
}

export interface ActivationMessage {
  name?: string;
  expression?: string;
  parameters?: Record<string, number>;
}

export interface LayerSummaryMessage {
  name?: string;
  width?: string;
  activation?: ActivationMessage;
  nodes?: string[];
  from?: string[];
  merge?: string;
  kind?: string;
}

export interface OutputMessage {
  unit?: string;
  description?: string;
  scale?: number;
  shift?: number;
}

export interface VersionMessage {
  network?: string;
  version?: string;
  digest?: string;
  createTime?: string;
  aliases?: string[];
  dtype?: string;
  inputs?: InputsMessage;
  layers?: LayerSummaryMessage[];
  outputNames?: string[];
  classLabels?: string[];
  parameterCount?: string;
  sizeBytes?: string;
  description?: string;
  metadata?: Record<string, string>;
  tags?: string[];
  corrupt?: boolean;
  numerics?: string;
  outOfService?: boolean;
  outputLayers?: string[];
  outputs?: OutputMessage[];
  thresholds?: number[];
  profile?: { rows?: string };
}

/** A layer with its arrays. The fields of each kind stand in `protos/forwardpass/v1/network.proto`. */
export interface LayerMessage {
  weights?: Tensor;
  bias?: Tensor;
  mask?: Tensor;
  scaleShift?: { scale?: Tensor; shift?: Tensor };
  batchNorm?: { mean?: Tensor; variance?: Tensor; gamma?: Tensor; beta?: Tensor; epsilon?: number };
  layerNorm?: { gamma?: Tensor; beta?: Tensor; epsilon?: number };
  embedding?: { table?: Tensor };
  oneHot?: { categories?: Tensor; indices?: Tensor };
  bucketize?: { boundaries?: Tensor };
  lookup?: { keys?: Tensor; values?: Tensor; default?: number };
  clip?: { low?: Tensor; high?: Tensor };
  impute?: { values?: Tensor; missing?: number };
  dropout?: { rate?: number };
  take?: { indices?: Tensor };
  pool?: { windows?: Tensor; reduce?: string };
  matmul?: { groups?: string; rows?: string; inner?: string; columns?: string };
  elementwise?: { expression?: string };
  groupSoftmax?: { groups?: string };
  groupSparsemax?: { groups?: string };
  conv?: ConvMessage;
  recurrent?: RecurrentMessage;
}

/** A convolution; the lists have a number for each axis, and are absent where they are of their defaults. */
export interface ConvMessage {
  weights?: Tensor;
  bias?: Tensor;
  inputShape?: string[];
  kernelShape?: string[];
  strides?: string[];
  pads?: string[];
  dilations?: string[];
  inputDilations?: string[];
  group?: string;
}

export interface RecurrentMessage {
  weights?: Tensor;
  recurrentWeights?: Tensor;
  bias?: Tensor;
  recurrentBias?: Tensor;
  cell?: string;
  steps?: string;
}

export interface SpecMessage {
  layers?: LayerMessage[];
  examples?: { inputs?: number[]; outputs?: number[] }[];
}

export interface NetworkMessage {
  name?: string;
  latestVersion?: string;
  aliases?: Record<string, string>;
  versionCount?: number;
  description?: string;
  updateTime?: string;
}

export interface ClassificationMessage {
  label?: string;
  probability?: number;
  chosen?: string[];
  top?: { label?: string; probability?: number }[];
}

export interface WarningMessage {
  row?: string;
  feature?: string;
  value?: number;
  message?: string;
}

export interface PredictResponse {
  outputs?: Tensor;
  network?: string;
  version?: string;
  digest?: string;
  outputNames?: string[];
  classifications?: ClassificationMessage[];
  warnings?: WarningMessage[];
}

export interface LayerTraceMessage {
  name?: string;
  nodes?: string[];
  preActivation?: Tensor;
  activation?: Tensor;
}

export interface TraceResponse extends PredictResponse {
  inputs?: Tensor;
  inputNames?: string[];
  layers?: LayerTraceMessage[];
  percentiles?: { rows?: string; inputs?: Tensor; layers?: Tensor[] };
}

export interface ExplainResponse {
  outputNames?: string[];
  attributions?: Tensor;
  explainedOutputs?: number[];
  explainedValues?: Tensor;
  baselineOutputs?: Tensor;
}

export interface StatusMessage {
  code?: number;
  message?: string;
  details?: { "@type"?: string; reason?: string }[];
}
