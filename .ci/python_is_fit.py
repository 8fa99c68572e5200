"""Say plainly what is missing where this Python cannot make the virtual environment. Runs on any Python 3."""

import importlib.util
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - it runs before anything has checked the version
    found = sys.version.split()[0]
    sys.exit("Python 3.10 or newer is needed, this is {}. Say which: make PYTHON=python3.12 ...".format(found))  # noqa: UP032
if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
    version = "{}.{}".format(*sys.version_info[:2])
    sys.exit("This Python has no venv module. On Debian and Ubuntu: sudo apt-get install python{}-venv".format(version))  # noqa: UP032
