"""The page's own functions, called without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

NODE = shutil.which("node")
SOURCES = Path(__file__).parents[3] / "edge" / "viewer" / "page" / "src"


def in_page(expressions: list[str], **values: Any) -> list[Any]:
    """What JavaScript expressions over the page's own functions come to."""
    code = f"""
        import {{ bearings, heatLossYaml, openingsYaml }} from {json.dumps(str(SOURCES / "yaml.js"))};
        import {{ fisheyeRay, inPicture }} from {json.dumps(str(SOURCES / "geometry.js"))};
        import {{ pointsFromDepth, probeCoefficients }} from {json.dumps(str(SOURCES / "geometry.js"))};
        import {{ wallColours }} from {json.dumps(str(SOURCES / "heat.js"))};
        import {{ problem, said as asSaid, seen }} from {json.dumps(str(SOURCES / "review" / "corners.js"))};
        import {{ placed, sideAt }} from {json.dumps(str(SOURCES / "openings.js"))};
        const {{ {", ".join(values)} }} = {json.dumps(values)};
        console.log(JSON.stringify([{", ".join(expressions)}]));
    """
    assert NODE is not None
    command = [NODE, "--no-warnings", "--experimental-default-type=module", "--input-type=module", "-"]
    said = subprocess.run(command, input=code, check=True, capture_output=True, text=True, timeout=30)
    found: list[Any] = json.loads(said.stdout)
    return found
