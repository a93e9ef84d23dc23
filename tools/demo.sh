#!/usr/bin/env bash
# The main job: people on a photograph. $1 python, $2 photograph, $3 weights, $4 model; the last three may be "".
# The artifact is built again only if the code, the model or the weights changed.
set -euo pipefail
python=$1 image=$2 weights=$3 model=$4
if [ -z "$model" ]; then
  # published checkpoints of Lightweight OpenPose are .pth; other trained weights at hand are of its sister network
  case $weights in
    models/trained/*) model=$(basename "$weights" .safetensors) ;;
    *.pth | "") model=lwop ;;
    *) model=human_pose_0001 ;;
  esac
fi
# scikit-image ships this NASA photograph (public domain)
[ -n "$image" ] || image=$("$python" -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data" / "astronaut.png")')

artifact=build/demo/$model.so
options=(--model "$model" --device host --size 368x368 -o "$artifact")
if [ -n "$weights" ]; then options+=(--weights "$weights")
else echo "no weights at hand (WEIGHTS=file): the network is random, so this demo reports times only"; fi
inputs() {
  echo "${options[*]}"
  find fleetpose codegen models devices -name '*.py' -o -name '*.toml' | sort | xargs cat
  [ -z "$weights" ] || cat "$weights" 2>/dev/null || echo "not there: the build will say so"
}
state=$(inputs | sha256sum)
if [ ! -f "$artifact" ] || [ "$(cat "$artifact.state" 2>/dev/null)" != "$state" ]; then
  "$python" -m codegen.build "${options[@]}" --force
  echo "$state" > "$artifact.state"
fi

if [ -n "$weights" ]; then
  "$python" -m codegen.run --artifact "$artifact" --device host --image "$image" --layers -o "${artifact%.so}.png" --force
else
  "$python" -m codegen.run --artifact "$artifact" --device host --image "$image" --layers --no-people
fi
