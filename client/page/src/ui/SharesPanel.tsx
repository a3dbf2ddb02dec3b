// Why the output is what it is: the share of each input.

import { useState } from "preact/hooks";
import { METHODS, type Method } from "../api/calls";
import { short, signed } from "../network/numbers";
import type { Shares } from "../network/shares";
import { isOfTwo, type Version } from "../network/version";
import type { Store } from "../state/store";
import { AmountRow, AmountsTable } from "./AmountsTable";

const MAX_SHARES = 10;

export function SharesPanel({ store, version }: { store: Store; version: Version }) {
  const { explanation } = store;
  const [chosen, setChosen] = useState(0);
  if (!explanation.isAvailable.value) return null;
  const found = explanation.found.value;
  const all = found?.version === version ? found.shares : [];
  const shares = all[chosen] ?? all[0];
  if (shares === undefined && explanation.error.value === "") return null;
  return (
    <section class="card shares" aria-labelledby="shares-heading">
      <h2 id="shares-heading">{shares ? `Why ${isOfTwo(version) ? "this " : ""}${shares.output}?` : "Why?"}</h2>
      <div class="toolbar">
        <label>
          <span class="hidden">Method</span>
          <select
            value={explanation.method.value}
            onChange={(event) => (explanation.method.value = event.currentTarget.value as Method)}
          >
            {METHODS.map((method) => (
              <option key={method} value={method}>
                {method.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        </label>
        {all.length > 1 && (
          <label>
            <span class="hidden">Output</span>
            <select value={String(chosen)} onChange={(event) => setChosen(Number(event.currentTarget.value))}>
              {all.map(({ output }, index) => (
                <option key={output} value={String(index)}>
                  {output}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {explanation.error.value && <p class="note warn">{explanation.error.value}</p>}
      {shares && (
        <SharesTable shares={shares} baselineName={found?.isCompared ? "for the other row" : nameOfMeans(version)} />
      )}
    </section>
  );
}

/** Name the baseline of means; where no input is standardized and none has categories, it is zeros. */
function nameOfMeans({ features }: Version): string {
  const isZeros = features.every(({ kind, mean }) => kind === "number" && mean === 0);
  return isZeros ? "at zeros" : "at the means";
}

interface SharesTableProps {
  shares: Shares;
  baselineName: string;
}

function SharesTable({ shares: { shares, value, baseline, unit }, baselineName }: SharesTableProps) {
  const shown = shares.slice(0, MAX_SHARES);
  const rest = shares.slice(MAX_SHARES);
  const ofRest = rest.reduce((sum, share) => sum + share.amount, 0);
  const most = Math.max(...shares.map((share) => Math.abs(share.amount)));
  return (
    <AmountsTable caption={<span class="hidden">The share of each input</span>} columns={["input", "share"]}>
      {baseline !== undefined && <Total name={baselineName} value={baseline} unit={unit} />}
      {shown.map(({ name, amount }) => (
        <AmountRow key={name} name={name} numbers={[signed(amount, 3)]} amount={amount} most={most} />
      ))}
      {rest.length > 0 && (
        <AmountRow name={`${rest.length} more`} numbers={[signed(ofRest, 3)]} amount={ofRest} most={most} />
      )}
      <Total name={baseline === undefined ? "output" : "for this row"} value={value} unit={unit} />
    </AmountsTable>
  );
}

function Total({ name, value, unit }: { name: string; value: number; unit: string }) {
  return (
    <tr class="total">
      <th scope="row">{name}</th>
      <td class="number">
        {short(value)} {unit}
      </td>
      <td />
    </tr>
  );
}
