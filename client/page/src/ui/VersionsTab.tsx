// The versions of a network, and what changed between two of them.

import { useEffect, useState } from "preact/hooks";
import type { VersionMessage } from "../api/messages";
import { changesOf, movementInWords, movementsOf } from "../network/changes";
import { counted, short } from "../network/numbers";
import type { Version } from "../network/version";
import type { TabProps } from "./Tabs";

export function VersionsTab({ store, version }: TabProps) {
  const versions = store.versions.value;
  const [before, setBefore] = useState("");
  const [other, setOther] = useState<Version>();
  const [error, setError] = useState("");
  const fallback = versions.find((message) => Number(message.version) < version.number)?.version ?? "";
  const chosen = before || fallback;
  useEffect(() => {
    let isCurrent = true;
    setOther(undefined);
    if (!chosen) return;
    store.calls
      .version(version.network, chosen)
      .then((found) => isCurrent && setOther(found))
      .catch((problem: Error) => isCurrent && setError(problem.message));
    return () => {
      isCurrent = false;
    };
  }, [chosen, version]);
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Versions">
        <table class="values">
          <thead>
            <tr>
              <th scope="col">version</th>
              <th scope="col">aliases</th>
              <th scope="col">registered</th>
              <th scope="col" class="number">
                parameters
              </th>
              <th scope="col">digest</th>
              <th scope="col">description</th>
            </tr>
          </thead>
          <tbody>
            {versions.map((message) => (
              <VersionRow
                key={message.version}
                message={message}
                isCurrent={Number(message.version) === version.number}
                onOpen={() => store.openVersion(message.version ?? "")}
              />
            ))}
          </tbody>
        </table>
      </div>
      {versions.length > 1 && (
        <>
          <div class="toolbar">
            <label>
              What changed from version
              <select value={chosen} onChange={(event) => setBefore(event.currentTarget.value)}>
                {versions
                  .filter((message) => Number(message.version) !== version.number)
                  .map(({ version: number = "" }) => (
                    <option key={number} value={number}>
                      {number}
                    </option>
                  ))}
              </select>
            </label>
            <span>to version {version.number}</span>
          </div>
          {error && <p class="note warn">{error}</p>}
          {other && <Changes one={other} other={version} />}
        </>
      )}
    </>
  );
}

function VersionRow({
  message,
  isCurrent,
  onOpen,
}: {
  message: VersionMessage;
  isCurrent: boolean;
  onOpen: () => void;
}) {
  return (
    <tr class={isCurrent ? "current" : ""}>
      <th scope="row">
        <button type="button" class="link" onClick={onOpen} aria-label={`Show version ${message.version}`}>
          {message.version}
        </button>
      </th>
      <td>{message.aliases?.join(", ")}</td>
      <td>{message.createTime?.slice(0, 16).replace("T", " ")}</td>
      <td class="number">{Number(message.parameterCount ?? 0).toLocaleString("en")}</td>
      <td>
        <code>{message.digest?.slice(0, 12)}</code>
      </td>
      <td>{message.description}</td>
    </tr>
  );
}

function Changes({ one, other }: { one: Version; other: Version }) {
  const changes = changesOf(one, other);
  const movements = movementsOf(one, other);
  if (changes.length === 0 && movements.every((movement) => movement.changed === 0))
    return <p>Nothing but the digest.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What changed">
      {changes.length > 0 && (
        <table class="values">
          <thead>
            <tr>
              <th scope="col">what</th>
              <th scope="col">{`version ${one.number}`}</th>
              <th scope="col">{`version ${other.number}`}</th>
            </tr>
          </thead>
          <tbody>
            {changes.map((change) => (
              <tr key={change.what}>
                <th scope="row">{change.what}</th>
                <td>{change.one}</td>
                <td>{change.other}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {movements.length > 0 && (
        <table class="values">
          <caption>Weights</caption>
          <thead>
            <tr>
              <th scope="col">layer</th>
              <th scope="col">changed</th>
              <th scope="col" class="number">
                largest change
              </th>
              <th scope="col" class="number">
                spread before
              </th>
              <th scope="col" class="number">
                spread after
              </th>
            </tr>
          </thead>
          <tbody>
            {movements.map((movement) => (
              <tr key={movement.layer} title={counted(movement.count, "parameter")}>
                <th scope="row">{movement.layer}</th>
                <td>{movementInWords(movement)}</td>
                <td class="number">{short(movement.largest)}</td>
                <td class="number">{short(movement.deviations[0])}</td>
                <td class="number">{short(movement.deviations[1])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
