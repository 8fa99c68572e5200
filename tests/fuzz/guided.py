"""One target, guided by which lines its inputs reach; for a while, by hand: needs `pip install atheris` (Python 3.11).

    python -m tests.fuzz.guided "onnx files" -max_total_time=60

What follows the target's name goes to libFuzzer. New inputs are kept in build/fuzz/corpus, from where the next run
goes on.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["edge"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).resolve().parents[2] / "build" / "fuzz" / "corpus"


def main() -> None:
    """Run until it is interrupted, or the time is over, or something is found."""
    name, *options = sys.argv[1:]
    target, corpus = TARGETS[name], CORPUS / name.replace(" ", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    with tempfile.TemporaryDirectory(prefix="edge-fuzz-") as folder:
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: target.run(data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
