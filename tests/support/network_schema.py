"""The published JSON schema of networks, checked once: `jsonschema.validate` checks the schema itself at each call."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "reference" / "network.schema.json"


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validate(document: Any) -> None:
    """Validate a network's document; raises `jsonschema.ValidationError`."""
    _validator().validate(document)
