#!/usr/bin/env bash
# Install the daemon as a systemd service, or update it. Run from a checkout, as root:
#
#   sudo systemd/install.sh [--dry-run] [--no-start]
#   sudo systemd/install.sh --rollback
#
#   --rollback   go back to the version that was in use before the last update; again: forward
#   --dry-run    print what would be done, change nothing
#   --no-venv    files only: /opt/edge/venv is made elsewhere
#   --no-start   install without enabling or starting the service
#
# PYTHON=python3.12 chooses the Python. DESTDIR=/path puts the files below another root, for packages.
#
# Each version is a folder of its own, /opt/edge/versions/*: code, models and unit. It is made beside the one in use, which
# goes on as it was if anything fails; then one rename of /opt/edge/current puts the new one in its place. The one before
# is kept. An existing /etc/edge/config.yaml and the device's key are never overwritten.
set -euo pipefail
umask 022 # the daemon is another user: it must be able to read what root installs
cd "$(dirname "$0")/.."

dry_run=no make_venv=yes start=yes rollback=no
for argument in "$@"; do
    case $argument in
    --dry-run) dry_run=yes ;;
    --no-venv) make_venv=no ;;
    --no-start) start=no ;;
    --rollback) rollback=yes ;;
    *)
        echo "unknown argument $argument; see the head of $0" >&2
        exit 2
        ;;
    esac
done
root=${DESTDIR:-}
python=${PYTHON:-python3}
home=$root/opt/edge
if [ "$dry_run" = no ] && [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "needs root: sudo $0" >&2
    exit 1
fi

run() { # print it, and do it unless this is a dry run
    echo "+ $*"
    [ "$dry_run" = yes ] || "$@"
}

link() { # target name: the name points there from one moment to the next, or as before
    run ln -sfn "$1" "$2.new"
    run mv -fT "$2.new" "$2"
}

new_version() { # sets $version, a folder that is removed unless it comes into use
    local name
    name=$(date -u +%Y%m%d-%H%M%S)
    while [ -e "$home/versions/$name" ]; do name+=x; done
    version=$home/versions/$name
    if [ "$dry_run" = no ]; then
        trap 'rm -rf "$version"; echo "failed: what was installed before is as it was" >&2' EXIT
    fi
    run install -d -m 0755 "$version"
}

build_files() {
    run cp -r engines "$version/engines"
    # What was built in the checkout is of that place and signed with its key; weights are for training alone.
    run find "$version/engines" '(' -name '*.engine*' -o -name '*.timing' -o -name device.key -o -name .lock -o -name weights.safetensors ')' -delete
    run cp -r edge/demo "$version/demo"
    run install -m 0644 edge/config/config.schema.json LICENSE "$version/"
    run install -m 0644 systemd/edge.service systemd/edge.sysusers systemd/edge.tmpfiles "$version/"
}

build_venv() {
    "$python" .ci/python_is_fit.py
    local venv=$version/venv options=() source
    if [ -e /etc/nv_tegra_release ]; then # JetPack's TensorRT and OpenCV live among the system's packages
        options=(--system-site-packages)
    fi
    if [ -x "$home/venv/bin/python" ] && "$home/venv/bin/python" -m pip --version >/dev/null 2>&1; then
        # A copy keeps what was added by hand, such as NVIDIA's build of ONNX Runtime.
        run cp -a "$home/venv/." "$venv"
        echo "+ scripts of $venv use its own Python"
        if [ "$dry_run" = no ]; then
            find "$venv/bin" -type f -exec grep -qI '/venv/bin/python' {} ';' \
                -exec sed -i "1,2s#[^ \"'!]*/venv/bin/python#$venv/bin/python#" {} ';'
        fi
    else
        run "$python" -m venv "${options[@]}" "$venv"
    fi
    # From a copy, so that no build output of root stays in the checkout.
    source=$(mktemp -d)
    trap 'rm -rf "$source"' RETURN
    cp -r pyproject.toml README.md LICENSE edge training "$source"
    local pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet)
    run "${pip[@]}" --upgrade "$source" || return
    # The version number may be the same after an update from a checkout: put today's code in place anyway.
    run "${pip[@]}" --no-deps --force-reinstall "$source" || return
    run "$venv/bin/edge" version
}

install_config() {
    local target=$root/etc/edge/config.yaml
    run install -d -m 0750 "$root/etc/edge"
    if [ -e "$target" ]; then
        echo "= $target is kept as it is"
        return
    fi
    echo "+ config.yaml -> $target (demo clips and engines of /opt/edge)"
    [ "$dry_run" = yes ] && return
    sed -e 's#path: edge/demo/#path: /opt/edge/demo/#' \
        -e 's#engines: engines #engines: /opt/edge/engines #' \
        -e 's#plans: null *#plans: /var/lib/edge/plans #' \
        -e 's%folder: null  *# null: spool/%folder: /var/lib/edge/spool # null: spool/%' \
        -e 's#\$schema=edge/config/config.schema.json#$schema=/opt/edge/config.schema.json#' config.yaml >"$target.new"
    chmod 0640 "$target.new"
    mv "$target.new" "$target"
}

