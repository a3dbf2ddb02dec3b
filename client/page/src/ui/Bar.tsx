// A bar from a middle line: to the right where an amount is positive, else to the left.

const WIDTH = 40;

export function Bar({ amount, most }: { amount: number; most: number }) {
  const length = most > 0 && Number.isFinite(amount) ? Math.min(Math.abs(amount) / most, 1) * (WIDTH / 2) : 0;
  return (
    <svg class="bar" width={WIDTH} height="12" aria-hidden="true">
      <line x1={WIDTH / 2} x2={WIDTH / 2} y1="0" y2="12" />
      <rect
        class={amount < 0 ? "negative" : "positive"}
        x={amount < 0 ? WIDTH / 2 - length : WIDTH / 2}
        y="2"
        height="8"
        width={length}
      />
    </svg>
  );
}
