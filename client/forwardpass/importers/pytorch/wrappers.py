"""Models around modules: agents and policies of Stable-Baselines3, nets of skorch, and TabNets of pytorch-tabnet.

Each becomes the module that its predictions come from: of a policy the deterministic action, of a net or a classifier
`predict_proba`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.pytorch.exported_program import Exported
from forwardpass.importers.pytorch.ghost_batches import without_ghost_batches
from forwardpass.importers.pytorch.program import unsupported_module
from forwardpass.importers.pytorch.tracer import copied

_BASELINES: Final = "stable_baselines3"
_SKORCH: Final = "skorch"
_TABNET: Final = "pytorch_tabnet"


def unwrap(model: Any) -> Any:
    """Return the module of an agent, a policy, a net or a TabNet; other models as they are.

    A policy of discrete actions has an output for each: its probability, or its value; the largest is the action. One
    of continuous actions has these, within the bounds of the action space, as `predict(..., deterministic=True)` does.

    Raises:
        UnsupportedModelError: It reads observations, or makes actions, that no module can, or is not fitted.
    """
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if _SKORCH in packages:
        return _net(model)
    if _TABNET in packages:
        return _tabnet(model)
    if _BASELINES not in packages:
        return model
    policy = getattr(model, "policy", model)
    names = [kind.__name__ for kind in type(policy).__mro__]
    read = next((_POLICIES[name] for name in names if name in _POLICIES), None)
    # One that makes its actions in its own way, such as a recurrent policy of sb3_contrib, has other modules too.
    if read is None or type(policy)._predict.__module__.partition(".")[0] != _BASELINES:  # noqa: SLF001 - SB3's own name
        known = ", ".join(_POLICIES)
        raise unsupported_module(type(policy).__name__, f"is no policy that is read; {known} are, and agents with one")
    return _exported(policy, read(policy))


def _exported(policy: Any, parts: list[Any]) -> Any:
    """Return the program of a policy's parts, for observations of the shape of its space."""
    import torch

    name, space = type(policy).__name__, policy.observation_space
    if type(space).__name__ != "Box":
        raise unsupported_module(name, f"observes a space {type(space).__name__}; only one of numbers, Box, is read")
    if policy.normalize_images and _is_image(space):
        parts = [_element_by_element(lambda x: x / 255.0), *parts]
    example = torch.zeros((2, *space.shape), dtype=torch.float32)
    module = copied(torch.nn.Sequential(*parts, *_bounded(policy))).eval().cpu()
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


def _is_image(space: Any) -> bool:
    """Return whether a space is of images, whose numbers a policy divides by 255."""
    is_bytes = len(space.shape) == 3 and bool(np.issubdtype(space.dtype, np.uint8))
    return is_bytes and bool((space.low == 0).all() and (space.high == 255).all())


def _bounded(policy: Any) -> list[Any]:
    """Return the module that brings continuous actions within their bounds."""
    import torch

    space = policy.action_space
    if type(space).__name__ != "Box":
        return []
    low, high = (
        torch.tensor(np.nan_to_num(bound), dtype=torch.float32).reshape(-1) for bound in (space.low, space.high)
    )
    if policy.squash_output:
        return [_element_by_element(lambda x: low + 0.5 * (x + 1.0) * (high - low))]
    return [_element_by_element(lambda x: torch.maximum(torch.minimum(x, high), low))]


def _actor_critic(policy: Any) -> list[Any]:
    import torch

    kind = type(policy.action_dist).__name__
    last = {
        "DiagGaussianDistribution": [],
        "StateDependentNoiseDistribution": [torch.nn.Tanh()] if policy.squash_output else [],
        "CategoricalDistribution": [torch.nn.Softmax(dim=-1)],
        "BernoulliDistribution": [torch.nn.Sigmoid()],
    }.get(kind)
    if last is None:
        message = f"has actions by {kind}; a Discrete, MultiBinary or Box space is read"
        raise unsupported_module(type(policy).__name__, message)
    if type(policy.mlp_extractor).__name__ != "MlpExtractor":  # which computes `policy_net`; another may not
        kind = type(policy.mlp_extractor).__name__
        raise unsupported_module(type(policy).__name__, f"has a {kind} for mlp_extractor; only an MlpExtractor is read")
    return [policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net, *last]


