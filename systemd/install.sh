#!/usr/bin/env bash
# Install the daemon as a systemd service, or update it. Run from a checkout, as root:
#
#   sudo systemd/install.sh [--dry-run] [--no-start]
#   sudo systemd/install.sh --rollback
#   sudo systemd/install.sh --uninstall [--purge]
#
#   --rollback   go back to the version that was in use before the last update; again: forward
#   --uninstall  remove every version; --purge: also configuration, state and user (uninstall.sh)
#   --dry-run    print what would be done, change nothing
#   --no-venv    files only: /opt/edge/venv is made elsewhere
#   --no-start   install without enabling or starting the service
#   --built DIR  install what an earlier run put into DIR (code, models, unit) instead of a checkout: what a package does
#
# PYTHON=python3.12 chooses the Python. DESTDIR=/path puts the files below another root, for packages and images; nothing
# is started there unless SYSTEMCTL names a program that does it.
#
# Each version is a folder of its own, /opt/edge/versions/*: code, models and unit. It is made beside the one in use, which
# goes on as it was if anything fails; then one rename of /opt/edge/current puts the new one in its place. An update is
# kept if it serves as many cameras as the version before it within HEALTHY_WITHIN_S=120 seconds of its start and goes on
# for STEADY_S=20; otherwise the version before it is put back, code and models together, and this exits with 1.
# An existing /etc/edge/config.yaml and the device's key are never overwritten. Installed, this script is
# /opt/edge/current/install.sh.
set -euo pipefail
umask 022 # the daemon is another user: it must be able to read what root installs
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

arguments=("$@")
dry_run=no make_venv=yes start=yes rollback=no built=
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes ;;
    --no-venv) make_venv=no ;;
    --no-start) start=no ;;
    --rollback) rollback=yes ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$here/install.sh"
        exit 0
        ;;
    --built) built=$(cd "${2:?--built needs a folder}" && pwd) && shift ;;
    --uninstall)
        for i in "${!arguments[@]}"; do [ "${arguments[i]}" != --uninstall ] || unset "arguments[i]"; done
        exec "$here/uninstall.sh" "${arguments[@]}"
        ;;
    *)
        echo "unknown argument $1; $0 --help lists them" >&2
        exit 2
        ;;
    esac
    shift
done
root=${DESTDIR:-}
python=${PYTHON:-python3}
systemctl=${SYSTEMCTL:-}
[ -n "$systemctl" ] || [ -n "$root" ] || systemctl=systemctl
home=$root/opt/edge
unit=edge.service
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
    run install -m 0644 systemd/edge.service systemd/edge.sysusers systemd/edge.tmpfiles config.yaml "$version/"
    run install -m 0755 systemd/install.sh systemd/uninstall.sh "$version/"
}

copy_built() { # what --built names; links where they can be made, so that a package's files are not there twice
    run cp -a --link "$built/." "$version" 2>/dev/null || run cp -a "$built/." "$version"
    use_own_python "$version/venv"
}

use_own_python() { # of a copied environment: its scripts name the one that they were installed by
    echo "+ scripts of $1 use its own Python"
    if [ "$dry_run" = no ] && [ -d "$1/bin" ]; then
        find "$1/bin" -type f -exec grep -qI '/venv/bin/python' {} ';' \
            -exec sed -i "1,2s#[^ \"'!]*/venv/bin/python#$1/bin/python#" {} ';'
    fi
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
        use_own_python "$venv"
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
    local target=$root/etc/edge/config.yaml given=config.yaml
    [ -z "$built" ] || given=$built/config.yaml
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
        -e 's%folder: models  *# private folder%folder: /var/lib/edge/models # private folder%' \
        -e 's%folder: null  *# null: spool/%folder: /var/lib/edge/spool # null: spool/%' \
        -e 's#\$schema=edge/config/config.schema.json#$schema=/opt/edge/config.schema.json#' "$given" >"$target.new"
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
    put_on_path
}

