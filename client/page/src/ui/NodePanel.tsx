// The selected node: its sum, its edges.

import { compact, short } from "../network/numbers";
import { activationInWords, largest, type NodeSum, sumInWords, sumOf, total } from "../network/sums";
import { isUnusual, usualInWords } from "../network/usual";
import { percentileAt } from "../network/values";
import { layerName, nodeName, type Version } from "../network/version";
import { edgesOutOf } from "../picture/edges";
import type { NodeRef, Store, Traced } from "../state/store";
import { Bar } from "./Bar";
import { Distribution } from "./Distribution";

const MAX_TERMS = 8;

export function NodePanel({ store, version }: { store: Store; version: Version }) {
  const traced = store.traced.value;
  const node = store.node.value;
  return (
    <section class="card node-panel" aria-labelledby="node-heading">
      {node === undefined || traced === undefined || traced.version !== version ? (
        <>
          <h2 id="node-heading">How to read this</h2>
          <HowToRead {...(traced ? { traced } : {})} />
        </>
      ) : (
        <Selected store={store} traced={traced} place={node} />
      )}
    </section>
  );
}

/** What a forward pass is, by the first node of the network at hand. */
function HowToRead({ traced }: { traced?: Traced }) {
  const sum = traced && traced.version.layers.length > 0 ? sumOf(traced.version, traced.values, 0, 0) : undefined;
  return (
    <>
      <ol class="how">
        <li>Values flow from left to right. On its way along an edge, a value is multiplied by the edge’s weight.</li>
        <li>
          A node adds up what arrives{sum && sum.terms.length > 0 && sum.terms.length <= 4 ? ":" : "."}
          {sum && sum.terms.length > 0 && sum.terms.length <= 4 && <span class="sum">{sumInWords(sum)}</span>}
        </li>
        <li>
          Its activation function turns the sum into the node’s value{sum && activationInWords(sum) ? ":" : "."}
          {sum && activationInWords(sum) && <span class="sum">{activationInWords(sum)}</span>}
        </li>
        <li>The values of the last layer are the prediction.</li>
      </ol>
      <p class="note">Move a slider and watch. Point at a node to see its sum; click it to keep it here.</p>
    </>
  );
}

function Selected({ store, traced, place }: { store: Store; traced: Traced; place: NodeRef }) {
  const { version, values } = traced;
  const sum = sumOf(version, values, place.layer, place.node);
  const percentile = percentileAt(values, place.layer, place.node);
  const usual = usualInWords(percentile, values.percentiles?.rows ?? 0);
  const known = store.rows.nodeValues.value;
  const isSame = known?.version === version && known.node.layer === place.layer && known.node.node === place.node;
  const spread = isSame ? known : undefined;
  return (
    <>
      <div class="card-head">
        <h2 id="node-heading">{sum.name}</h2>
        <button type="button" class="quiet" onClick={() => (store.node.value = undefined)}>
          Close
        </button>
      </div>
      <p class="note">{layerName(version, place.layer)}</p>
      <p class="big-sum">
        {sumInWords(sum, { terms: 4 })}
        {activationInWords(sum) && <span>{activationInWords(sum)}</span>}
      </p>
      {usual && <p class={isUnusual(percentile) ? "odd" : "note"}>{usual}</p>}
      {spread && <Distribution values={spread.values} value={sum.value} />}
      {sum.terms.length > 0 && <Incoming sum={sum} />}
      <Outgoing traced={traced} place={place} />
    </>
  );
}

function Incoming({ sum }: { sum: NodeSum }) {
  const shown = [...largest(sum.terms, MAX_TERMS)].sort(
    (one, other) => Math.abs(other.product) - Math.abs(one.product),
  );
  const rest = sum.terms.filter((term) => !shown.includes(term));
  const most = Math.max(...sum.terms.map((term) => Math.abs(term.product)), Math.abs(sum.bias));
  return (
    <table class="terms sums">
      <caption>What it reads</caption>
      <thead>
        <tr>
          <th scope="col">from</th>
          <th scope="col" class="number">
            value × weight
          </th>
          <th scope="col" class="number">
            adds
          </th>
          <th scope="col">
            <span class="hidden">bar</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((term) => (
          <tr key={term.name}>
            <th scope="row" title={term.name}>
              {term.name}
            </th>
            <td class="number">{`${compact(term.value, 3, 6)} × ${compact(term.weight, 3, 6)}`}</td>
            <td class="number">{short(term.product, 3)}</td>
            <td>
              <Bar amount={term.product} most={most} />
            </td>
          </tr>
        ))}
        {rest.length > 0 && <Rest name={`${rest.length} more`} amount={total(rest)} most={most} />}
        {sum.bias !== 0 && <Rest name="bias" amount={sum.bias} most={most} />}
      </tbody>
    </table>
  );
}

function Rest({ name, amount, most }: { name: string; amount: number; most: number }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td />
      <td class="number">{short(amount, 3)}</td>
      <td>
        <Bar amount={amount} most={most} />
      </td>
    </tr>
  );
}

function Outgoing({ traced, place }: { traced: Traced; place: NodeRef }) {
  const edges = edgesOutOf(traced.version, traced.values, place.layer, place.node, MAX_TERMS).reverse();
  if (edges.length === 0) return null;
  const most = Math.max(...edges.map((edge) => Math.abs(edge.amount)));
  return (
    <table class="terms sums">
      <caption>What reads it</caption>
      <thead>
        <tr>
          <th scope="col">node</th>
          <th scope="col" class="number">
            weight
          </th>
          <th scope="col" class="number">
            adds
          </th>
          <th scope="col">
            <span class="hidden">bar</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {edges.map((edge) => (
          <tr key={`${edge.to.layer}/${edge.to.node}`}>
            <th scope="row">{nodeName(traced.version, edge.to.layer, edge.to.node)}</th>
            <td class="number">{edge.weight === undefined ? "" : short(edge.weight, 3)}</td>
            <td class="number">{short(edge.amount, 3)}</td>
            <td>
              <Bar amount={edge.amount} most={most} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
