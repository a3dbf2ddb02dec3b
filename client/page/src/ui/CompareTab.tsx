// Two rows, or two versions: what to compare with, and which nodes differ.

import { rowInWords } from "../api/rows";
import { differencesOf } from "../network/differences";
import { counted, short, signed } from "../network/numbers";
import type { Traced } from "../state/store";
import type { TabProps } from "./Tabs";

const MAX_DIFFERENCES = 40;

export function CompareTab({ store, version }: TabProps) {
  const comparison = store.comparison.value;
  const [traced, other] = [store.traced.value, store.other.value];
  const numbers = store.versions.value
    .map((message) => message.version ?? "")
    .filter((number) => number !== String(version.number));
  return (
    <>
      <div class="toolbar">
        <button type="button" onClick={() => (store.comparison.value = { kind: "row", row: store.row.value })}>
          Keep this row to compare with
        </button>
        {numbers.length > 0 && (
          <label>
            or with version
            <select
              value={comparison?.kind === "version" ? comparison.version : ""}
              onChange={({ currentTarget: { value } }) =>
                (store.comparison.value = value ? { kind: "version", version: value } : undefined)
              }
            >
              <option value="">none</option>
              {numbers.map((number) => (
                <option key={number} value={number}>
                  {number}
                </option>
              ))}
            </select>
          </label>
        )}
        {comparison && (
          <button type="button" class="quiet" onClick={() => (store.comparison.value = undefined)}>
            Stop comparing
          </button>
        )}
      </div>
      {comparison === undefined && (
        <p class="note">Keep a row, then move a slider: both are drawn, and what differs is marked.</p>
      )}
      {comparison && traced && other && <Differences traced={traced} other={other} />}
    </>
  );
}

function Differences({ traced, other }: { traced: Traced; other: Traced }) {
  const found = differencesOf(traced, other);
  const isSameVersion = traced.version.number === other.version.number;
  const names = isSameVersion
    ? ["this row", "the other row"]
    : [`version ${traced.version.number}`, `version ${other.version.number}`];
  if (found.length === 0) return <p>Every node has the same value.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Nodes that differ">
      <table class="values">
        <caption>
          {counted(found.length, "node")} differ{found.length === 1 ? "s" : ""}, the largest first
          {isSameVersion && <span class="note"> (the other row: {rowInWords(other.version, other.row)})</span>}
        </caption>
        <thead>
          <tr>
            <th scope="col">layer</th>
            <th scope="col">node</th>
            <th scope="col" class="number">
              {names[0]}
            </th>
            <th scope="col" class="number">
              {names[1]}
            </th>
            <th scope="col" class="number">
              difference
            </th>
          </tr>
        </thead>
        <tbody>
          {found.slice(0, MAX_DIFFERENCES).map((difference) => (
            <tr key={`${difference.layer}/${difference.node}`}>
              <td>{difference.layer}</td>
              <th scope="row">{difference.node}</th>
              <td class="number">{short(difference.one, 6)}</td>
              <td class="number">{short(difference.other, 6)}</td>
              <td class="number">{signed(difference.one - difference.other)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.length > MAX_DIFFERENCES && <p class="note">{`${found.length - MAX_DIFFERENCES} more`}</p>}
    </div>
  );
}
