#!/usr/bin/env bash
# Prints a Python of version 3.11 or later, or says in one line what is missing.
set -euo pipefail
for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
    path=$(command -v "$name" || true)
    if [ -n "$path" ] && "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$path"
        exit 0
    fi
done
echo "Lastgate needs Python 3.11 or later, and none was found: install it, or name one with PYTHON=/path/to/python3." >&2
exit 1
