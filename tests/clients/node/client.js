// A client in another language, without a proto file: it learns the protocol from the server by reflection.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const place = JSON.parse(fs.readFileSync(process.env.FORWARDPASS_PLACE, "utf8"));
const credentials = grpc.credentials.createInsecure();

// The file that defines a service, and all that it imports, from the server.
async function reflected(symbol) {
  const proto = path.join(
    path.dirname(require.resolve("@grpc/reflection/package.json")),
    "build/proto/grpc/reflection/v1alpha/reflection.proto",
  );
  const { grpc: known } = grpc.loadPackageDefinition(loader.loadSync(proto, OPTIONS));
  const client = new known.reflection.v1alpha.ServerReflection(place.grpc, credentials);
  const call = client.ServerReflectionInfo();
  const files = new Set();
  await new Promise((resolve, reject) => {
    call.on("error", reject);
    call.on("end", resolve);
    call.on("data", (response) => {
      assert.equal(response.message_response, "file_descriptor_response", JSON.stringify(response.error_response));
      for (const file of response.file_descriptor_response.file_descriptor_proto) files.add(file.toString("base64"));
      call.end();
    });
    call.write({ file_containing_symbol: symbol });
  });
  client.close();
  // A FileDescriptorSet has each file as its field 1.
  const parts = [...files].map((text) => Buffer.from(text, "base64")).map((file) => [tagged(file.length), file]);
  return loader.loadFileDescriptorSetFromBuffer(Buffer.concat(parts.flat()), OPTIONS);
}

function tagged(length) {
  const bytes = [0x0a];
  for (; length >= 0x80; length >>>= 7) bytes.push((length & 0x7f) | 0x80);
  return Buffer.from([...bytes, length]);
}

function raw(rows) {
  return Buffer.from(Float64Array.from(rows.flat()).buffer);
}

function numbers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 8 }, (_, at) => view.getFloat64(8 * at, true));
}

function request(model_name, rows, more = {}) {
  const inputs = [{ name: "inputs", datatype: "FP64", shape: [rows.length, rows[0].length] }];
  return { model_name, inputs, raw_input_contents: [raw(rows)], ...more };
}

async function main() {
  const definition = grpc.loadPackageDefinition(await reflected("inference.GRPCInferenceService"));
  const client = new definition.inference.GRPCInferenceService(place.grpc, credentials);
  const ask = (method, message) =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + 120_000;
      client[method](message, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
    });

  assert.equal((await ask("ServerLive", {})).live, true);
  assert.equal((await ask("ServerReady", {})).ready, true);
  assert.equal((await ask("ServerMetadata", {})).name, "forwardpass");
  assert.equal((await ask("ModelReady", { name: "doubled", version: "2" })).ready, true);
  assert.equal((await ask("ModelReady", { name: "nobody" })).ready, false);
  assert.ok((await ask("ModelConfig", { name: "wide" })).config.max_batch_size > 0);

  // Numbers as bytes: the bits are those of our own client.
  const { inputs, outputs, layers } = place.networks.wide;
  const names = Object.keys(layers);
  const requested = ["outputs", ...names].map((name) => ({ name }));
  const response = await ask("ModelInfer", request("wide", inputs, { id: "n-1", outputs: requested }));
  assert.equal(response.id, "n-1");
  assert.deepEqual(response.outputs.map((output) => output.name), ["outputs", ...names]);
  assert.deepEqual(response.outputs[0].shape, [inputs.length, outputs[0].length]);
  [outputs, ...names.map((name) => layers[name])].forEach((expected, at) => {
    assert.deepEqual(numbers(response.raw_output_contents[at]), expected.flat(), requested[at].name);
  });

  // Numbers as typed contents, an input for each feature.
  const typed = (name, value) => ({ name, datatype: "INT32", shape: [1], contents: { int_contents: [value] } });
  const features = [typed("accounts", 5), typed("children", 3)];
  const customer = await ask("ModelInfer", { model_name: "article-2-hidden", inputs: features });
  assert.deepEqual(numbers(customer.raw_output_contents[0]), [182]);

  // Errors.
  const wrong = async (message, code, words) => {
    await assert.rejects(ask("ModelInfer", message), (error) => {
      assert.equal(error.code, code);
      assert.match(error.details, words);
      return true;
    });
  };
  await wrong(request("nobody", [[1, 2]]), grpc.status.NOT_FOUND, /^Request for unknown model: 'nobody' is not found/);
  await wrong(request("doubled", [[1, 2, 3]]), grpc.status.INVALID_ARGUMENT, /^unexpected shape for input 'inputs'/);

  // A stream: an error is a response, and the stream goes on, in order.
  const stream = client.ModelStreamInfer();
  const came = [];
  const ended = new Promise((resolve, reject) => stream.on("error", reject).on("end", resolve));
  stream.on("data", (response) => came.push(response));
  for (let index = 0; index < 50; index++) {
    stream.write(request(index === 9 ? "nobody" : "doubled", [[index, 1]], { id: String(index) }));
  }
  stream.end();
  await ended;
  assert.equal(came.length, 50);
  came.forEach(({ error_message, infer_response }, index) => {
    if (index === 9) return assert.match(error_message, /unknown model: 'nobody'/);
    assert.equal(error_message, "");
    assert.equal(infer_response.id, String(index));
    assert.deepEqual(numbers(infer_response.raw_output_contents[0]), [2 * index + 2]);
  });
  client.close();
  console.log(JSON.stringify({ responses: came.length }));
}

main();
