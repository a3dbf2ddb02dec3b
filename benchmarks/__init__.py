"""The benchmarks of `make bench`.

Unlike examples/ and tests/, this folder is a package: the wheels of pyarrow 17 contain a package of the same name,
which would hide a plain folder.
"""
