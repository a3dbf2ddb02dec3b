// Versions of networks for tests: small ones by hand, others by chance.

import type { VersionMessage } from "../src/api/messages";
import { tensorOf } from "../src/api/tensors";
import { type Version, versionOf } from "../src/network/version";

/** Numbers by chance that are the same in every run (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export interface LayerOf {
  name: string;
  from: string[];
  weights: number[][];
  merge?: string;
  activation?: string;
}

export function network(inputs: string[], layers: LayerOf[], more: Partial<VersionMessage> = {}): Version {
  const message: VersionMessage = {
    network: "test",
    version: "1",
    inputs: { width: String(inputs.length), features: inputs.map((name) => ({ name })) },
    layers: layers.map(({ name, from, weights, merge = "", activation = "relu" }) => ({
      name,
      from,
      kind: "dense",
      width: String(weights.length),
      nodes: weights.map((_, node) => `${name}_${node}`),
      activation: { name: activation },
      ...(merge ? { merge: `MERGE_${merge.toUpperCase()}` } : {}),
    })),
    ...more,
  };
  return versionOf(message, {
    layers: layers.map(({ weights }) => ({
      weights: tensorOf(weights.flat(), weights.length, weights[0]?.length ?? 0),
    })),
  });
}

/** The article's network with one hidden layer. */
export const ARTICLE = network(
  ["children", "accounts"],
  [
    {
      name: "hidden",
      from: ["inputs"],
      weights: [
        [1, 1],
        [-1, 1],
      ],
    },
    { name: "output", from: ["hidden"], weights: [[2, -1]] },
  ],
);

/** A network of dense layers in any arrangement: each reads one or two of the layers before it. */
export function randomNetwork(random: () => number, { isWeighted = true } = {}): Version {
  const whole = (most: number) => 1 + Math.floor(random() * most);
  const width = random() < 0.2 ? 100 + whole(400) : whole(70);
  const known = [{ name: "inputs", width }];
  const layers: LayerOf[] = [];
  for (let index = 0; index < whole(9); index++) {
    const sources = [known.at(-1) ?? { name: "inputs", width }];
    const earlier = known[Math.floor(random() * known.length)];
    if (random() < 0.4 && earlier !== undefined && earlier !== sources[0]) sources.push(earlier);
    const nodes = random() < 0.1 ? 300 : whole(random() < 0.5 ? 6 : 70);
    const reads = isWeighted ? sources.reduce((total, source) => total + source.width, 0) : 0;
    const weights = Array.from({ length: nodes }, () => Array.from({ length: reads }, () => random() - 0.5));
    const name = `layer_${index}`;
    layers.push({ name, from: sources.map((source) => source.name), weights, merge: sources.length > 1 ? "concatenate" : "" });
    known.push({ name, width: nodes });
  }
  return network(
    Array.from({ length: width }, (_, index) => `feature ${index}`),
    layers,
  );
}
