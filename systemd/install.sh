#!/usr/bin/env bash
# Install the daemon as a systemd service, or update it. Run from a checkout, as root:
#
#   sudo systemd/install.sh [--dry-run] [--no-start]
#
#   --dry-run    print what would be done, change nothing
#   --no-venv    files only: /opt/edge/venv is made elsewhere
#   --no-start   install without enabling or starting the service
#
# PYTHON=python3.12 chooses the Python. DESTDIR=/path puts the files below another root, for packages.
# Running it again is safe: an existing /etc/edge/config.yaml and the device's key are never overwritten.
set -euo pipefail
cd "$(dirname "$0")/.."

dry_run=no make_venv=yes start=yes
for argument in "$@"; do
    case $argument in
    --dry-run) dry_run=yes ;;
    --no-venv) make_venv=no ;;
    --no-start) start=no ;;
    *)
        echo "unknown argument $argument; see the head of $0" >&2
        exit 2
        ;;
    esac
done
root=${DESTDIR:-}
python=${PYTHON:-python3}
if [ "$dry_run" = no ] && [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "needs root: sudo $0" >&2
    exit 1
fi

run() { # print it, and do it unless this is a dry run
    echo "+ $*"
    [ "$dry_run" = yes ] || "$@"
}

replace_folder() { # source target: the target becomes an exact copy, swapped in at once
    run rm -rf "$2.new"
    run cp -r "$1" "$2.new"
    # What was built in the checkout is of that place and signed with its key.
    run find "$2.new" '(' -name '*.engine*' -o -name '*.timing' -o -name device.key -o -name .lock ')' -delete
    run rm -rf "$2"
    run mv "$2.new" "$2"
}

install_files() {
    run install -d -m 0755 "$root/opt/edge" "$root/etc/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
    run install -d -m 0750 "$root/etc/edge"
    replace_folder engines "$root/opt/edge/engines"
    replace_folder edge/demo "$root/opt/edge/demo"
    run install -m 0644 edge/config/config.schema.json LICENSE "$root/opt/edge/"
    run install -m 0644 systemd/edge.service "$root/etc/systemd/system/edge.service"
    run install -m 0644 systemd/edge.sysusers "$root/usr/lib/sysusers.d/edge.conf"
    run install -m 0644 systemd/edge.tmpfiles "$root/usr/lib/tmpfiles.d/edge.conf"
}

install_config() {
    local target=$root/etc/edge/config.yaml
    if [ -e "$target" ]; then
        echo "= $target is kept as it is"
        return
    fi
    echo "+ config.yaml -> $target (demo clips and engines of /opt/edge)"
    [ "$dry_run" = yes ] && return
    sed -e 's#path: edge/demo/#path: /opt/edge/demo/#' \
        -e 's#engines: engines #engines: /opt/edge/engines #' \
        -e 's#plans: null *#plans: /var/lib/edge/plans #' \
        -e 's#\$schema=edge/config/config.schema.json#$schema=/opt/edge/config.schema.json#' config.yaml >"$target.new"
    chmod 0640 "$target.new"
    mv "$target.new" "$target"
}

install_venv() {
    "$python" .ci/python_is_fit.py
    local venv=$root/opt/edge/venv options=()
    if [ -e /etc/nv_tegra_release ]; then # JetPack's TensorRT and OpenCV live among the system's packages
        options=(--system-site-packages)
    fi
    [ -x "$venv/bin/python" ] || run "$python" -m venv "${options[@]}" "$venv"
    # From a copy, so that no build output of root stays in the checkout.
    local source
    source=$(mktemp -d)
    trap 'rm -rf "$source"' RETURN
    cp -r pyproject.toml README.md LICENSE edge training "$source"
    run "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet --upgrade "$source"
    # The version number may be the same after an update from a checkout: put today's code in place anyway.
    run "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet --no-deps --force-reinstall "$source"
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
        run systemctl restart edge.service
    fi
}

install_files
install_config
[ "$make_venv" = no ] || install_venv
[ -n "$root" ] || start_service
cat <<'END'

Next:  edit /etc/edge/config.yaml (cameras, mqtt), then
       sudo -u edge /opt/edge/venv/bin/edge check --config /etc/edge/config.yaml
       sudo systemctl restart edge && journalctl -fu edge
The broker's password: put it into /etc/edge/secrets/mqtt-password, run this again (it sets the rights),
and say `password_file: secrets/mqtt-password` in config.yaml.
END
