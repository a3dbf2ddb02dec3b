"""The version of forwardpass: the build, the packages and the commands read it here."""

__version__ = "0.1.0"