def _q_network(policy: Any) -> list[Any]:
    return [policy.q_net.features_extractor, policy.q_net.q_net]


def _td3(policy: Any) -> list[Any]:
    return [policy.actor.features_extractor, policy.actor.mu]


def _sac(policy: Any) -> list[Any]:
    import torch

    return [policy.actor.features_extractor, policy.actor.latent_pi, policy.actor.mu, torch.nn.Tanh()]


_POLICIES: Final[Mapping[str, Callable[[Any], list[Any]]]] = MappingProxyType(
    {"ActorCriticPolicy": _actor_critic, "DQNPolicy": _q_network, "TD3Policy": _td3, "SACPolicy": _sac}
)
"""The modules that compute the deterministic action, one after the other, by the class of the policy."""


def _net(net: Any) -> Any:
    """Return the module of a net of skorch, and the function by which it makes probabilities."""
    import torch

    name, module = type(net).__name__, getattr(net, "module_", None)
    if module is None:
        raise unsupported_module(name, "has no module yet; fit it")
    function = net._get_predict_nonlinearity()  # noqa: SLF001 - there is no other way to learn it
    word = getattr(getattr(function, "func", function), "__name__", repr(function))
    then = {
        "_identity": lambda y: y,
        "softmax": lambda y: torch.softmax(y, dim=-1),
        "_sigmoid_then_2d": lambda y: _two_columns(torch.sigmoid(y)),
        "_make_2d_probs": _two_columns,
    }.get(word)
    if then is None:
        message = f"has {word} for predict_nonlinearity, which may compute anything; import its `module_`"
        raise unsupported_module(name, message)
    return copied(torch.nn.Sequential(module, _element_by_element(then))).eval().cpu()


def _tabnet(model: Any) -> Any:
    """Return the network of a TabNet without its regularization, and with the probabilities of a classifier."""
    import torch

    name = type(model).__name__
    then = {
        "TabNetClassifier": lambda y: torch.softmax(y, dim=1),
        "TabNetRegressor": lambda y: y,
        "TabNetMultiTaskClassifier": lambda y: tuple(torch.softmax(task, dim=1) for task in y),
        "TabNet": lambda y: y,
        "TabNetNoEmbeddings": lambda y: y,
    }.get(name)
    if then is None:
        return model
    network = model if isinstance(model, torch.nn.Module) else getattr(model, "network", None)
    if network is None:
        raise unsupported_module(name, "has no network yet; fit it")
    module = copied(torch.nn.Sequential(network, _element_by_element(then))).eval().cpu()
    embedder: Any = getattr(module[0], "embedder", None)
    if hasattr(embedder, "continuous_idx"):  # torch.export follows no condition on tensors, such as those of this one
        embedder.continuous_idx = embedder.continuous_idx.tolist()
    example = torch.zeros((2, network.input_dim))
    rows = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(without_ghost_batches(copied(module)), (example,), dynamic_shapes=rows)
    return Exported(program=program, call=module)


def _two_columns(probabilities: Any) -> Any:
    """Return the probabilities of both classes, as skorch does, of those of the second."""
    import torch

    second = probabilities.reshape(-1, 1)
    return torch.cat([1 - second, second], dim=1)


def _element_by_element(function: Callable[[Any], Any]) -> Any:
    """Return a module that applies a function; of several outputs, to the first one."""
    import torch

    class Applied(torch.nn.Module):  # type: ignore[misc] # torch has no types here
        def forward(self, x: Any) -> Any:
            return function(x[0] if isinstance(x, tuple) else x)

    return Applied()
