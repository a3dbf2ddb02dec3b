// The shares of the inputs in an output.

import type { ExplainResponse } from "../api/messages";
import { numbersOf } from "../api/tensors";
import { outputLabel, type Version } from "./version";

export interface Share {
  readonly name: string;
  readonly amount: number;
}

export interface Shares {
  /** The output that is divided, or the class that it stands for. */
  readonly output: string;
  readonly unit: string;
  readonly value: number;
  /** The output of the baseline, to which the shares add up the value; undefined for methods that have none. */
  readonly baseline: number | undefined;
  /** The largest first. */
  readonly shares: readonly Share[];
}

/** Return the shares of each explained output of the first row. */
export function sharesOf(version: Version, response: ExplainResponse): Shares[] {
  const explained = response.explainedOutputs ?? [];
  const [amounts, values] = [numbersOf(response.attributions), numbersOf(response.explainedValues)];
  const baselines = numbersOf(response.baselineOutputs);
  const width = version.features.length;
  return explained.map((output, index) => {
    const shares = version.features.map((feature, input) => ({
      name: feature.name,
      amount: amounts[index * width + input] ?? Number.NaN,
    }));
    shares.sort((one, other) => Math.abs(other.amount) - Math.abs(one.amount));
    return {
      output: outputLabel(version, output),
      unit: version.outputs[output]?.unit ?? "",
      value: values[index] ?? Number.NaN,
      baseline: baselines[index],
      shares,
    };
  });
}
