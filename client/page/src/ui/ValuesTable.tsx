// The picture as a table: every node with its sum and its value.

import { markOf } from "../network/marks";
import { short } from "../network/numbers";
import { sumInWords, sumOf } from "../network/sums";
import { INPUTS, layerName, type Version, widthOf } from "../network/version";
import type { Store } from "../state/store";

const MAX_ROWS_OF_LAYER = 64;

export function ValuesTable({ store, version }: { store: Store; version: Version }) {
  const traced = store.traced.value;
  if (traced?.version !== version) return null;
  const layers = [INPUTS, ...version.layers.keys()];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Every node as a table">
      <table class="values">
        <caption class="hidden">Every node of version {version.number}, with its sum and its value</caption>
        <thead>
          <tr>
            <th scope="col">layer</th>
            <th scope="col">node</th>
            <th scope="col">sum</th>
            <th scope="col">activation</th>
            <th scope="col" class="number">
              value
            </th>
            <th scope="col">mark</th>
          </tr>
        </thead>
        {layers.map((layer) => (
          <tbody key={layer}>
            {Array.from({ length: Math.min(MAX_ROWS_OF_LAYER, widthOf(version, layer)) }, (_, node) => {
              const sum = sumOf(version, traced.values, layer, node);
              return (
                <tr key={node}>
                  <td>{layerName(version, layer)}</td>
                  <th scope="row">{sum.name}</th>
                  <td class="sum">{sumInWords(sum, { terms: 4 })}</td>
                  <td>{layer === INPUTS ? "" : sum.activation}</td>
                  <td class="number">{short(sum.value, 6)}</td>
                  <td>{layer === INPUTS ? "" : markOf(sum.activation, sum.before, sum.value)}</td>
                </tr>
              );
            })}
            {widthOf(version, layer) > MAX_ROWS_OF_LAYER && (
              <tr>
                <td>{layerName(version, layer)}</td>
                <td
                  colSpan={5}
                >{`${widthOf(version, layer) - MAX_ROWS_OF_LAYER} more nodes: the download as JSON has all of them.`}</td>
              </tr>
            )}
          </tbody>
        ))}
      </table>
    </div>
  );
}
