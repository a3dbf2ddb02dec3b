"""Names of networks and aliases: the error says which name is allowed."""

import pytest
from forwardpass.errors import InvalidFieldError
from forwardpass.spec import check_name


@pytest.mark.parametrize("name", ["a", "a1", "my-network", "a.b_c-d", "a" * 63])
def test_a_name_that_is_allowed(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("DenseNet_ONNX", '; there are no capitals, so that no two names differ by them alone; use "densenet_onnx"'),
        ("My Network", '; there are no capitals, so that no two names differ by them alone; use "my-network"'),
        ("my network", '; use "my-network"'),
        ("x-", '; use "x"'),
        ("9lives", ""),
        ("über", ""),
        ("a" * 64, ""),
        ("", ""),
        (3, ""),
    ],
)
def test_a_name_that_is_refused_names_one_that_is_not(name: str, remedy: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        check_name(name)
    assert str(caught.value).endswith(f"the last a letter or digit{remedy}")
    if remedy:
        check_name(remedy.rpartition("use ")[2].strip('"'))
