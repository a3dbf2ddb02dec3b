// Plays the pass: column after column appears, each with a sentence.

import { useEffect } from "preact/hooks";
import { INPUTS, type Version } from "../network/version";
import type { Layout } from "../picture/layout";

const STEP_MS = 1_400;

interface PlayProps {
  version: Version;
  layout: Layout;
  /** The number of columns that are shown; undefined where the pass is not played. */
  revealed: number | undefined;
  onReveal: (revealed: number | undefined) => void;
}

export function Play({ version, layout, revealed, onReveal }: PlayProps) {
  const columns = 1 + Math.max(...layout.columnOf.values());
  useEffect(() => {
    if (revealed === undefined) return;
    const timer = setTimeout(() => onReveal(revealed < columns ? revealed + 1 : undefined), STEP_MS);
    return () => clearTimeout(timer);
  }, [revealed, columns]);
  return (
    <p class="play">
      <button type="button" class="quiet" onClick={() => onReveal(revealed === undefined ? 1 : undefined)}>
        {revealed === undefined ? "▶ Play the pass" : "■ Stop"}
      </button>
      <span role="status">{revealed === undefined ? "" : sentence(version, layout, revealed - 1)}</span>
    </p>
  );
}

/** Return what happens in a column. */
function sentence(version: Version, layout: Layout, column: number): string {
  const layers = [...layout.columnOf]
    .filter(([layer, at]) => at === column && layer !== INPUTS)
    .map(([layer]) => layer);
  if (layers.length === 0) return "The inputs go in.";
  const names = layers.map((layer) => version.layers[layer]?.name ?? "").join(" and ");
  const activations = [...new Set(layers.map((layer) => version.layers[layer]?.activation ?? ""))];
  const [activation] = activations;
  const then = activations.length > 1 || activation === "identity" ? "" : `, then applies ${activation}`;
  return `Each node of ${names} adds up value × weight${then}.`;
}
