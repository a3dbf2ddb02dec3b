import pytest


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: what pages show is the same on both."""
    return str(request.param)
