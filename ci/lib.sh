# Shared by the scripts beside it, which source it from the repository root: environments, and what is missing for them.

# Tests and demos run on the package as it is installed, on nothing that lies around.
unset PYTHONPATH PYTHONHOME STEEPEST_BACKEND STEEPEST_DEBUG STEEPEST_SANITIZE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '== %s\n' "$*"; }

die() {
    printf 'steepest: %s\n' "$*" >&2
    exit 1
}

# make_venv DIR: a virtual environment, made when there is none, of a Python that can build the kernels.
make_venv() {
    local python=${PYTHON:-python3}
    [ ! -x "$1/bin/python" ] || python=$1/bin/python
    command -v "$python" >/dev/null || die "Python 3.11 or newer is needed, and there is no '$python'."
    # shellcheck disable=SC2016
    "$python" -c '
import os, shlex, shutil, sys, sysconfig

if sys.version_info < (3, 11):
    sys.exit("steepest: Python 3.11 or newer is needed, and %s is %s (choose another one with PYTHON=...)."
             % (sys.executable, sys.version.split()[0]))
compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
if not shutil.which(compiler):
    sys.exit("steepest: a C compiler is needed, and there is no %r (Debian: apt-get install gcc libc6-dev)." % compiler)
header = os.path.join(sysconfig.get_path("include"), "Python.h")
if not os.path.exists(header):
    sys.exit("steepest: Python.h is needed, and there is no %s (Debian: apt-get install python3-dev)." % header)
'
    if [ ! -x "$1/bin/python" ]; then
        say "python -m venv $1"
        "$python" -m venv "$1" >/dev/null ||
            die "'$python -m venv' failed: the venv module with pip is needed (Debian: apt-get install python3-venv)."
        echo '*' >"$1/.gitignore"
    fi
    "$1/bin/python" -m pip --version >/dev/null 2>&1 || "$1/bin/python" -m ensurepip >/dev/null
}

# install DIR EXTRA: the package, built anew from the sources, with what the extra names.
install() {
    make_venv "$1"
    say "pip install .[$2]"
    rm -rf build/lib.* # setuptools would install from there what is gone from src
    "$1/bin/python" -m pip install --quiet ".[$2]"
}

# ship DIR OUT: the sdist, and the wheel built from it, in a folder.
ship() {
    make_venv "$1"
    say "sdist, wheel"
    rm -rf "$2"
    "$1/bin/python" -m pip install --quiet "build>=1"
    "$1/bin/python" -m build --sdist --outdir "$2" . >/dev/null
    "$1/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$2" "$2"/*.tar.gz
}

# install_shipped DIR OUT EXTRA: that wheel, in the place of what was there, with what the extra names.
install_shipped() {
    local wheels=("$2"/*.whl)
    say "pip install ${wheels[0]##*/}[$3]"
    "$1/bin/python" -m pip install --quiet "${wheels[0]}[$3]"
    "$1/bin/python" -m pip install --quiet --no-deps --force-reinstall "${wheels[0]}"
}
