#!/usr/bin/env bash
# Installs what the tests need besides Python packages: DCMTK and Odil as DICOM clients, dicom3tools as a judge of media,
# Orthanc as a peer, Java and Maven for Elasticsearch, poppler to turn PDF pages into pictures, a judge of OCFL. What is
# there is left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

# command to look for : Debian package that brings it
needed=(/usr/bin/storescu:dcmtk /usr/bin/pdftoppm:poppler-utils java:openjdk-17-jre-headless mvn:maven openssl:openssl
    unzip:unzip strace:strace /usr/sbin/Orthanc:orthanc /usr/bin/odil:odil
    /usr/bin/dciodvfy:dicom3tools)
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
    if [[ " ${missing[*]} " == *" orthanc "* ]] && [ -d /run/systemd/system ]; then
        # Debian runs it as a service from now on; the tests start one of their own.
        "${as_root[@]}" systemctl disable --quiet --now orthanc
    fi
fi
bash tests/servers/install-elasticsearch.sh
bash tests/servers/install-ocfl.sh
