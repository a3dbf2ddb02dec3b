"""Agents and policies of Stable-Baselines3, and nets of skorch, compute what their own predictions are."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from forwardpass.errors import InvalidFieldError
from forwardpass.importers import UnsupportedModelError, import_model, load_object
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from torch import nn

torch.set_num_threads(1)
# PyTorch's and Gymnasium's own.
pytestmark = pytest.mark.filterwarnings("ignore")

IRIS, CANCER, DIABETES = load_iris(return_X_y=True), load_breast_cancer(return_X_y=True), load_diabetes(return_X_y=True)


class Space(gymnasium.Env[Any, Any]):
    """An environment of any spaces, in which nothing happens."""

    def __init__(self, observations: Any, actions: Any) -> None:
        self.observation_space, self.action_space = observations, actions

    def reset(self, **_: Any) -> Any:
        return self.observation_space.sample(), {}

    def step(self, _: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


def box(*shape: int, low: float = -np.inf, high: float = np.inf) -> Any:
    return gymnasium.spaces.Box(low, high, shape)


BOUNDED = gymnasium.spaces.Box(np.array([-1.0, -2.0], np.float32), np.array([1.0, 0.5], np.float32))
DISCRETE = gymnasium.spaces.Discrete(3)
AGENTS: dict[str, Any] = {
    "PPO, discrete": lambda: PPO("MlpPolicy", Space(box(4), DISCRETE), device="cpu"),
    "PPO, bounded": lambda: PPO("MlpPolicy", Space(box(4), BOUNDED), device="cpu"),
    "PPO, 80 observations": lambda: PPO("MlpPolicy", Space(box(80), BOUNDED), device="cpu"),
    "PPO, a matrix": lambda: PPO("MlpPolicy", Space(box(3, 4), BOUNDED), device="cpu"),
    "PPO, gSDE": lambda: PPO("MlpPolicy", Space(box(4), BOUNDED), use_sde=True, device="cpu"),
    "PPO, gSDE squashed": lambda: PPO(
        "MlpPolicy", Space(box(4), BOUNDED), use_sde=True, policy_kwargs={"squash_output": True}, device="cpu"
    ),
    "PPO, ReLU and other sizes": lambda: PPO(
        "MlpPolicy",
        Space(box(4), DISCRETE),
        policy_kwargs={"activation_fn": nn.ReLU, "net_arch": {"pi": [8, 8, 8], "vf": [4]}},
        device="cpu",
    ),
    "A2C, switches": lambda: A2C("MlpPolicy", Space(box(4), gymnasium.spaces.MultiBinary(3)), device="cpu"),
    "DQN": lambda: DQN("MlpPolicy", Space(box(4), DISCRETE), buffer_size=10, device="cpu"),
    "TD3": lambda: TD3("MlpPolicy", Space(box(4), BOUNDED), buffer_size=10, device="cpu"),
    "DDPG": lambda: DDPG("MlpPolicy", Space(box(4), BOUNDED), buffer_size=10, device="cpu"),
    "SAC": lambda: SAC("MlpPolicy", Space(box(4), BOUNDED), buffer_size=10, device="cpu"),
}


def computed(imported: Any, rows: Any) -> Any:
    plan = compile_plan(imported.spec)
    return forward(plan, rows.reshape(len(rows), -1).astype(plan.dtype))


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_the_deterministic_action_is_that_of_the_agent(make: Any) -> None:
    agent = make()
    rows = 3 * np.random.default_rng(0).normal(size=(200, *agent.observation_space.shape)).astype(np.float32)
    actions, _ = agent.predict(rows, deterministic=True)
    for model in (agent, agent.policy):
        found = computed(import_model(model), rows)
        if isinstance(agent.action_space, gymnasium.spaces.Discrete):
            np.testing.assert_array_equal(found.argmax(axis=1), actions)
        elif isinstance(agent.action_space, gymnasium.spaces.MultiBinary):
            np.testing.assert_array_equal(np.round(found), actions)
        else:
            np.testing.assert_allclose(found, actions, rtol=1e-4, atol=1e-5)


def test_other_policies_are_rejected_by_their_names() -> None:
    several = PPO("MlpPolicy", Space(box(4), gymnasium.spaces.MultiDiscrete([2, 3])), device="cpu")
    with pytest.raises(UnsupportedModelError, match="MultiCategoricalDistribution; a Discrete"):
        import_model(several)
    whole = PPO("MlpPolicy", Space(gymnasium.spaces.Discrete(4), DISCRETE), device="cpu")
    with pytest.raises(UnsupportedModelError, match="observes a space Discrete"):
        import_model(whole)
    with pytest.raises(UnsupportedModelError, match="is no policy that is read"):
        import_model(AGENTS["TD3"]().critic)
    own = PPO("MlpPolicy", Space(box(4), DISCRETE), device="cpu")
    own.policy.mlp_extractor = type("MyExtractor", (type(own.policy.mlp_extractor),), {})(4, [8], nn.ReLU)
    with pytest.raises(UnsupportedModelError, match="has a MyExtractor for mlp_extractor"):
        import_model(own)


def test_a_file_is_loaded_as_its_error_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = AGENTS["PPO, discrete"]()
    agent.save(tmp_path / "agent.zip")
    with pytest.raises(InvalidFieldError, match=r"`model = stable_baselines3\.PPO\.load\(FILE\)`"):
        load_object(str(tmp_path / "agent.zip"))
    (tmp_path / "agent_of_file.py").write_text(
        f"import stable_baselines3\nmodel = stable_baselines3.PPO.load({str(tmp_path / 'agent.zip')!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = computed(import_model(load_object("agent_of_file:model")), rows)
    np.testing.assert_array_equal(found.argmax(axis=1), agent.predict(rows, deterministic=True)[0])


def layers(inputs: int, outputs: int, *last: Any) -> Any:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs), *last)


NETS: dict[str, Any] = {
    "classes by logits": lambda: (
        NeuralNetClassifier(layers(4, 3), criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0),
        IRIS,
    ),
    "classes by probabilities": lambda: (
        NeuralNetClassifier(layers(4, 3, nn.Softmax(dim=-1)), max_epochs=2, verbose=0),
        IRIS,
    ),
    "two classes": lambda: (NeuralNetBinaryClassifier(layers(30, 1), max_epochs=2, verbose=0), CANCER),
    "numbers": lambda: (NeuralNetRegressor(layers(10, 1), max_epochs=2, verbose=0), DIABETES),
}


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_a_net_predicts_its_probabilities(make: Any) -> None:
    torch.manual_seed(0)
    net, (x, y) = make()
    rows = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    kind = np.int64 if isinstance(net, NeuralNetClassifier) and len(set(y)) == 3 else np.float32
    targets = y.astype(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(rows, targets[:, None] if len(set(y)) > 3 else targets)
    found = computed(import_model(net), rows)
    np.testing.assert_allclose(found, net.predict_proba(rows), rtol=1e-4, atol=1e-6)


def test_a_net_that_is_not_fitted_or_of_its_own_function_is_rejected() -> None:
    net = NeuralNetClassifier(layers(4, 3), criterion=nn.CrossEntropyLoss)
    with pytest.raises(UnsupportedModelError, match="has no module yet; fit it"):
        import_model(net)
    net = NeuralNetClassifier(layers(4, 3), predict_nonlinearity=torch.exp).initialize()
    with pytest.raises(UnsupportedModelError, match=r"has exp for predict_nonlinearity, .*; import its `module_`"):
        import_model(net)
    assert import_model(net.module_).certificate.relative < 1e-4
