// The outputs of a row, as people know them: with units, or as a class with its probability.

import { percent, short } from "../network/numbers";
import type { Values } from "../network/values";
import type { Version } from "../network/version";

const MAX_OUTPUTS = 6;

export function Outputs({ version, values }: { version: Version; values: Values }) {
  const said = values.classification;
  return (
    <div class="results">
      {said !== undefined ? (
        <ClassOutputs values={values} />
      ) : (
        <dl class={version.outputs.length > 3 ? "outputs many" : "outputs"}>
          {version.outputs.slice(0, MAX_OUTPUTS).map((output, index) => (
            <div key={output.name} title={output.description || undefined}>
              <dt>{output.name}</dt>
              <dd>
                {short(values.outputs[index] ?? Number.NaN, 6)}
                {output.unit && <span class="unit"> {output.unit}</span>}
              </dd>
            </div>
          ))}
          {version.outputs.length > MAX_OUTPUTS && (
            <div>
              <dt>and</dt>
              <dd>{`${version.outputs.length - MAX_OUTPUTS} more`}</dd>
            </div>
          )}
        </dl>
      )}
      {values.warnings.map((warning) => (
        <p class="note warn" key={warning}>
          {warning}
        </p>
      ))}
    </div>
  );
}

function ClassOutputs({ values }: { values: Values }) {
  const { label = "", probability = 0, top = [], chosen = [] } = values.classification ?? {};
  const others = top.length > 0 ? top : [{ label, probability }];
  return (
    <>
      <dl class="outputs">
        <div>
          <dt>{chosen.length > 1 ? "classes" : "class"}</dt>
          <dd>{chosen.length > 1 ? chosen.join(", ") : label}</dd>
        </div>
        <div>
          <dt>probability</dt>
          <dd>{percent(probability)}</dd>
        </div>
      </dl>
      <ol class="classes">
        {others.map(({ label: name = "", probability: share = 0 }) => (
          <li key={name} class={name === label ? "chosen" : ""}>
            <span>{name}</span>
            <meter min={0} max={1} value={share} aria-label={name} />
            <span class="number">{percent(share)}</span>
          </li>
        ))}
      </ol>
    </>
  );
}
