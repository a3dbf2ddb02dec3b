// The windows of a convolution: which values each node reads, with which weights.

import type { ConvMessage } from "../api/messages";
import { numbersOf } from "../api/tensors";
import type { Link } from "./weights";

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
  readonly dilation: number;
  /** The distance between neighbouring values, between which there are zeros. */
  readonly spread: number;
  readonly windows: number;
}

/** Return what the nodes of a convolution read: filter by filter, and window by window along each axis. */
export function windowsOf(message: ConvMessage): {
  links: (node: number) => Link[];
  filterOf: (node: number) => number;
} {
  const weights = numbersOf(message.weights);
  const axes = axesOf(message);
  const channels = Number(message.inputShape?.[0] ?? 1);
  const [filters, group] = [Number(message.weights?.shape?.[0] ?? 1), Number(message.group ?? 1)];
  const positions = product(axes.map((axis) => axis.windows));
  const kernel = product(axes.map((axis) => axis.kernel));
  const size = product(axes.map((axis) => axis.size));
  const read = channels / group;
  const filterOf = (node: number) => Math.floor(node / positions);

  function links(node: number): Link[] {
    const filter = filterOf(node);
    const window = placeOf(
      node % positions,
      axes.map((axis) => axis.windows),
    );
    const first = Math.floor(filter / (filters / group)) * read;
    const found: Link[] = [];
    for (let channel = 0; channel < read; channel++) {
      for (let at = 0; at < kernel; at++) {
        const value = valueAt(
          axes,
          window,
          placeOf(
            at,
            axes.map((axis) => axis.kernel),
          ),
        );
        if (value === undefined) continue;
        const weight = weights[(filter * read + channel) * kernel + at] ?? 0;
        found.push({ input: (first + channel) * size + value, weight });
      }
    }
    return found;
  }
  return { links, filterOf };
}

function axesOf({ inputShape = [], kernelShape = [], strides, pads, dilations, inputDilations }: ConvMessage): Axis[] {
  return kernelShape.map((text, axis) => {
    const [size, kernel] = [Number(inputShape[axis + 1] ?? 1), Number(text)];
    const [stride, dilation] = [Number(strides?.[axis] ?? 1), Number(dilations?.[axis] ?? 1)];
    const [pad, after] = [Number(pads?.[axis] ?? 0), Number(pads?.[axis + kernelShape.length] ?? 0)];
    const spread = Number(inputDilations?.[axis] ?? 1);
    const padded = (size - 1) * spread + 1 + pad + after;
    const windows = Math.floor((padded - (kernel - 1) * dilation - 1) / stride) + 1;
    return { size, kernel, stride, pad, dilation, spread, windows };
  });
}

/** Return the index of a value within its channel, or undefined in the padding. */
function valueAt(axes: readonly Axis[], window: readonly number[], place: readonly number[]): number | undefined {
  let index = 0;
  for (const [number, { size, stride, pad, dilation, spread }] of axes.entries()) {
    const at = ((window[number] ?? 0) * stride + (place[number] ?? 0) * dilation - pad) / spread;
    if (at < 0 || at >= size || !Number.isInteger(at)) return undefined;
    index = index * size + at;
  }
  return index;
}

/** Return the place along each axis of an index, of which the last axis varies fastest. */
function placeOf(index: number, sizes: readonly number[]): number[] {
  const place = new Array<number>(sizes.length);
  let rest = index;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    const size = sizes[axis] ?? 1;
    place[axis] = rest % size;
    rest = Math.floor(rest / size);
  }
  return place;
}

function product(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all * number, 1);
}
