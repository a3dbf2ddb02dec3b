"""Fuzz decoders: `python -m tests.fuzzing.inside json rest --seconds 600`, in the environment that has atheris.

atheris chooses inputs by the lines that they reach. Each decoder has a process of its own and a folder of `build/fuzz`,
with its log, its findings and the corpus with which the next run begins. Prints a line of figures for each, and every
finding.
"""

import argparse
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr
from hashlib import sha256
from pathlib import Path
from typing import Final

import atheris

# A line for each module is written to the standard error.
with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["forwardpass", "forwardpass_server"]):
    from tests.fuzzing.judge import judge
    from tests.fuzzing.targets import TARGETS

FOLDER: Final = Path(__file__).parents[2] / "build" / "fuzz"
MAX_BYTES: Final = 2**16
"""Bytes of an input, at most."""

HUNG: Final = 300
"""Seconds after which an input is given up with its decoder; on a busy machine the limit of CPU is met long before."""

_WORD: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_/]{1,30}")
_MAX_WORDS: Final = 500
_COVERED: Final = re.compile(r"cov: (\d+) ft: (\d+)")


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"these alone, of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60, help="of CPU, for each decoder")
    options = parser.parse_args()
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"no decoder is called {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    findings = 0
    for name in options.target or TARGETS:
        process = os.fork()
        if process == 0:
            _fuzz(name, options.seconds, FOLDER / name)
        findings += _report(name, FOLDER / name, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    return 1 if findings else 0


def _fuzz(name: str, seconds: float, folder: Path) -> None:
    """Fuzz a decoder until the time is over, and end the process."""
    corpus, target = folder / "corpus", TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    log, results = (folder / "log").open("wb"), (folder / "results").open("w")
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log.fileno(), stream.fileno())
    seeds = target.seeds()
    for seed in seeds:
        target.decode(seed)  # the first of them imports what is needed
        _keep(corpus, seed)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in _words(seeds)))
    ends, count = time.process_time() + seconds, 0
    found: set[str] = set()

    def judge_one(content: bytes) -> None:
        nonlocal count
        finding = judge(target, content)
        count += 1
        if finding is not None and finding.what not in found:
            found.add(finding.what)
            path = _keep(folder, content, "finding-")
            results.write(json.dumps({"what": finding.what, "details": finding.details, "file": str(path)}) + "\n")
            results.flush()
        if time.process_time() > ends:
            results.write(json.dumps({"inputs": count}))
            results.close()
            # libFuzzer's own end waits for threads that never end.
            os._exit(0)

    limits = [f"-max_len={MAX_BYTES}", f"-timeout={HUNG}", "-rss_limit_mb=4096", "-seed=1", "-reload=0"]
    places = [f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *places], judge_one)
    atheris.Fuzz()


def _report(name: str, folder: Path, ending: int) -> int:
    """Print what a run found; return the number of findings."""
    lines = [json.loads(line) for line in (folder / "results").read_text().splitlines()]
    inputs = sum(line.get("inputs", 0) for line in lines)
    findings = [line for line in lines if "what" in line]
    if ending:
        findings.append({"what": f"the process ended with {ending}", "details": "", "file": str(folder / "log")})
    covered = _COVERED.findall((folder / "log").read_text(errors="replace")) or [(0, 0)]
    branches, features = map(int, covered[-1])
    print(f"{name:12} {inputs:>9,} inputs {branches:>7,} branches {features:>7,} paths {len(findings):>3} findings")
    for finding in findings:
        print(f"  {finding['what']}: {finding['file']}\n{finding['details']}")
    sys.stdout.flush()
    return len(findings)


def _keep(folder: Path, content: bytes, prefix: str = "") -> Path:
    path = folder / f"{prefix}{sha256(content).hexdigest()[:16]}"
    path.write_bytes(content)
    return path


def _words(seeds: Iterable[bytes]) -> Sequence[str]:
    """Return the words of the seeds, as libFuzzer's dictionary: mutations put them into inputs."""
    words = sorted({word for seed in seeds for word in _WORD.findall(seed)})
    return [word.decode() for word in words[:: len(words) // _MAX_WORDS + 1]]


if __name__ == "__main__":
    sys.exit(main())
