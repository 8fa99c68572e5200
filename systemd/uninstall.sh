#!/usr/bin/env bash
# Remove what install.sh installed:  sudo systemd/uninstall.sh [--dry-run] [--purge]
#
#   --purge      also the data: configuration and secrets (/etc/edge), the state (/var/lib/edge) and the user
#
# DESTDIR as for install.sh. Running it again is safe.
set -euo pipefail

dry_run=no purge=no
for argument in "$@"; do
    case $argument in
    --dry-run) dry_run=yes ;;
    --purge) purge=yes ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    *)
        echo "unknown argument $argument; $0 --help lists them" >&2
        exit 2
        ;;
    esac
done
root=${DESTDIR:-}
cd / # it may lie in what it removes
if [ "$dry_run" = no ] && [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "needs root: sudo $0" >&2
    exit 1
fi

run() { # print it, and do it unless this is a dry run
    echo "+ $*"
    [ "$dry_run" = yes ] || "$@"
}

if [ -z "$root" ] && [ -e /etc/systemd/system/edge.service ]; then
    run systemctl disable --now edge.service
fi
run rm -rf "$root/opt/edge" "$root/etc/systemd/system/edge.service" "$root/etc/systemd/system/edge.service.d" \
    "$root/var/cache/edge"
if [ "$(readlink "$root/usr/local/bin/edge")" = /opt/edge/venv/bin/edge ]; then run rm -f "$root/usr/local/bin/edge"; fi
run rm -f "$root/usr/lib/sysusers.d/edge.conf" "$root/usr/lib/tmpfiles.d/edge.conf"
[ -n "$root" ] || run systemctl daemon-reload
if [ "$purge" = no ]; then
    echo "= /etc/edge, /var/lib/edge and the user edge are kept; --purge removes them too"
    exit 0
fi
run rm -rf "$root/etc/edge" "$root/var/lib/edge"
if [ -z "$root" ] && id -u edge >/dev/null 2>&1; then
    run userdel edge
fi