units=(etc/systemd/system/edge.service usr/lib/sysusers.d/edge.conf usr/lib/tmpfiles.d/edge.conf)
files=(edge.service edge.sysusers edge.tmpfiles) # what these are called in a version's folder

lay_out() { # a version's folder: its unit lies beside the one in use; all that is left to do is to rename
    local i
    for i in 0 1 2; do
        run install -D -m 0644 "$1/${files[i]}" "$root/${units[i]}.new"
    done
}

use() { # the name of a version that is laid out: its code, models and unit are in use from now on
    local before name i
    before=$(readlink "$home/current" || true)
    [ -z "$before" ] || [ "$before" = "$1" ] || link "$before" "$home/previous"
    link "$1" "$home/current"
    for name in venv engines demo config.schema.json LICENSE; do
        if [ "$make_venv" = no ] && [ $name = venv ]; then continue; fi
        if [ -e "$home/$name" ] && [ ! -L "$home/$name" ]; then # of an installation that knew no versions
            if [ -n "$before" ] && [ ! -e "$home/$before/$name" ]; then
                run mv "$home/$name" "$home/$before/$name"
            else
                run rm -rf "${home:?}/$name"
            fi
        fi
        [ -L "$home/$name" ] || run ln -s "current/$name" "$home/$name"
    done
    for i in 0 1 2; do
        run mv -f "$root/${units[i]}.new" "$root/${units[i]}"
    done
}

adopt_unversioned() { # what an installer without versions left becomes the version before, so that it can be gone back to
    if [ -e "$home/current" ] || [ ! -d "$home/engines" ] || [ ! -e "$root/etc/systemd/system/edge.service" ]; then return; fi
    local old=$home/versions/unversioned name i
    run install -d -m 0755 "$old"
    for name in venv engines demo config.schema.json LICENSE; do
        [ ! -e "$home/$name" ] || run mv "$home/$name" "$old/$name"
        [ ! -e "$old/$name" ] || run ln -s "current/$name" "$home/$name"
    done
    for i in 0 1 2; do
        [ ! -e "$root/${units[i]}" ] || run cp "$root/${units[i]}" "$old/${files[i]}"
    done
    link versions/unversioned "$home/current"
}

remove_other_versions() {
    local folder kept
    for folder in "$home"/versions/*; do
        kept=versions/$(basename "$folder")
        if [ "$kept" != "$(readlink "$home/current" || true)" ] && [ "$kept" != "$(readlink "$home/previous" || true)" ]; then
            [ ! -d "$folder" ] || run rm -rf "$folder"
        fi
    done
}

make_plans_folder() { # what TensorRT builds is native code: nobody else may read it, or the key that signs it
    local plans=/var/lib/edge/plans
    run install -d -m 0750 -o edge -g edge /var/lib/edge
    run install -d -m 0700 -o edge -g edge "$plans"
    if [ -e "$plans/device.key" ]; then
        echo "= $plans/device.key is kept as it is"
    else # as that user, and never over a file that is there
        run runuser -u edge -- sh -c "umask 077; set -C; head -c 32 /dev/urandom >$plans/device.key"
    fi
}

start_service() {
    run systemd-sysusers edge.conf
    make_plans_folder
    run systemd-tmpfiles --create edge.conf
    run systemctl daemon-reload
    if [ "$start" = yes ]; then
        run systemctl enable edge.service
        if ! run systemctl restart edge.service; then
            echo "edge does not start: journalctl -u edge says why; $0 --rollback goes back to the version before" >&2
            exit 1
        fi
    fi
}

if [ "$rollback" = yes ]; then
    previous=$(readlink "$home/previous" || true)
    if [ -z "$previous" ] || [ ! -d "$home/$previous" ]; then
        echo "there is no version to go back to in $home/versions" >&2
        exit 1
    fi
    [ -e "$home/$previous/venv" ] || make_venv=no
    lay_out "$home/$previous"
    use "$previous"
    [ -n "$root" ] || start_service
    exit 0
fi

new_version
build_files
[ "$make_venv" = no ] || build_venv
install_config
lay_out "$version"
trap - EXIT
adopt_unversioned
use "versions/$(basename "$version")"
remove_other_versions
[ -n "$root" ] || start_service
cat <<'END'

Next:  edit /etc/edge/config.yaml (cameras, mqtt), then
       sudo -u edge /opt/edge/venv/bin/edge check --config /etc/edge/config.yaml
       sudo systemctl restart edge && journalctl -fu edge
Back to the version before:  sudo systemd/install.sh --rollback
The broker's password: put it into /etc/edge/secrets/mqtt-password, run this again (it sets the rights),
and say `password_file: secrets/mqtt-password` in config.yaml.
END
