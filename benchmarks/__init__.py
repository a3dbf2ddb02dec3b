"""What `make bench` runs.

A package, and not a bare folder as examples/ and tests/ are: the wheels of pyarrow 17 bring a package of the same
name, which would hide a folder.
"""
