// grpc-web by fetch: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md

const TRAILERS = 0x80;
const CODES = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
];

// A call that failed: the name of gRPC's status code, and the server's sentence.
export class RpcError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "RpcError";
    this.code = CODES[code] ?? String(code);
  }
}

// Call a unary method with the bytes of a request; resolve to the bytes of the response.
export async function call(edge, method, request, { seconds = 10, token = "" } = {}) {
  const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", "grpc-timeout": `${seconds}S` };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(`${edge}${method}`, { method: "POST", headers, body: framed(request) });
  // An error may come alone, as headers.
  check(Object.fromEntries(response.headers), response);
  let message = new Uint8Array();
  for (const [flags, content] of frames(new Uint8Array(await response.arrayBuffer()))) {
    if (flags & TRAILERS) check(parsed(content), response);
    else message = content;
  }
  return message;
}

// A message behind its flags and its length, which is big-endian.
function framed(message) {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

function* frames(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + view.getUint32(at + 1);
    yield [body[at], body.subarray(at + 5, end)];
    at = end;
  }
}

function parsed(trailers) {
  const lines = new TextDecoder().decode(trailers).trim().split("\r\n");
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

function check(headers, response) {
  const status = headers["grpc-status"];
  if (status === undefined) {
    if (!response.ok) throw new RpcError(2, `HTTP ${response.status}`);
  } else if (Number(status) !== 0) {
    throw new RpcError(Number(status), decodeURIComponent(headers["grpc-message"] ?? ""));
  }
}
