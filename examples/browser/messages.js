// The messages that the page sends and reads, by the numbers of their fields in protos/forwardpass/v1.
// Encoding: https://protobuf.dev/programming-guides/encoding/

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

const text = new TextEncoder();

// How the value of a field is read: of an integer from its number, of all else from its bytes.
const asText = (bytes) => new TextDecoder().decode(bytes);
const asNumber = (value) => Number(value);
const many = (read) => Object.assign((value) => read(value), { repeated: true });

const TENSOR = { 1: ["dtype", asNumber], 3: ["data", (bytes) => bytes] };
const ACTIVATION = { 1: ["name", asText], 3: ["expression", asText] };
const LAYER = {
  1: ["name", asText],
  2: ["nodes", many(asText)],
  3: ["function", (bytes) => read(ACTIVATION, bytes)],
  5: ["activation", (bytes) => numbers(read(TENSOR, bytes))],
};
const TRACE = {
  1: ["outputs", (bytes) => numbers(read(TENSOR, bytes))],
  2: ["network", asText],
  3: ["version", asNumber],
  5: ["outputNames", many(asText)],
  7: ["inputs", (bytes) => numbers(read(TENSOR, bytes))],
  8: ["inputNames", many(asText)],
  9: ["layers", many((bytes) => read(LAYER, bytes))],
};
const NETWORK = { 1: ["name", asText] };
const NETWORKS = { 1: ["networks", many((bytes) => read(NETWORK, bytes))] };

// A TraceRequest for one row.
export function traceRequest(network, row) {
  const values = new Float64Array(row.length);
  const view = new DataView(values.buffer);
  row.forEach((value, index) => view.setFloat64(8 * index, value, true));
  const tensor = field(4, new Uint8Array(values.buffer));
  return joined(field(1, text.encode(network)), field(3, tensor));
}

export const readTrace = (bytes) => read(TRACE, bytes);
export const readNetworks = (bytes) => read(NETWORKS, bytes);

// A field whose value is bytes: a text, a message, packed numbers.
function field(number, bytes) {
  return joined(varint((number << 3) | BYTES), varint(bytes.length), bytes);
}

function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return new Uint8Array([...bytes, value]);
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

// A message as an object with the fields of a table; others are passed over.
function read(table, bytes) {
  const message = {};
  for (const [name, make] of Object.values(table)) if (make.repeated) message[name] = [];
  let at = 0;
  const number = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(number());
    const kind = tag & 7;
    let value;
    if (kind === VARINT) value = number();
    else {
      const length = kind === BYTES ? Number(number()) : kind === FIXED64 ? 8 : 4;
      value = bytes.subarray(at, (at += length));
    }
    const [name, make] = table[tag >> 3] ?? [];
    if (name === undefined) continue;
    if (make.repeated) message[name].push(make(value));
    else message[name] = make(value);
  }
  return message;
}

// A tensor's numbers, which are little-endian: float32 is type 1, float64 is 2.
function numbers({ dtype, data = new Uint8Array() }) {
  const size = dtype === 1 ? 4 : 8;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: data.length / size }, (_, index) =>
    size === 4 ? view.getFloat32(index * size, true) : view.getFloat64(index * size, true),
  );
}
