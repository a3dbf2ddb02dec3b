"""Names that were given up do not come back: the code, its files and its documentation use the field's words.

docs/glossary.md explains the words.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXEMPT = re.compile(
    r"benchmarks/history/|docs/explanation/performance|CHANGELOG\.md|tests/test_vocabulary\.py|.*\.lock$"
    r"|client/forwardpass/view/static/|.*/package-lock\.json$"
)
"""Records of what was measured or changed when the names were others, other people's code, and this list."""

WORDS = {
    "AsyncioTransport, NativeTransport": r"\w*Door|doors?",
    "RawRequest, RawResponse": r"class Kind|kind_for|serving/calls\.py",
    "InferenceRequest": r"Question|questions\.py|_Asked\w*",
    "OutputOptions, TraceOptions, ResponseEncoder": r"Wanted|TraceChoice|class Appended",
    "PreparedRequest, PreparedRequestCache": r"class Head|heads\.py",
    "BatchPlan": r"class Sorted|def sort",
    "BatchingPolicy": r"HEAVY_BYTES|MOST_EVENTS",
    "Task, Suspension": r"class (Steps|Pause|Then)|_go_around",
    "LoadedVersion": r"Served|served_version",
    "VersionRuntime": r"class Slots?",
    "PlanCache": r"class Kept|kept\.py",
    "Catalog, may_be_stale": r"class Current|current\.py|in_doubt",
    "refresh, on_reachability_change, Notifications": r"class Hints|looking\.py|def look",
    "alias_history.py, copy.py": r"moves\.py|moving\.py|AliasMoves",
    "backup, verify, garbage_collection, follower": r"backing_up|pruning|checking\.py|registry/following\.py",
    "ErrorMapper, UnsupportedError": r"class Refusals?|refusals\.py|class Refused",
    "validate_and_fill, FeatureViolations, fill_value": r"def settle\w*|Oddities|stand_ins?|stand-ins?",
    "categories": r"UnknownLevelError|UNKNOWN_LEVEL|levels=",
    "batch composition, batch invariance": r"company|in_company",
    "batch_invariant.py": r"core/exact\.py",
    "Edges": r"class Links?",
    "MAX_...": r"MOST_\w+",
    "max_response_bytes and other settings": r"max_answer_bytes|max_plan_bytes|database_wait|max_gigaflops",
    "output_metadata": r"output_facts",
    "_requests, _responses, _errors, _transport, _batching": (
        r"forwardpass/_(calls|replies|failures|sending|coalescing|batches|streams|revisions|channel)\.py"
    ),
    "PendingRequest, Timeouts, predict_coalesced, is_stream_reset": r"Seat|_Patience|predict_in_company|broke_off",
    "value_names.py": r"forwardpass/words\.py",
    "sample_rows.py, input_constraints.py, round_trip.py, graph/": (
        r"importers/(given|notes|drafts)\.py|recovery\.py|building\.py|tidying|fusing|class (Draft|Flow)"
    ),
    "chunked_json, json_fields, tensor_data, proto_json, responses": (
        r"rest/(pieces|members|elements|documents|replies)\.py"
    ),
    "totals": r"tally",
    "response": r"[Aa]nswer(s|ed|ing)?|[Rr]epl(y|ies|ied)",
    "error, reject": r"[Rr]efusals?",
    "requested, given, sent": r"[Aa]sked",
    "reported, shown": r"[Tt]old",
    "a caller who, any": r"[Ww]hoever",
    "a number, `count`": r"[Ss]o many",
    "sometimes, in some cases": r"[Nn]ow and then",
    "tests/support/": r"tests/(linearizability|expressions|features|graphs|layers|postgres|processes|wire)\.py",
}
"""What was given up, as a regular expression of whole words, by what is there now."""


def tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\n") if name and not EXEMPT.match(name) and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text, by its path."""
    found = {}
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            found[name] = content.decode()
    return found


@pytest.mark.parametrize("now", WORDS)
def test_what_was_given_up_stays_away(now: str, texts: dict[str, str]) -> None:
    given_up = re.compile(rf"(?<![\w-])(?:{WORDS[now]})(?![\w-])")
    places = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        if given_up.search(name) or given_up.search(text)
        for number, line in enumerate([name, *text.splitlines()])
        if given_up.search(line)
    ]
    assert places == [], f"say {now}"
