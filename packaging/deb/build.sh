#!/bin/sh
# Builds dist/dispatch_VERSION_ARCH.deb: build.sh UV PYTHON. Needs dpkg-deb. The libraries come along, pinned as in
# requirements/run.lock and compiled for PYTHON, so the package depends on that version of Python and on nothing else.
set -eu
uv=$1 python=$2
here=$(dirname "$0")
version=$($python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
minor=$($python -c 'import sys; print(sys.version_info[1])')
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p dist "$tree/DEBIAN" "$tree/usr/bin" "$tree/usr/lib/dispatch" "$tree/lib/systemd/system" "$tree/etc/dispatch"
chmod 755 "$tree"
"$uv" pip install -q --python "$python" --target "$tree/usr/lib/dispatch" --require-hashes -r requirements/run.lock
"$uv" pip install -q --python "$python" --target "$tree/usr/lib/dispatch" --no-deps ./dispatch_core ./dispatch_http ./dispatch_cli
rm -rf "$tree/usr/lib/dispatch/bin"
find "$tree" -name __pycache__ -type d -prune -exec rm -rf {} +
install -m 755 "$here/dispatch" "$tree/usr/bin/dispatch"
install -m 644 "$here/dispatch.service" "$tree/lib/systemd/system/dispatch.service"
install -m 644 "$here/dispatch.toml" "$tree/etc/dispatch/dispatch.toml"
echo /etc/dispatch/dispatch.toml > "$tree/DEBIAN/conffiles"
cat > "$tree/DEBIAN/control" <<CONTROL
Package: dispatch
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The Dispatch authors <dispatch@localhost>
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1)))
Section: net
Priority: optional
Description: Durable, explainable job dispatch for fleets of engines
 The server, the command line and the engine agent. The service is installed,
 not started: read /etc/dispatch/dispatch.toml, then systemctl enable --now dispatch.
CONTROL
dpkg-deb --build --root-owner-group -Zgzip "$tree" "dist/dispatch_${version}_$(dpkg --print-architecture).deb"
