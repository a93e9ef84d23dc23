#!/usr/bin/env bash
# The main job with a small budget: a pose network made fast on this machine's own OpenCL, over RPC.
# $1 python, $2 photograph, $3 weights, $4 model; the last three may be "".
# Everything goes into build/demo/MODEL; a second call does only what has changed.
set -euo pipefail
python=$1 image=$2 weights=$3 model=$4
if [ -z "$model" ]; then
  # published checkpoints of Lightweight OpenPose are .pth; other trained weights are told by their names
  case $weights in
    *.pth) model=lwop ;;
    *) model=$(basename "${weights:-lwop}" .safetensors) ;;
  esac
fi

# Photographs that come with scikit-image, to reconstruct pruned layers on: all colours, sizes and textures it has.
photographs=build/demo/photographs
mkdir -p "$photographs"
data=$("$python" -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data")')
for name in astronaut.png chelsea.png coffee.png rocket.jpg motorcycle_left.png; do
  cmp -s "$data/$name" "$photographs/$name" || cp "$data/$name" "$photographs/"
done

options=(--model "$model" --device host --data "$photographs" --photographs 5 --no-train --reconstruction quick)
if [ -n "$weights" ]; then options+=(--weights "$weights"); fi
if [ -n "$image" ]; then options+=(--image "$image"); fi
# a small budget: few sparsities, timed of the layers that take longest; no tuning beyond what the project has
options+=(--sparsity columns:0.5:4x1 columns:0.75:6x1)
# the project's own weights find more on small inputs, which also are faster to time
if [ "$model" = resnet50_3 ]; then options+=(--size 256x256); fi
# what zeros cost is measured for twelve seconds, of layers all over the network, on the photographs above
options+=(--sensitivity-minutes 0.2)
options+=(--speedup 1.3 --budget-minutes 0.7 --no-tune --around 0 --rounds 5 --wait-secs 0)
exec "$python" -m latency.optimize "${options[@]}" -o "build/demo/$model"