put_on_path() { # `edge` as a command of everybody's; another program of that name stays
    local command=$root/usr/local/bin/edge
    if [ "$make_venv" = no ]; then return; fi
    if [ -e "$command" ] && [ "$(readlink "$command")" != /opt/edge/venv/bin/edge ]; then
        echo "= $command is another program and stays: ours is /opt/edge/venv/bin/edge"
        return
    fi
    run install -d -m 0755 "$root/usr/local/bin"
    run ln -sfn /opt/edge/venv/bin/edge "$command"
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

lend_credentials() { # what only root may read in /etc/edge/credentials, systemd hands to the service alone
    local folder=$root/etc/edge/credentials dropin=$root/etc/systemd/system/$unit.d/credentials.conf file
    run install -d -m 0700 "$folder"
    if [ "$dry_run" = yes ] || [ -z "$(ls "$folder")" ]; then
        run rm -f "$dropin"
        return
    fi
    run install -d -m 0755 "$(dirname "$dropin")"
    echo "+ LoadCredential of $(ls "$folder" | xargs) -> $dropin"
    { echo "[Service]" && for file in "$folder"/*; do
        echo "LoadCredential=$(basename "$file"):${file#"$root"}"
    done; } >"$dropin"
}

prepare_system() { # user, rights and folders
    run systemd-sysusers edge.conf
    make_plans_folder
    run systemd-tmpfiles --create edge.conf
}

restart_service() { # whether it starts; systemd waits until its networks are loaded
    run "$systemctl" daemon-reload
    if [ "$start" = no ]; then return; fi
    run "$systemctl" enable $unit
    run "$systemctl" restart $unit
}

told() { "$systemctl" show $unit --property="$1" --value 2>/dev/null || true; }

cameras_served() { # how many deliver and are inferred, as the daemon tells systemd; nothing before the first result
    told StatusText | sed -n 's/^serving: \([0-9]*\) of .*/\1/p'
}

healthy() { # at least so many cameras served in time, and no restart for a while after; else says why not
    local wanted=$1 until restarts served=
    if [ "$start" = no ] || [ "$dry_run" = yes ]; then return; fi
    until=$((SECONDS + ${HEALTHY_WITHIN_S:-120}))
    echo "= waiting until it serves (${wanted:-any number of} cameras)"
    while served=$(cameras_served) && { [ -z "$served" ] || [ "$served" -lt "${wanted:-0}" ]; }; do
        if [ "$(told ActiveState)" = failed ]; then
            echo "it ended: $(told StatusText)" >&2
            return 1
        elif [ $SECONDS -ge $until ]; then
            echo "it does not serve ${wanted:-any} cameras within ${HEALTHY_WITHIN_S:-120} s: $(told StatusText)" >&2
            return 1
        fi
        sleep 1
    done
    restarts=$(told NRestarts)
    sleep "${STEADY_S:-20}"
    if [ "$(told ActiveState)" != active ] || [ "$(told NRestarts)" != "$restarts" ]; then
        echo "it began to serve and ended: $(told ActiveState), $(told StatusText)" >&2
        return 1
    fi
    echo "= it serves: $(told StatusText)"
}

go_back() { # to the version that was in use before this one, which is removed
    local before=$1 older=$2
    echo "the new version is not kept; journalctl -u edge has what it said" >&2
    if [ -z "$before" ]; then
        echo "there is none before it to go back to; correct what is wrong and run this again" >&2
        exit 1
    fi
    lay_out "$home/$before"
    use "$before"
    if [ -n "$older" ]; then link "$older" "$home/previous"; else run rm -f "$home/previous"; fi
    run rm -rf "$version"
    if restart_service && healthy ""; then
        echo "$before is in use again, as before the update" >&2
    else
        echo "$before was put back and does not serve either: what is wrong lies outside of them, in cameras, broker or" \
            "configuration" >&2
    fi
    exit 1
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
    [ -n "$root" ] || prepare_system
    if [ -n "$systemctl" ] && ! { restart_service && healthy ""; }; then exit 1; fi
    exit 0
fi

new_version
if [ -n "$built" ]; then
    copy_built
else
    build_files
    [ "$make_venv" = no ] || build_venv
fi
install_config
lay_out "$version"
trap - EXIT
adopt_unversioned
before=$(readlink "$home/current" || true)
older=$(readlink "$home/previous" || true)
served_before=
[ -z "$systemctl" ] || [ "$dry_run" = yes ] || served_before=$(cameras_served)
use "versions/$(basename "$version")"
lend_credentials
[ -n "$root" ] || prepare_system
if [ -n "$systemctl" ] && ! { restart_service && healthy "$served_before"; }; then
    go_back "$before" "$older"
fi
remove_other_versions
cat <<'END'

Next:  edit /etc/edge/config.yaml (cameras, mqtt), then
       sudo -u edge edge check --config /etc/edge/config.yaml
       sudo systemctl restart edge && journalctl -fu edge
Back to the version before:  sudo /opt/edge/current/install.sh --rollback
The broker's password: docs/updates.md, "Secrets".
END
