// How a node's value is spread over the loaded rows, and where the value of this row is.

import { distributionOf, percentileOf } from "../network/distribution";
import { counted, percent, short } from "../network/numbers";

const WIDTH = 280;
const HEIGHT = 72;

export function Distribution({ values, value }: { values: Float64Array; value: number }) {
  const distribution = distributionOf(values);
  if (distribution === undefined) return null;
  const { bins, quantiles, zeros, count } = distribution;
  const [low, high] = [quantiles[0]?.[1] ?? 0, quantiles.at(-1)?.[1] ?? 0];
  const [left, right] = [Math.min(low, value), Math.max(high, value) + (low === high ? 1 : 0)];
  const most = Math.max(...bins.map((each) => each.count));
  const x = (at: number) => 2 + ((at - left) / (right - left)) * (WIDTH - 4);
  const y = (rows: number) => (rows / most) * (HEIGHT - 18);
  return (
    <section aria-labelledby="distribution-heading">
      <h3 id="distribution-heading">{`Over ${counted(count, "row")}`}</h3>
      <svg class="histogram" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {bins.map((each) => (
          <rect
            key={each.low}
            x={x(each.low)}
            width={Math.max(1, x(each.high) - x(each.low) - 1)}
            y={HEIGHT - 14 - y(each.count)}
            height={y(each.count)}
          />
        ))}
        {Number.isFinite(value) && <path d={`M${x(value)},0V${HEIGHT - 14}`} />}
        <text x="2" y={HEIGHT - 2}>
          {short(left, 3)}
        </text>
        <text x={WIDTH - 2} y={HEIGHT - 2} class="end">
          {short(right, 3)}
        </text>
      </svg>
      <p class="note">{`${percent(percentileOf(values, value))} of the rows are below ${short(value)}; ${percent(zeros)} are 0.`}</p>
      <table class="quantiles">
        <caption class="hidden">Quantiles</caption>
        <thead>
          <tr>
            {quantiles.map(([share]) => (
              <th scope="col" class="number" key={share}>
                {share === 0 ? "min" : share === 1 ? "max" : percent(share)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            {quantiles.map(([share, quantile]) => (
              <td class="number" key={share}>
                {short(quantile, 3)}
              </td>
            ))}
          </tr>
        </tbody>
      </table>
    </section>
  );
}
