// A client in JavaScript: registers the article's network, predicts, traces, streams, and reads an error.
//
//     make serve              a server, or Envoy before some (docs/how-to/edge.md)
//     make descriptors        the messages, for every language that can read them
//     cd examples/node && npm ci && node client.js localhost:50051
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const address = process.argv[2] ?? "localhost:50051";
const descriptors = process.env.FORWARDPASS_DESCRIPTORS ?? path.join(__dirname, "../../build/protos.binpb");

const definitions = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(descriptors), {
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { NetworkService, PredictionService } = grpc.loadPackageDefinition(definitions).forwardpass.v1;

// Reads may be repeated: gRPC tries them again by itself when a server goes away.
const SERVICE_CONFIG = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "forwardpass.v1.PredictionService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
});

// A unary method as a promise, with a deadline.
function ask(client, method, request, seconds = 10) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + seconds * 1000;
    client[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// A tensor's numbers: row-major and little-endian, as DataView reads them on every machine.
function numbers({ dtype, data }) {
  const size = dtype === "DATA_TYPE_FLOAT32" ? 4 : 8;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const read = size === 4 ? view.getFloat32 : view.getFloat64;
  return Array.from({ length: data.length / size }, (_, index) => read.call(view, index * size, true));
}

// A row, as readable numbers.
function row(...values) {
  return { values };
}

// The ErrorInfo of an error of ours: its reason and its facts (docs/reference/errors.md).
function reasonOf(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const status = definitions["google.rpc.Status"].deserialize(packed);
  const found = status.details.find((detail) => detail.type_url.endsWith("/google.rpc.ErrorInfo"));
  const { reason, metadata } = definitions["google.rpc.ErrorInfo"].deserialize(found.value);
  // Maps of a descriptor set are lists of entries here.
  return { reason, facts: Object.fromEntries(metadata.map(({ key, value }) => [key, value])) };
}

async function main() {
  const options = { "grpc.service_config": SERVICE_CONFIG };
  const credentials = grpc.credentials.createInsecure();
  const networks = new NetworkService(address, credentials, options);
  const predictions = new PredictionService(address, credentials, options);

  const spec = {
    inputs: { features: [{ name: "children" }, { name: "accounts" }] },
    layers: [
      { name: "hidden", weights: { shape: [2, 2], values: [1, 1, -1, 1] }, activation: { name: "relu" } },
      { name: "output", weights: { shape: [1, 2], values: [2, -1] } },
    ],
  };
  const { version } = await ask(networks, "RegisterNetwork", { network: "node-bank", spec });
  console.log(`registered ${version.network} version ${version.version}`);

  const response = await ask(predictions, "Predict", { network: "node-bank", tensor: row(2, 3) });
  console.log(`predicted ${numbers(response.outputs)}`);

  const trace = await ask(predictions, "Trace", { network: "node-bank", tensor: row(2, 3) });
  for (const layer of trace.layers) console.log(`${layer.name}: ${numbers(layer.activation)}`);

  const stream = predictions.PredictStream();
  const came = new Map();
  stream.on("data", ({ id, response, error }) => came.set(id, response ? numbers(response.outputs)[0] : error.message));
  const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  for (let accounts = 0; accounts < 100; accounts++) {
    stream.write({ id: String(accounts), request: { network: "node-bank", tensor: row(1, accounts) } });
  }
  stream.end();
  await ended;
  console.log(`streamed ${came.size} responses, the last one ${came.get("99")}`);

  try {
    await ask(predictions, "Predict", { network: "node-bank", tensor: row(1, 2, 3) });
  } catch (error) {
    const { reason, facts } = reasonOf(error);
    console.log(`refused with ${grpc.status[error.code]}, ${reason}: expected ${facts.expectedShape}`);
  }
  networks.close();
  predictions.close();
}

main();
