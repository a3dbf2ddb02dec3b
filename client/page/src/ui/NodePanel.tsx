// The selected node: its sum, its edges.

import { compact, short } from "../network/numbers";
import { activationInWords, largest, type NodeSum, sumInWords, sumOf, total } from "../network/sums";
import { isUnusual, usualInWords } from "../network/usual";
import { percentileAt } from "../network/values";
import { layerName, nodeName, type Version } from "../network/version";
import { edgesOutOf } from "../picture/edges";
import type { NodeRef, Store, Traced } from "../state/store";
import { AmountRow, AmountsTable } from "./AmountsTable";
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
    <AmountsTable caption="What it reads" columns={["from", "value × weight", "adds"]} isSum>
      {shown.map(({ name, value, weight, product }) => {
        const factors = `${compact(value, 3, 6)} × ${compact(weight, 3, 6)}`;
        return <AmountRow key={name} name={name} numbers={[factors, short(product, 3)]} amount={product} most={most} />;
      })}
      {rest.length > 0 && <Rest name={`${rest.length} more`} amount={total(rest)} most={most} />}
      {sum.bias !== 0 && <Rest name="bias" amount={sum.bias} most={most} />}
    </AmountsTable>
  );
}

function Rest({ name, amount, most }: { name: string; amount: number; most: number }) {
  return <AmountRow name={name} numbers={["", short(amount, 3)]} amount={amount} most={most} />;
}

function Outgoing({ traced, place }: { traced: Traced; place: NodeRef }) {
  const edges = edgesOutOf(traced.version, traced.values, place.layer, place.node, MAX_TERMS).reverse();
  if (edges.length === 0) return null;
  const most = Math.max(...edges.map((edge) => Math.abs(edge.amount)));
  return (
    <AmountsTable caption="What reads it" columns={["node", "weight", "adds"]} isSum>
      {edges.map(({ to, weight, amount }) => (
        <AmountRow
          key={`${to.layer}/${to.node}`}
          name={nodeName(traced.version, to.layer, to.node)}
          numbers={[weight === undefined ? "" : short(weight, 3), short(amount, 3)]}
          amount={amount}
          most={most}
        />
      ))}
    </AmountsTable>
  );
}
