"""The systemd service, its installer and the Mosquitto example, as far as a machine without systemd can try them."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.commands.terminal import EXIT_CONFIG, EXIT_NOT_THERE

REPOSITORY = Path(__file__).resolve().parents[1]
SYSTEMD = REPOSITORY / "systemd"
SCRIPTS = [
    SYSTEMD / "install.sh",
    SYSTEMD / "uninstall.sh",
    *(REPOSITORY / ".ci" / name for name in ("run", "step", "system", "deb", "deb-test", "container-test")),
]
BESIDE = ("versions", "previous", "current")
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def program(name: str) -> str:
    """Path of a program; skips the test where it is not installed."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository to its end."""
    values = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run(command, cwd=REPOSITORY, env=values, capture_output=True, text=True, timeout=60, check=False)


def tree(folder: Path) -> set[str]:
    """Every path below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def in_use(root: Path) -> dict[str, bytes]:
    """Every installed file as the daemon and systemd find it: through links, without what lies beside."""
    paths = [root / "etc", root / "usr", *(p for p in (root / "opt/edge").iterdir() if p.name not in BESIDE)]
    files = [p for path in paths for p in (path.resolve().rglob("*") if path.is_dir() else [path])]
    links = {path.resolve(): path for path in paths}
    named = {
        str(next((at / p.relative_to(to) for to, at in links.items() if p.is_relative_to(to)), p)): p for p in files
    }
    return {name: p.read_bytes() for name, p in named.items() if p.is_file()}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_bash_and_executable(script: Path) -> None:
    """Each script parses and may be run."""
    assert run("bash", "-n", script).stderr == ""
    assert os.access(script, os.X_OK)


def test_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    """Systemd knows every key of the unit and accepts every value."""
    analyze = program("systemd-analyze")
    unit = tmp_path / "edge.service"
    text = (SYSTEMD / "edge.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/edge/venv/bin/edge", "/bin/true"), encoding="utf-8")
    result = run(analyze, "verify", unit)
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if "edge.service" in line]
    assert complaints == []


def test_unit_is_confined() -> None:
    """Systemd's own score of what the service could do stays at or below 1.6 of 10."""
    analyze = program("systemd-analyze")
    if "--offline" not in run(analyze, "--help").stdout:
        pytest.skip("this systemd-analyze cannot judge a file offline")
    result = run(analyze, "security", "--offline=true", "--threshold=16", "--no-pager", SYSTEMD / "edge.service")
    assert result.returncode == 0, result.stdout


JETSONS = {
    "JetPack 5": "nvhost nvmap 17000000.ga10b nvidia nvidia-modeset video4linux media drm nvsciipc",
    "JetPack 6": "host1x-fence 17000000.gpu nvidia nvidia-modeset nvidia-uvm video4linux media drm nvsciipc nvhost",
    "JetPack 7": "host1x-fence 17000000.gpu nvidia-frontend nvidia-caps nvidia-uvm nvidia-modeset drm nvidia",
    "Xavier": "nvhost 17000000.gv11b nvidia video4linux",
    "NVIDIA card": "nvidia nvidia-frontend nvidia-uvm nvidia-caps nvidia-modeset drm",
}
"""Names in /proc/devices of what CUDA, the video decoder and cameras open, as NVIDIA's drivers register them: a
Jetson's GPU by its device's name (nvgpu), the rest by the names of nvhost, host1x-fence, nvmap and nvsciipc."""


@pytest.mark.parametrize("machine", JETSONS)
def test_unit_lets_the_gpu_and_the_decoder_through(machine: str) -> None:
    """Every group of devices that they need is allowed, by systemd's own rule: a pattern as of file names."""
    lines = (SYSTEMD / "edge.service").read_text(encoding="utf-8").splitlines()
    allowed = [line.split("=")[1].split()[0] for line in lines if line.startswith("DeviceAllow=")]
    patterns = [entry.removeprefix("char-") for entry in allowed if entry.startswith("char-")]
    names = JETSONS[machine].split()
    assert [name for name in names if not any(fnmatch.fnmatchcase(name, p) for p in patterns)] == []
    others = ["mem", "tty", "ttyS", "input", "misc", "hidraw", "vfio", "sd", "usb_device", "i2c", "spi", "pts", "kvm"]
    assert [name for name in others if any(fnmatch.fnmatchcase(name, p) for p in patterns)] == []
    assert {"/dev/nvmap", "/dev/v4l2-nvdec"} <= set(allowed)
    assert "DevicePolicy=closed" in lines


