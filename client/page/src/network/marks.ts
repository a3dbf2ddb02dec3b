// Nodes that stand out: dead ones pass nothing on, saturated ones are at an end of their activation.

export type Mark = "dead" | "saturated" | "";

const SATURATION = 0.01;

/** Returns whether a value is within a hundredth of an end, by the name of an activation. */
const ENDS: Record<string, readonly number[]> = {
  sigmoid: [0, 1],
  tanh: [-1, 1],
  hard_sigmoid: [0, 1],
  hard_tanh: [-1, 1],
  softsign: [-1, 1],
  relu6: [6],
};

const CAN_BE_DEAD = new Set(["relu", "relu6", "leaky_relu", "prelu", "hard_swish", "hard_sigmoid"]);

/** Return the mark of a node by its activation, pre-activation and value. */
export function markOf(activation: string, before: number, value: number): Mark {
  const name = activation.split(" ", 1)[0] ?? "";
  if (CAN_BE_DEAD.has(name) && value === 0 && before <= 0) return "dead";
  const ends = ENDS[name];
  return ends?.some((end) => Math.abs(value - end) < SATURATION) ? "saturated" : "";
}
