"""The forms of a spec, each with its writer and reader."""

from forwardpass import spec


def assert_same_in_every_form(network: spec.NetworkSpec) -> None:
    for again in (
        spec.from_json(spec.to_json(network)),
        spec.from_safetensors(spec.to_safetensors(network)),
        spec.from_message(spec.to_message(network)),
    ):
        assert again == network
        assert spec.digest(again) == spec.digest(network)
