"""The two clients are one but for `await`."""

import inspect
from typing import Any

import pytest
from forwardpass import AsyncClient, Client

METHODS = sorted(name for name, value in vars(Client).items() if inspect.isfunction(value) and not name.startswith("_"))
WITH_ASYNC = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def _parameters(method: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_both_have_the_same_methods() -> None:
    ours = {WITH_ASYNC.get(name, name) for name in _callables(Client)}
    assert ours == _callables(AsyncClient)


def _callables(kind: type[Any]) -> set[str]:
    """The methods that a caller may call, special ones among them."""
    functions = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
    return {name for name in functions if not name.startswith("_") or name.endswith("__")}


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_both_take_the_same_parameters(name: str) -> None:
    assert _parameters(getattr(Client, name)) == _parameters(getattr(AsyncClient, name))


@pytest.mark.parametrize("name", METHODS)
def test_methods_with_one_response_are_awaited(name: str) -> None:
    returns = str(inspect.signature(getattr(Client, name)).return_annotation)
    async_returns = str(inspect.signature(getattr(AsyncClient, name)).return_annotation)
    assert async_returns.replace("AsyncIterator", "Iterator") == returns
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name)) != ("Iterator" in returns)


@pytest.mark.parametrize("name", METHODS)
def test_every_option_is_given_by_keyword(name: str) -> None:
    for parameter in inspect.signature(getattr(Client, name)).parameters.values():
        if parameter.default is not parameter.empty and name != "wait_until_ready":
            assert parameter.kind is parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", METHODS)
def test_both_say_the_same_first_sentence(name: str) -> None:
    first = [str(inspect.getdoc(getattr(kind, name))).splitlines()[0] for kind in (Client, AsyncClient)]
    assert first[0] == first[1]
