// The page: fills the list of networks, and traces a row when the form is submitted.

import { call } from "./grpcweb.js";
import { readNetworks, readTrace, traceRequest } from "./messages.js";
import { draw } from "./picture.js";

const form = document.querySelector("form");
const svg = document.querySelector("svg");
const message = document.querySelector("output");
form.edge.value = new URLSearchParams(location.search).get("edge") ?? "http://localhost:8080";

// Show the result of some work, or its error.
async function showResult(work) {
  message.textContent = "";
  message.className = "";
  try {
    message.textContent = await work();
  } catch (error) {
    message.className = "wrong";
    message.textContent = `${error.code ?? error.name}: ${error.message}`;
  }
}

async function list() {
  const bytes = await call(form.edge.value, "/forwardpass.v1.NetworkService/ListNetworks", new Uint8Array());
  const { networks } = readNetworks(bytes);
  form.network.replaceChildren(...networks.map(({ name }) => new Option(name, name)));
  return `${networks.length} networks`;
}

async function trace() {
  const row = form.row.value.split(",").map(Number);
  const request = traceRequest(form.network.value, row);
  const response = readTrace(await call(form.edge.value, "/forwardpass.v1.PredictionService/Trace", request));
  svg.replaceChildren();
  draw(svg, response);
  const outputs = response.outputNames.map((name, index) => `${name} = ${response.outputs[index]}`);
  return `${response.network} version ${response.version}: ${outputs.join(", ")}`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  showResult(trace);
});
form.edge.addEventListener("change", () => showResult(list));
showResult(list);
