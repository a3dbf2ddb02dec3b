// The form for a row: a slider for a number, a list for a category, and what is missing or unknown.

import { useState } from "preact/hooks";
import { type Cell, type Feature, fillWords, isUnknown, sliderRange, unknownCategory } from "../network/features";
import { short } from "../network/numbers";
import type { Version } from "../network/version";
import { rowFor, type Store } from "../state/store";

const MAX_SHOWN = 40;
const MISSING = "missing";

export function InputForm({ store, version }: { store: Store; version: Version }) {
  const [filter, setFilter] = useState("");
  const matching = version.features
    .map((feature, index) => ({ feature, index }))
    .filter(({ feature }) => matches(feature, filter));
  const shown = matching.slice(0, MAX_SHOWN);
  return (
    <section class="card inputs" aria-labelledby="inputs-heading">
      <div class="card-head">
        <h2 id="inputs-heading">Inputs</h2>
        <button type="button" class="quiet" onClick={() => (store.row.value = rowFor(version, undefined))}>
          Reset
        </button>
      </div>
      {version.features.length > 12 && (
        <label class="filter">
          <span class="hidden">Find an input</span>
          <input
            type="search"
            placeholder="Find an input"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
      )}
      <div class="fields">
        {shown.map(({ feature, index }) => (
          <Field
            key={`${version.network}/${version.number}/${index}`}
            feature={feature}
            id={`input-${index}`}
            examples={version.examples.map((example) => example[index] ?? Number.NaN)}
            cell={store.row.value[index] ?? null}
            onChange={(cell) => store.setCell(index, cell)}
          />
        ))}
      </div>
      {matching.length > shown.length && (
        <p class="note">{`${matching.length - shown.length} more inputs: find them by name.`}</p>
      )}
    </section>
  );
}

function matches(feature: Feature, filter: string): boolean {
  return feature.name.toLowerCase().includes(filter.trim().toLowerCase());
}

interface FieldProps {
  feature: Feature;
  id: string;
  examples: readonly number[];
  cell: Cell;
  onChange: (cell: Cell) => void;
}

function Field(props: FieldProps) {
  const { feature, id } = props;
  return (
    <div class="field">
      <label for={id} title={feature.description || undefined}>
        {feature.name}
        {feature.unit && <span class="unit"> {feature.unit}</span>}
      </label>
      {feature.kind === "number" ? <NumberField {...props} /> : <ChoiceField {...props} />}
    </div>
  );
}

function NumberField({ feature, id, examples, cell, onChange }: FieldProps) {
  const range = sliderRange(feature, examples);
  const value = typeof cell === "number" ? cell : undefined;
  const isOut =
    value !== undefined &&
    ((feature.low !== undefined && value < feature.low) || (feature.high !== undefined && value > feature.high));
  const change = (text: string) => {
    const number = Number(text);
    if (text.trim() !== "" && !Number.isNaN(number)) onChange(number);
  };
  return (
    <>
      <input
        id={id}
        class="number"
        type="number"
        step="any"
        value={value === undefined ? "" : value}
        placeholder={value === undefined ? MISSING : ""}
        onInput={(event) => change(event.currentTarget.value)}
      />
      <input
        class="slider"
        type="range"
        aria-label={`${feature.name}, slider`}
        min={range.low}
        max={range.high}
        step={range.step}
        value={value ?? (range.low + range.high) / 2}
        aria-valuetext={value === undefined ? MISSING : `${short(value, 6)} ${feature.unit}`}
        onInput={(event) => change(event.currentTarget.value)}
      />
      {feature.missing && (
        <label class="missing">
          <input
            type="checkbox"
            checked={cell === null}
            onChange={(event) => onChange(event.currentTarget.checked ? null : middle(feature, range))}
          />
          missing <span class="note">(taken as {fillWords(feature.missing)})</span>
        </label>
      )}
      {isOut && (
        <p class="note warn">
          Out of range: {short(feature.low ?? -Infinity, 6)} to {short(feature.high ?? Infinity, 6)}
        </p>
      )}
    </>
  );
}

function middle(feature: Feature, range: { low: number; high: number }): number {
  return feature.scale !== 1 || feature.mean !== 0 ? feature.mean : (range.low + range.high) / 2;
}

/** A list of the categories, or of yes and no; its values are places in the list, since a category may be any text. */
function ChoiceField({ feature, id, cell, onChange }: FieldProps) {
  const choices: { cell: Cell; text: string }[] =
    feature.kind === "boolean"
      ? [
          { cell: true, text: "yes" },
          { cell: false, text: "no" },
        ]
      : feature.categories.map((category) => ({ cell: category, text: category }));
  if (feature.unknown)
    choices.push({ cell: unknownCategory(feature), text: `any other (taken as ${fillWords(feature.unknown)})` });
  if (feature.missing) choices.push({ cell: null, text: `missing (taken as ${fillWords(feature.missing)})` });
  const place = choices.findIndex(
    (choice) => choice.cell === cell || (isUnknown(feature, choice.cell) && isUnknown(feature, cell)),
  );
  return (
    <select
      id={id}
      class="choice"
      value={String(place)}
      onChange={(event) => onChange(choices[Number(event.currentTarget.value)]?.cell ?? null)}
    >
      {place < 0 && <option value="-1">{cell === null ? MISSING : String(cell)}</option>}
      {choices.map((choice, index) => (
        <option key={choice.text} value={String(index)}>
          {choice.text}
        </option>
      ))}
    </select>
  );
}
