#!/usr/bin/env bash
# Renders rooms and trains, measures and exports depth, layout and lighting, each from the engine that ships.
#   training/recipes/train_all.sh ASSETS OUT
# Goes on where it was stopped: a stage whose result is there is left out. README.md beside this file says more.
set -euo pipefail
assets=${1:?say where furniture, textures and environments are: ASSETS}
out=${2:?say where rooms, runs and engines go: OUT}
cores=${CORES:-$(nproc)} rooms=${ROOMS:-800} views=${VIEWS:-6} samples=${SAMPLES:-12} seed=${SEED:-1}
depth=${DEPTH_MINUTES:-6} layout=${LAYOUT_MINUTES:-6} lighting=${LIGHTING_MINUTES:-2}
from=${FROM:-engines} # a folder of engines with weights.safetensors
workers=${WORKERS:-$cores} batch=(${BATCH:+--batch-size "$BATCH"}) real=(${REAL:+--real "$REAL"})
mkdir -p "$out"

edge-train synthesize --out "$out/rooms" --rooms "$rooms" --seed "$seed" --views "$views" --samples "$samples" \
    --workers "$cores" --assets "$assets"

for noun in depth layout lighting; do
    run="$out/runs/$noun"
    hdri=()
    [ "$noun" != lighting ] || hdri=(--hdri "$assets/hdri")
    if [ ! -e "$run/final.ckpt" ]; then
        edge-train fit --from "$from/$noun" --out "$run" --rooms "$out/rooms" "${hdri[@]}" --max-minutes "${!noun}" \
            --workers "$workers" --no-progress "${batch[@]}"
    fi
    if [ ! -e "$out/engines/$noun/manifest.json" ]; then
        edge-train evaluate "$run/final.ckpt" --rooms "$out/rooms" "${hdri[@]}" "${real[@]}" \
            --json "$run/metrics.json"
        edge-train export "$run/final.ckpt" --out "$out/engines/$noun" --rooms "$out/rooms" "${hdri[@]}" \
            --metrics "$run/metrics.json" --precisions "${PRECISIONS:-fp32,fp16,int8-cpu}"
    fi
done
echo "engines in $out/engines; try them: inference.engines in config.yaml, or edge check"
