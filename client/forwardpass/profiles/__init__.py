"""Profiles: the usual distribution of every value of a version, and how unusual the values of a trace are.

`builder` makes a profile of traces by `sketch`; `percentiles` compares values with it; `messages` has both as messages.
"""

from forwardpass.profiles.builder import ProfileBuilder
from forwardpass.profiles.messages import MAX_PROFILE_BYTES, Subject, check_nodes, check_size, from_message, to_message
from forwardpass.profiles.percentiles import describe, find_unusual, mean_ranks, percentiles
from forwardpass.profiles.values import Distribution, Profile, ProfileSummary, UnusualValue

__all__ = [
    "MAX_PROFILE_BYTES",
    "Distribution",
    "Profile",
    "ProfileBuilder",
    "ProfileSummary",
    "Subject",
    "UnusualValue",
    "check_nodes",
    "check_size",
    "describe",
    "find_unusual",
    "from_message",
    "mean_ranks",
    "percentiles",
    "to_message",
]
