"""Other servers of models, each with an environment of its own, beside this one: `make bench-peers`."""
