#!/usr/bin/env bash
# The main job: people on a photograph. $1 python, $2 artifact, $3 photograph or "", $4 weights or "".
set -euo pipefail
python=$1 artifact=$2 image=$3 weights=$4
# scikit-image ships this NASA photograph (public domain)
[ -n "$image" ] || image=$("$python" -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data" / "astronaut.png")')
picture=${artifact%.so}.png
if [ -n "$weights" ]; then
  "$python" -m codegen.run --artifact "$artifact" --device host --image "$image" --layers -o "$picture" --force
else
  "$python" -m codegen.run --artifact "$artifact" --device host --image "$image" --layers --no-people
fi
