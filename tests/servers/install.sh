#!/usr/bin/env bash
# Installs what the tests need besides Python packages: DCMTK as a DICOM client, Java and Maven for Elasticsearch,
# poppler to turn PDF pages into pictures, a judge of OCFL. What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

# command to look for : Debian package that brings it
needed=(/usr/bin/storescu:dcmtk /usr/bin/pdftoppm:poppler-utils java:openjdk-17-jre-headless mvn:maven openssl:openssl
    unzip:unzip strace:strace)
missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "Installing Debian packages: ${missing[*]}"
    if [ "$(id -u)" = 0 ]; then as_root=(); else as_root=(sudo -n); fi
    if ! { "${as_root[@]}" apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y \
        --no-install-recommends "${missing[@]}" >/dev/null; }; then
        echo "Please install these Debian packages and run this again: ${missing[*]}" >&2
        exit 1
    fi
fi
bash tests/servers/install-elasticsearch.sh
bash tests/servers/install-ocfl.sh
