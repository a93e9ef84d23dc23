#!/usr/bin/env bash
# Make the virtual environment $1 ready: system packages, pinned Python packages, the C++ backend.
# System packages are looked for every time (milliseconds); the rest is done again only if the dependencies or the C++
# sources changed since it last succeeded.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
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
have c++ || have g++ || have clang++ || missing+=(g++)
[ -f /usr/include/CL/cl.h ] || [ -f /usr/local/include/CL/cl.h ] || missing+=(opencl-c-headers)
library libOpenCL.so.1 || missing+=(ocl-icd-libopencl1)
implementation || missing+=(pocl-opencl-icd)
have python3 || missing+=(python3)
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  command="apt-get install -y --no-install-recommends ${missing[*]}"
  if have apt-get && [ "$(id -u)" = 0 ]; then as_root=""
  elif have apt-get && sudo -n true 2>/dev/null; then as_root="sudo"
  else
    say "these system packages are missing: ${missing[*]}"
    say "install them, then run make again:  sudo $command"
    exit 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # shellcheck disable=SC2086
  if ! { $as_root apt-get update -qq && $as_root $command -qq; } >"$log" 2>&1; then
    cat "$log" >&2
    say "apt-get failed; try by hand, then run make again:  ${as_root:+sudo }$command"
    exit 1
  fi
  rm -f "$log"
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  say "Python 3.10 or newer is needed, python3 is $(python3 -V)"; exit 1
fi

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then exit 0; fi

# --- Python packages -----------------------------------------------------------------------------------------------
if [ ! -x "$venv/bin/python" ]; then
  say "making $venv"
  python3 -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
torch=$(sed -n 's/^torch==//p' constraints.txt)
if ! "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$torch')" 2>/dev/null; then
  say "installing torch $torch (CPU build)"
  # Plain "torch" brings gigabytes of CUDA on Linux; the CPU build is wanted wherever it is to be had.
  pip install -q -c constraints.txt "torch==$torch+cpu" 2>/dev/null ||
    pip install -q -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu "torch==$torch+cpu" 2>/dev/null ||
    pip install -q -c constraints.txt "torch==$torch"
fi
say "installing dependencies and building the OpenCL backend"
pip install -q -c constraints.txt scikit-build-core cmake ninja apache-tvm apache-tvm-ffi
PATH="$PWD/$venv/bin:$PATH" pip install -q -c constraints.txt --no-build-isolation -e '.[demo,test,lint]'

fingerprint > "$stamp"
say "ready; for the commands themselves: . $venv/bin/activate"
