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
  { cat pyproject.toml constraints.txt tools/setup.sh; find devices/runtime runtime -type f \
      \( -name '*.cc' -o -name '*.c' -o -name '*.h' -o -name CMakeLists.txt \) -print0 | sort -z | xargs -0 cat; } | sha256sum
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
  say "installing ${missing[*]} by apt"
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
# uv unpacks packages side by side: a sixth of pip's time. Where it cannot be had, or fails, pip does all it does.
# Neither compiles Python: what is imported, a fraction, is compiled at its first import.
uv=""
get_uv() {
  local setting
  uv=$(command -v uv || true)
  if [ -z "$uv" ]; then
    [ -x "$venv/bin/uv" ] || pip_install -c constraints.txt uv 2>/dev/null || return 0
    uv=$venv/bin/uv
  fi
  while read -r setting; do export "${setting?}"; done \
    < <("${pip[@]}" config list 2>/dev/null | python3 tools/pip_settings.py)
}
pip=()
pip_install() { "${pip[@]}" install -q --no-warn-conflicts --no-compile "$@"; }
install() {
  if [ -z "$uv" ]; then pip_install "$@"; return; fi
  # pip's way to choose among several indexes
  "$uv" pip install -q --python "$venv/bin/python" --index-strategy unsafe-best-match "$@"
}
make_venv() {
  if python3 -m pip --help 2>/dev/null | grep -q -- --python; then
    pip=(python3 -m pip --python "$venv/bin/python" --disable-pip-version-check)
  else
    pip=("$venv/bin/python" -m pip --disable-pip-version-check)
  fi
  if [ ! -x "$venv/bin/python" ]; then
    say "making $venv"
    # the new environment's own pip comes with the packages, in a fraction of the time
    if [ "${pip[0]}" = python3 ]; then python3 -m venv --without-pip "$venv"; else python3 -m venv "$venv"; fi
  fi
  [ -n "$uv" ] || get_uv
}
# The stamp names the extras that are installed, then the fingerprint.
fresh() { [ -f "$stamp" ] && [ "$(tail -n 1 "$stamp")" = "$(fingerprint)" ]; }
complete() { fresh && { [ "$extras" = demo ] || [ "$(head -n 1 "$stamp")" = "$extras" ]; }; }
if [ ${#missing[@]} = 0 ] && complete; then exit 0; fi

# --- Python packages -----------------------------------------------------------------------------------------------
# The project's dependencies, with those of the extras, one a line.
needs() {
  "${pip[0]}" - "$extras" <<'PY'
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
torch=$(sed -n 's/^torch==//p' constraints.txt)
has_torch() {
  "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$torch')" \
    2>/dev/null
}
# Plain "torch" brings gigabytes of CUDA on Linux; the CPU build is wanted wherever it is to be had.
install_packages() {
  needs > "$venv/needs.txt"
  if try_packages; then return; fi
  [ -n "$uv" ] || return 1
  say "uv failed, as it says above; pip tries the same"
  uv=""
  try_packages
}
try_packages() {
  local -a packages=(-c constraints.txt -r "$venv/needs.txt" pip scikit-build-core cmake ninja)
  if has_torch; then install "${packages[@]}"; return; fi
  install "${packages[@]}" "torch==$torch+cpu" 2>/dev/null ||
    install "${packages[@]}" --extra-index-url https://download.pytorch.org/whl/cpu "torch==$torch+cpu" 2>/dev/null ||
    install "${packages[@]}" "torch==$torch"
}
build_backend() {
  local -a backend=(-c constraints.txt --no-build-isolation --no-deps -e .)
  if compiler; then
    PATH="$PWD/$venv/bin:$PATH" install "${backend[@]}"
    return
  fi
  SKBUILD_WHEEL_CMAKE=false install "${backend[@]}"
  say "no C++ compiler: building the backend with pip's ziglang, which takes some minutes"
  "$venv/bin/python" tools/build_with_zig.py >/dev/null
}
install_intel() {
  say "installing Intel's OpenCL runtime for CPUs into $venv (275 MB to fetch)${1:-}"
  install intel-opencl-rt intel-cmplr-lib-rt intel-cmplr-lic-rt tbb &&
    say "it is free of charge but not free software, see $venv/share/doc/opencl/licensing/EULA.txt"
}

# --- all of it -----------------------------------------------------------------------------------------------------
# apt works while packages are unpacked, where there is a Python to unpack them.
apt_job="" apt_failed=""
if [[ " ${missing[*]} " == *" python3"* ]]; then
  by_apt || apt_failed=1
elif [ ${#missing[@]} -gt 0 ]; then
  by_apt &
  apt_job=$!
fi
if have python3 && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  say "Python 3.10 or newer is needed, python3 is $(python3 -V)"; exit 1
fi
if python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
  make_venv
  if ! complete; then
    say "installing torch $torch (CPU build) and the other dependencies"
    install_packages
  fi
fi
[ -z "$apt_job" ] || wait "$apt_job" || apt_failed=1
opencl_by_pip=""
if [ -n "$apt_failed" ]; then
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
[ -z "$opencl_by_pip" ] || install_intel
if complete; then exit 0; fi
if [[ $extras != demo && ! -f $intel && ${FLEETPOSE_LIBOPENCL-pip} == pip && $(uname -sm) == "Linux x86_64" ]]; then
  install_intel ", which compiles the tests' kernels in half the time" ||
    say "Intel's runtime cannot be had: tests take the system's OpenCL"
fi
if ! fresh; then
  say "building the OpenCL backend"
  # meanwhile Python compiles what every command imports, which the first one would wait for
  "$venv/bin/python" -c "import latency.optimize.api, torch.export._trace" >/dev/null 2>&1 &
  imports_job=$!
  build_backend
  wait "$imports_job" || true  # it is for time alone
fi
{ echo "$extras"; fingerprint; } > "$stamp"
say "ready; for the commands themselves: . $venv/bin/activate"
