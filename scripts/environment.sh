# Sourced by demo.sh and test.sh: a virtual environment in .venv with the pinned packages. Nothing is installed twice.
# PYTHON names another interpreter (3.11 or newer), for example: PYTHON=python3.12 ./demo.sh

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
        if command -v "$candidate" > /dev/null \
            && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 to 3.13 found; install it (Debian, Ubuntu: apt-get install python3 python3-venv) or set PYTHON" >&2
    return 2
}

set_up() {
    local wanted python
    wanted=$(cat requirements.txt pyproject.toml | sha256sum | cut -d' ' -f1)
    if [ "$(cat .venv/installed 2> /dev/null)" != "$wanted" ]; then
        python=$(find_python)
        echo "== Installing packages into .venv (once; torch and its libraries are about 3 GB)"
        if [ ! -x .venv/bin/python ] && ! "$python" -m venv .venv; then
            rm -rf .venv
            echo "error: $python cannot make virtual environments; Debian, Ubuntu: apt-get install python3-venv" >&2
            return 2
        fi
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.txt
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
        echo "$wanted" > .venv/installed
    fi
    export PATH="$PWD/.venv/bin:$PATH"
    export HF_HUB_DISABLE_TELEMETRY=1 TRANSFORMERS_VERBOSITY="${TRANSFORMERS_VERBOSITY:-error}"
}
