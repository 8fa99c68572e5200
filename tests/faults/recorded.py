"""`edge` as it is, with every message that is handed to the publisher noted in a file before anything can lose it.

    python -m tests.faults.recorded RECORD run --config config.yaml

Results are made when they are handed over and not on the publishing thread, since only then is it known which frame
they are of; nothing else differs.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from typing import Any

from tests.faults.ledger import key_of


def record_to(path: str) -> None:
    """Note what is handed to every publisher of this process: when, and the message's key."""
    from edge.publish.publisher import Publisher

    publish = Publisher.publish
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @functools.wraps(publish)
    def noted(self: Publisher, kind: Any, content: Any, **options: Any) -> None:
        if callable(content) and kind in ("layout", "lighting"):
            content = content()
        if not callable(content):
            key = key_of(self.topics.of(kind, camera=options.get("camera")), content.encoded())
            if key is not None:
                os.write(file, json.dumps([time.monotonic(), key]).encode() + b"\n")
        publish(self, kind, content, **options)

    Publisher.publish = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    record, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    from edge.__main__ import main

    record_to(record)
    main()
