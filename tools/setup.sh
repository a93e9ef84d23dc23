#!/usr/bin/env bash
# Make the virtual environment $1 ready: system packages, pinned Python packages, the C++ backend.
# $2: "dev" for what tests and checks need besides.
# System packages are looked for every time (milliseconds); the rest is done again only if the dependencies or the C++
# sources changed since it last succeeded. Missing system packages are installed by apt; where that is not allowed, or
# fails, or FLEETPOSE_SETUP_APT=0, a compiler (ziglang) and, on x86-64, OpenCL (Intel's runtime for CPUs) come by pip.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
extras=demo${2:+,test,lint}
stamp=$venv/.ready

fingerprint() {
  { cat pyproject.toml constraints.txt tools/setup.sh; find devices/runtime -type f \
      \( -name '*.cc' -o -name '*.h' -o -name CMakeLists.txt \) -print0 | sort -z | xargs -0 cat; } | sha256sum
}
say() { printf '\033[1msetup:\033[0m %s\n' "$*" >&2; }

# --- system packages -----------------------------------------------------------------------------------------------
missing=()
have() { command -v "$1" >/dev/null 2>&1; }
# A library by path or by name; the linker's cache lists libx.so.2 for a file libx.so.2.10.0.
library() {
  local name
  name=$(basename "$1")
  [ -f "$1" ] || /sbin/ldconfig -p 2>/dev/null | grep -F "${name%%.so*}.so" >/dev/null
}
# An .icd file names the library that implements OpenCL; a removed package may leave the file behind.
implementation() {
  local vendors=${OCL_ICD_VENDORS:-/etc/OpenCL/vendors} file
  for file in "$vendors"/*.icd; do
    if [ -f "$file" ] && library "$(head -n 1 "$file")"; then return 0; fi
  done
  return 1
}
intel=$venv/lib/libintelocl.so  # comes by pip, see below, and does for both OpenCL packages
compiler() { have c++ || have g++ || have clang++; }
compiler || [ -f "$stamp" ] || missing+=(g++)
library libOpenCL.so.1 || [ -f "$intel" ] || missing+=(ocl-icd-libopencl1)
implementation || [ -f "$intel" ] || missing+=(pocl-opencl-icd)
have python3 || missing+=(python3)
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
# Install what is missing by apt; fails, having said why, where that cannot be done.
by_apt() {
  local as_root="" log
  local -a command=(apt-get install -y --no-install-recommends "${missing[@]}")
  [ "${FLEETPOSE_SETUP_APT:-1}" != 0 ] && have apt-get || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=sudo
  fi
  say "installing ${missing[*]}"
  log=$(mktemp)
  if ! { $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive "${command[@]}" -qq; } >"$log" 2>&1
  then
    cat "$log" >&2
    say "apt-get failed; by hand:  ${as_root:+sudo }${command[*]}"
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
# --no-compile: Python compiles what it imports, which is a fraction, at its first import.
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip_install() { pip install -q --no-compile "$@"; }
torch=$(sed -n 's/^torch==//p' constraints.txt)
has_torch() {
  "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$torch')" \
    2>/dev/null
}
# Arguments are pip's. Plain "torch" brings gigabytes of CUDA on Linux; the CPU build is wanted wherever it is to be had.
install_torch() {
  has_torch ||
    pip_install "$@" -c constraints.txt "torch==$torch+cpu" 2>/dev/null ||
    pip_install "$@" -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu "torch==$torch+cpu" \
      2>/dev/null ||
    pip_install "$@" -c constraints.txt "torch==$torch"
}
make_venv() {
  if [ ! -x "$venv/bin/python" ]; then
    say "making $venv"
    python3 -m venv "$venv"
  fi
}
# The stamp names the extras that are installed, then the fingerprint.
fresh() { [ -f "$stamp" ] && [ "$(tail -n 1 "$stamp")" = "$(fingerprint)" ]; }
complete() { fresh && { [ "$extras" = demo ] || [ "$(head -n 1 "$stamp")" = "$extras" ]; }; }

# torch, the largest package, is fetched while apt works.
torch_job=""
if [ ${#missing[@]} -gt 0 ] && [[ " ${missing[*]} " != *" python3"* ]] && ! fresh; then
  make_venv
  install_torch --no-deps 2>/dev/null &
  torch_job=$!
fi
opencl_by_pip=""
if [ ${#missing[@]} -gt 0 ] && ! by_apt; then
  no_other_way=()
  for name in "${missing[@]}"; do
    case $name:$(uname -sm) in
      g++:Linux*) ;;
      ocl-icd-libopencl1:"Linux x86_64" | pocl-opencl-icd:"Linux x86_64") opencl_by_pip=1 ;;
      *) no_other_way+=("$name") ;;
    esac
  done
  if [ ${#no_other_way[@]} -gt 0 ]; then
    say "these system packages are missing: ${missing[*]}"
    say "install them, then run make again:  sudo apt-get install -y --no-install-recommends ${missing[*]}"
    exit 1
  fi
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  say "Python 3.10 or newer is needed, python3 is $(python3 -V)"; exit 1
fi

make_venv
intel_opencl() {
  say "installing Intel's OpenCL runtime for CPUs into $venv (275 MB to fetch)${1:-}"
  pip_install intel-opencl-rt intel-cmplr-lib-rt intel-cmplr-lic-rt tbb &&
    say "it is free of charge but not free software, see $venv/share/doc/opencl/licensing/EULA.txt"
}
[ -z "$opencl_by_pip" ] || intel_opencl
if complete; then exit 0; fi
# Fetched while other packages are unpacked; tests go on without it.
intel_job=""
if [[ $extras != demo && ! -f $intel && ${FLEETPOSE_LIBOPENCL-pip} == pip && $(uname -sm) == "Linux x86_64" ]]; then
  intel_opencl ", which compiles the tests' kernels in half the time" &
  intel_job=$!
fi
finish() {
  [ -z "$intel_job" ] || wait "$intel_job" || say "Intel's runtime cannot be had: tests take the system's OpenCL"
  { echo "$extras"; fingerprint; } > "$stamp"
}

# --- Python packages -----------------------------------------------------------------------------------------------
# The project's dependencies, with those of some extras, one a line.
needs() {
  "$venv/bin/python" - "$1" <<'PY'
import sys
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in sys.argv[1].split(","))]
print("\n".join(need for needs in lists for need in needs))
PY
}
backend=(-c constraints.txt --no-build-isolation --no-deps -e .)
if fresh; then
  say "installing what tests and checks need"
  pip_install -c constraints.txt -r <(needs "$extras")
  finish
  exit 0
fi
# Unpacking takes most of the time, so torch, the backend and the rest are installed side by side.
if ! has_torch && [ -z "$torch_job" ]; then
  say "installing torch $torch (CPU build)"
  install_torch --no-deps &
  torch_job=$!
fi
say "installing dependencies and building the OpenCL backend"
pip_install --no-warn-conflicts -c constraints.txt scikit-build-core cmake ninja apache-tvm apache-tvm-ffi
build_job=""
if compiler; then
  PATH="$PWD/$venv/bin:$PATH" pip_install "${backend[@]}" &
  build_job=$!
fi
pip_install --no-warn-conflicts -c constraints.txt -r <(needs "$extras" | grep -v '^torch')
[ -z "$torch_job" ] || wait "$torch_job" || true  # a failure is told by the next line
has_torch || install_torch
pip_install -c constraints.txt -r <(needs "$extras")
if [ -n "$build_job" ]; then
  wait "$build_job"
else
  SKBUILD_WHEEL_CMAKE=false pip_install "${backend[@]}"
  say "no C++ compiler: building the backend with pip's ziglang, which takes some minutes"
  "$venv/bin/python" tools/build_with_zig.py >/dev/null
fi

finish
say "ready; for the commands themselves: . $venv/bin/activate"