def test_unit_does_not_retry_a_wrong_configuration() -> None:
    """Exit status 78, a wrong configuration, is not restarted; everything else is, after a pause, without an end."""
    unit = (SYSTEMD / "edge.service").read_text(encoding="utf-8").splitlines()
    assert {"Restart=always", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0", "RestartSec=5"} <= set(unit)
    assert (EXIT_CONFIG, EXIT_NOT_THERE) == (78, 69)


def test_unit_reloads_by_the_signal_that_the_daemon_takes() -> None:
    """`systemctl reload` sends SIGHUP, in a form that systemd 249 (JetPack 6) has."""
    unit = (SYSTEMD / "edge.service").read_text(encoding="utf-8").splitlines()
    assert {"ExecReload=/bin/kill -HUP $MAINPID", "Type=notify"} <= set(unit)


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    """A dry run tells the plan and leaves no file behind."""
    result = run(SYSTEMD / "install.sh", "--dry-run", DESTDIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "/opt/edge/engines" in result.stdout
    assert tree(tmp_path) == set()


def test_install_twice_is_install_once_and_keeps_the_configuration(tmp_path: Path) -> None:
    """A second run gives the same files in a version beside the first, and never touches a config.yaml."""
    install = (SYSTEMD / "install.sh", "--no-venv")
    first = run(*install, DESTDIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    config = tmp_path / "etc/edge/config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = in_use(tmp_path)
    for _ in range(3):
        again = run(*install, DESTDIR=str(tmp_path))
        assert again.returncode == 0, again.stderr
    assert set(in_use(tmp_path)) == set(before)
    assert len(list((tmp_path / "opt/edge/versions").iterdir())) == 2
    assert config.read_text(encoding="utf-8").endswith("# mine\n")


def test_installed_configuration_points_at_installed_files(tmp_path: Path) -> None:
    """Every path of the installed config.yaml is absolute and was installed, and others may not read the file."""
    run(SYSTEMD / "install.sh", "--no-venv", DESTDIR=str(tmp_path))
    config = tmp_path / "etc/edge/config.yaml"
    lines = [line.split("#")[0] for line in config.read_text(encoding="utf-8").splitlines()]
    paths = [line.split(":", 1)[1].strip() for line in lines if line.strip().startswith(("path:", "engines:"))]
    assert len(paths) == 3
    [schema] = [line.split("=", 1)[1] for line in config.read_text(encoding="utf-8").splitlines() if "$schema=" in line]
    assert (tmp_path / schema.removeprefix("/")).is_file()
    assert [path for path in paths if not (tmp_path / path.removeprefix("/")).is_dir()] == []
    assert config.stat().st_mode & 0o777 == 0o640


def test_installed_plans_are_the_services_own(tmp_path: Path) -> None:
    """Engines built on the device lie in the folder that systemd gives the service, where only it may write."""
    run(SYSTEMD / "install.sh", "--no-venv", DESTDIR=str(tmp_path))
    lines = (tmp_path / "etc/edge/config.yaml").read_text(encoding="utf-8").splitlines()
    plans = [line.split("#")[0].split(":", 1)[1].strip() for line in lines if line.strip().startswith("plans:")]
    assert plans == ["/var/lib/edge/plans"]
    assert "StateDirectory=edge" in (SYSTEMD / "edge.service").read_text(encoding="utf-8").splitlines()


def test_the_device_key_is_made_by_its_user_and_never_over_another() -> None:
    """The installer's plan shows it: as the daemon's user, mode 0600, refusing a file that is there."""
    result = run(SYSTEMD / "install.sh", "--dry-run", "--no-venv", DESTDIR="")
    (line,) = [line for line in result.stdout.splitlines() if "device.key" in line and "urandom" in line]
    assert line.startswith("+ runuser -u edge ")
    assert "umask 077" in line
    assert "set -C" in line


def test_what_was_built_in_the_checkout_is_not_installed(tmp_path: Path) -> None:
    """Neither its engines, which are of another place, nor the key that signs them."""
    checkout, root = tmp_path / "checkout", tmp_path / "root"
    for folder in ("engines", "systemd", "edge/demo"):
        shutil.copytree(REPOSITORY / folder, checkout / folder)
    (checkout / "edge" / "config").mkdir()
    for file in ("config.yaml", "LICENSE", "edge/config/config.schema.json"):
        shutil.copy(REPOSITORY / file, checkout / file)
    for file in ("device.key", "depth/a.engine", "depth/a.engine.json", "depth/.lock", "8.7.timing"):
        (checkout / "engines" / file).touch()
    result = run(checkout / "systemd" / "install.sh", "--no-venv", DESTDIR=str(root))
    assert result.returncode == 0, result.stderr
    installed = {path.name for path in (root / "opt/edge/engines").rglob("*") if path.is_file()}
    assert "model.onnx" in installed
    assert not installed & {"device.key", "a.engine", "a.engine.json", ".lock", "8.7.timing"}


def test_uninstall_keeps_the_configuration_unless_purged(tmp_path: Path) -> None:
    """Uninstalling removes the program and keeps what is the user's; --purge removes that too."""
    run(SYSTEMD / "install.sh", "--no-venv", DESTDIR=str(tmp_path))
    assert run(SYSTEMD / "uninstall.sh", DESTDIR=str(tmp_path)).returncode == 0
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"config.yaml"}
    assert run(SYSTEMD / "uninstall.sh", "--purge", DESTDIR=str(tmp_path)).returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@dataclass
class Device:
    """A checkout and a device, with a Python whose pip installs a program that prints its version, or fails."""

    checkout: Path
    root: Path
    python: Path

    def install(self, *arguments: str, version: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the installer on a checkout whose models and unit are of `version`."""
        if version:
            (self.checkout / "engines/version").write_text(version)
            (self.checkout / "systemd/edge.sysusers").write_text(version)
        script = self.checkout / "systemd/install.sh"
        return run(
            script, *arguments, DESTDIR=str(self.root), VERSION=version, **{"PYTHON": str(self.python), **environment}
        )

    def versions(self) -> tuple[str, str, str]:
        """The version of the models, of the unit's files and of the program that are in use."""
        program = run(self.root / "opt/edge/venv/bin/edge", "version").stdout.strip()
        models = (self.root / "opt/edge/engines/version").read_text()
        return models, (self.root / "usr/lib/sysusers.d/edge.conf").read_text(), program


STUB = """\
#!/usr/bin/env bash
set -e
case "$*" in
"-m venv "*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
*"-m pip --version") ;;
*"pip install"*)
    echo half > "$(dirname "$0")/edge"
    [ -z "$PIP_FAILS" ] || { echo "no index" >&2; exit 1; }
    printf '#!%s\\necho %s\\n' "$(dirname "$0")/python" "$VERSION" > "$(dirname "$0")/edge"
    chmod +x "$(dirname "$0")/edge" ;;
*.py) exec PYTHON "$@" ;;
*) exec bash "$@" ;;
esac
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A small checkout, and nothing installed."""
    checkout = tmp_path / "checkout"
    shutil.copytree(SYSTEMD, checkout / "systemd")
    for folder in ("engines", "edge/demo", "edge/config", ".ci", "training"):
        (checkout / folder).mkdir(parents=True)
    for file in ("config.yaml", "LICENSE", "edge/config/config.schema.json", "pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / file, checkout / file)
    shutil.copy(REPOSITORY / ".ci/python_is_fit.py", checkout / ".ci")
    python = tmp_path / "python"
    python.write_text(STUB.replace("PYTHON", sys.executable))
    python.chmod(0o755)
    return Device(checkout, tmp_path / "root", python)


def test_an_update_that_fails_changes_nothing(device: Device) -> None:
    """When pip fails half-way, code, models, unit and configuration are those of before, whole and in use."""
    assert device.install(version="1").returncode == 0
    before, paths = in_use(device.root), tree(device.root)
    failed = device.install(version="2", PIP_FAILS="yes")
    assert failed.returncode != 0
    assert "as it was" in failed.stderr
    assert in_use(device.root) == before
    assert tree(device.root) == paths
    assert device.versions() == ("1", "1", "1")
    assert device.install(version="2").returncode == 0
    assert device.versions() == ("2", "2", "2")


def test_the_first_installation_that_fails_leaves_no_program(device: Device) -> None:
    """Nothing that systemd would start."""
    assert device.install(version="1", PIP_FAILS="yes").returncode != 0
    assert not any(path.name == "edge.service" for path in device.root.rglob("*"))


def test_rollback_brings_back_code_models_and_unit(device: Device) -> None:
    """The version before is whole; a second rollback goes forward again; without one before it says so."""
    assert device.install(version="1").returncode == 0
    alone = device.install("--rollback")
    assert alone.returncode == 1
    assert "no version to go back to" in alone.stderr
    for version in ("2", "3"):
        assert device.install(version=version).returncode == 0
    config = device.root / "etc/edge/config.yaml"
    config.write_text("mine")
    for expected in ("2", "3", "2"):
        assert device.install("--rollback").returncode == 0
        assert device.versions() == (expected, expected, expected)
    dry = in_use(device.root)
    assert device.install("--rollback", "--dry-run").returncode == 0
    assert in_use(device.root) == dry
    assert config.read_text() == "mine"


def test_an_installation_without_versions_is_updated_and_can_be_gone_back_to(device: Device) -> None:
    """As installers before this one left it: folders instead of links."""
    home = device.root / "opt/edge"
    assert device.install(version="1").returncode == 0
    for path in [path for path in home.iterdir() if path.is_symlink() and path.name not in BESIDE]:
        target = path.resolve()
        path.unlink()
        shutil.move(target, path)
    (home / "current").unlink()
    shutil.rmtree(home / "versions")
    script = home / "venv/bin/edge"
    script.write_text(f"#!{home}/venv/bin/python\necho 1\n")
    (home / "venv/added-by-hand").touch()
    assert device.install(version="2").returncode == 0
    assert device.versions() == ("2", "2", "2")
    assert (home / "venv/added-by-hand").exists()
    assert device.install("--rollback").returncode == 0
    assert device.versions() == ("1", "1", "1")


def test_no_index_leaves_the_installation_as_it_was(device: Device) -> None:
    """The same with a real Python and a real pip that finds nobody to ask."""
    assert device.install("--no-venv", version="1").returncode == 0
    before = in_use(device.root)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    failed = device.install(version="2", PYTHON=sys.executable, **nowhere)
    assert failed.returncode != 0
    assert "as it was" in failed.stderr
    assert in_use(device.root) == before


SYSTEMCTL = """\
#!/usr/bin/env bash
# A systemd that knows one service, whose version says how it goes: what it serves, or why it does not.
version=$("ROOT/opt/edge/venv/bin/edge" version) restarts=$(cat "ROOT/restarts" 2>/dev/null || echo 0)
case "$*" in
restart*) echo "$version" >> "ROOT/started"; [ "$version" != refuses ] ;;
*=StatusText*) case $version in
    mute) echo "no result yet: 2 of 2 cameras online" ;;
    blind) echo "serving: 1 of 2 cameras online" ;;
    *) echo "serving: 2 of 2 cameras online" ;;
    esac ;;
*=ActiveState*) echo active ;;
*=NRestarts*) [ "$version" != crashes ] || restarts=$((restarts + 1)); echo "$restarts" | tee "ROOT/restarts" ;;
esac
"""


@pytest.fixture
def served(device: Device) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The installer, on a device with a systemd that starts what it installs."""
    systemctl = device.root.parent / "systemctl"
    device.root.mkdir()
    systemctl.write_text(SYSTEMCTL.replace("ROOT", str(device.root)))
    systemctl.chmod(0o755)
    patience = {"HEALTHY_WITHIN_S": "0", "STEADY_S": "0"}
    return lambda *a, version="": device.install(*a, version=version, SYSTEMCTL=str(systemctl), **patience)


def test_an_update_that_does_not_serve_is_taken_back(
    device: Device, served: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """It does not start, gives no results, sees fewer cameras, or ends: code, models and unit are those of before."""
    for good in ("1", "2"):
        assert served(version=good).returncode == 0
    before, paths = in_use(device.root), tree(device.root / "opt")
    for bad in ("refuses", "mute", "blind", "crashes"):
        failed = served(version=bad)
        assert failed.returncode == 1
        assert "is in use again" in failed.stderr
        assert in_use(device.root) == before
        assert tree(device.root / "opt") == paths
        assert device.versions() == ("2", "2", "2")
        assert (device.root / "started").read_text().split()[-2:] == [bad, "2"]
    assert served("--rollback").returncode == 0
    assert device.versions() == ("1", "1", "1")


def test_a_first_installation_that_does_not_serve_says_that_nothing_came_before(
    device: Device, served: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """It stays, to be corrected: there is nothing to put in its place."""
    failed = served(version="mute")
    assert failed.returncode == 1
    assert "none before it" in failed.stderr
    assert device.versions() == ("mute", "mute", "mute")


def test_what_only_root_may_read_is_lent_by_systemd(device: Device) -> None:
    """Every file of /etc/edge/credentials is a credential of the service; without any there is no such drop-in."""
    assert device.install(version="1").returncode == 0
    folder = device.root / "etc/edge/credentials"
    dropin = device.root / "etc/systemd/system/edge.service.d/credentials.conf"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not dropin.exists()
    (folder / "mqtt-password").write_text("secret")
    assert device.install(version="2").returncode == 0
    line = "LoadCredential=mqtt-password:/etc/edge/credentials/mqtt-password"
    assert dropin.read_text() == f"[Service]\n{line}\n"
    if shutil.which("systemd-analyze"):
        analysed = device.root / "edge.service"
        analysed.write_text(f"[Service]\nExecStart=/bin/true\n{line}\n")
        assert "edge.service:" not in run("systemd-analyze", "verify", analysed).stderr


def test_what_a_package_carries_is_installed_without_a_checkout(device: Device, tmp_path: Path) -> None:
    """`--built` takes a version's folder as it is; its programs run from where they were installed."""
    assert device.install(version="1").returncode == 0
    package = tmp_path / "package"
    shutil.copytree((device.root / "opt/edge/current").resolve(), package, symlinks=True)
    shutil.rmtree(device.root)
    script = package / "install.sh"
    assert run(script, "--built", package, DESTDIR=str(device.root)).returncode == 0
    shutil.rmtree(package)
    assert device.versions() == ("1", "1", "1")
    assert (device.root / "etc/edge/config.yaml").read_text().count("/opt/edge/engines") == 1
    installed = device.root / "opt/edge/current/install.sh"
    assert run(installed, "--uninstall", DESTDIR=str(device.root)).returncode == 0
    assert not (device.root / "opt/edge").exists()


def test_uninstall_removes_every_version(device: Device) -> None:
    """Nothing of any of them is left."""
    for version in ("1", "2"):
        assert device.install(version=version).returncode == 0
    assert device.install("--uninstall").returncode == 0
    assert not (device.root / "opt/edge").exists()


def test_the_command_is_on_everybodys_path(device: Device) -> None:
    """After an installation `edge` is found by its name; another program of that name stays, also at the end."""
    command = device.root / "usr/local/bin/edge"
    assert device.install(version="1").returncode == 0
    assert os.readlink(command) == "/opt/edge/venv/bin/edge"
    assert device.install("--uninstall").returncode == 0
    assert not command.is_symlink()
    command.write_text("of somebody else")
    done = device.install(version="2")
    assert done.returncode == 0
    assert "another program" in done.stdout
    assert device.install("--uninstall").returncode == 0
    assert command.read_text() == "of somebody else"


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_given_and_nothing_done(tmp_path: Path, script: str, option: str) -> None:
    """Every option of the script is in it, as text without comment signs; nobody must be root for it."""
    result = run(SYSTEMD / script, option, DESTDIR=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    text = (SYSTEMD / script).read_text(encoding="utf-8")
    taken = set(re.findall(r"(?m)^ +(--[a-z-]+)\)", text))
    assert len(taken) > 1
    assert [name for name in taken if name not in result.stdout] == []
    assert not any(line.startswith("#") for line in result.stdout.splitlines())
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_unknown_argument_is_refused(tmp_path: Path, script: str) -> None:
    """A mistyped option stops the script before it does anything."""
    result = run(SYSTEMD / script, "--dryrun", DESTDIR=str(tmp_path))
    assert result.returncode == 2
    assert "--dryrun" in result.stderr
    assert tree(tmp_path) == set()
