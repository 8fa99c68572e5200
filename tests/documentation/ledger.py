"""How each command of the pages is proved: by being run, here or with what stands for it here; or, if not, why not."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Run:
    """One command that is run as it stands."""

    says: str = ""
    """What it writes, as a regular expression."""
    writes: tuple[str, ...] = ()
    """Files that are there afterwards, and not empty."""
    here: dict[str, str] = field(default_factory=dict)
    """What of it has to be otherwise here: its text, and what stands for that."""
    stopped_after_s: float | None = None
    """It goes on until Ctrl-C: that is sent after so long, and once it said and wrote what it should."""
    status: tuple[int, ...] = (0,)


SERVED = (0, 2)
"""How `make run` ends: with 2 where so little time was not enough for a result of every task."""
RUN: dict[str, dict[str, Run]] = {
    "with files alone": {
        "edge schema layout": Run(says=r'"urn:edge:layout"'),
        "edge schema manifest": Run(says=r'"onnx"'),
        "edge calibrate board board.pdf": Run(says="100 %", writes=("board.pdf",)),
        "edge calibrate board charuco.pdf --charuco": Run(says="46 mm", writes=("charuco.pdf",)),
        "edge report --rooms docs/heat-loss.example.yaml": Run(writes=("heat-loss.html",)),
        "edge engines pack engines/depth depth-2.tar": Run(writes=("depth-2.tar",)),
        "openssl genpkey -algorithm ed25519 -out publisher.pem": Run(writes=("publisher.pem",)),
        "openssl pkey -in publisher.pem -pubout -out publisher.pub": Run(writes=("publisher.pub",)),
        "openssl pkeyutl -sign -rawin -inkey publisher.pem -in depth-2.tar -out depth-2.tar.sig": Run(
            writes=("depth-2.tar.sig",)
        ),
        "openssl pkey -in ENCRYPTED -out PLAIN": Run(here={"ENCRYPTED": "publisher.pem"}, writes=("PLAIN",)),
        "openssl rand -hex 16": Run(says=r"^[0-9a-f]{32}$"),
    },
    "of a broker and a daemon": {
        ".venv/bin/edge check --config config.yaml": Run(says="golden output reproduced"),
        "edge check --config /etc/edge/config.yaml": Run(says="golden output reproduced"),
        "sudo -u edge /opt/edge/venv/bin/edge check --config /etc/edge/config.yaml": Run(says="camera hall"),
        "edge schema asyncapi": Run(says='"asyncapi": "3'),
        ".venv/bin/edge watch": Run(says="hall", stopped_after_s=4),
        ".venv/bin/edge view": Run(says="http://127", stopped_after_s=4),
        "edge view --host BROKER": Run(says="http://127", stopped_after_s=4),
        "mosquitto_sub -t 'edge/#' -F '%t, %l bytes'": Run(
            says=r"edge/north-1/hall/layout, \d{4,} bytes", stopped_after_s=3, status=(0, 130)
        ),
        "mosquitto_sub -v -t 'edge/+/+/layout'": Run(
            says=r"edge/north-1/hall/layout \{", stopped_after_s=3, status=(0, 130)
        ),
        "mosquitto_pub -r -n -t homeassistant/device/<device>/<camera>/config": Run(
            here={"<device>": "gone", "<camera>": "bridge"}
        ),
        "curl -s http://127.0.0.1:8088/readyz": Run(says="^ready"),
        "curl -s http://127.0.0.1:8088/metrics": Run(says="edge_results_total"),
        r"curl -s -o /dev/null -w '%{time_total}\n' http://127.0.0.1:8088/healthz": Run(says=r"^\d+\.\d+$"),
        "edge request ping --config /etc/edge/config.yaml": Run(says="uptime"),
        "edge request snapshot camera=hall --picture hall.jpg": Run(writes=("hall.jpg",)),
        "edge request set camera=hall task=depth every_s=2": Run(says="every_s"),
        "edge request set camera=hall task=depth enabled=null every_s=null": Run(says="every_s"),
        "edge request health --json | jq .data.degraded": Run(says=r"^\["),
        "edge fleet --host broker --username homeassistant --password-file secret": Run(says="north-1"),
        "edge fleet --host broker --degraded": Run(status=(0, 69)),
        "edge fleet --host broker --device 'north-*' request ping": Run(says="north-1"),
        "edge fleet --host broker --device 'north-*' request set camera=hall task=depth every_s=2": Run(says="north-1"),
        "edge fleet --host broker --version '0.3*' request --json health": Run(says='"uptime_s"'),
        "edge fleet --host broker request --all reload": Run(says="north-1"),
        "edge fleet --json": Run(says='"name": "north-1"'),
        "edge fleet request ping --json": Run(says="north-1"),
        "edge export hall.glb plan.svg": Run(writes=("hall.glb", "plan.svg")),
        "edge export hall.dxf hall.csv --scene hall.glb": Run(writes=("hall.dxf", "hall.csv")),
        "edge export hall.usdz hall.html --picture hall.jpg --camera-height-m 1.6": Run(
            writes=("hall.usdz", "hall.html")
        ),
        "edge export flat.svg flat.glb flat.dxf flat.csv --home flat": Run(
            writes=("flat.svg", "flat.glb", "flat.dxf", "flat.csv")
        ),
        "edge watch --json > seen.jsonl": Run(
            says="/heat_loss", here={"> seen": "| tee seen"}, writes=("seen.jsonl",), stopped_after_s=2, status=(0, 130)
        ),
        "edge report --rooms seen.jsonl": Run(writes=("heat-loss.html",)),
        "edge report --host broker --out heat-loss.html": Run(writes=("heat-loss.html",)),
        "edge engines pack engines/depth depth-2.tar": Run(writes=("depth-2.tar",)),
        "sudo -u edge /opt/edge/venv/bin/edge engines install depth-2.tar --config /etc/edge/config.yaml": Run(
            says="depth"
        ),
        "edge engines list": Run(says="depth|nothing built"),
        "edge cameras --stills stills > cameras.yaml": Run(status=(0, 69)),
        "edge cameras --username admin --password-file camera.password": Run(status=(0, 69)),
        "sudo -u edge /opt/edge/venv/bin/edge diagnostics /tmp/edge.tar.gz --config /etc/edge/config.yaml": Run(
            writes=("edge.tar.gz",)
        ),
        "edge review --list": Run(),
        "edge review --delete all": Run(),
        "sudo -u edge /opt/edge/venv/bin/edge review -c /etc/edge/config.yaml": Run(
            says="http://127", stopped_after_s=4, status=(0, 130)
        ),
        "edge rig check hall": Run(here={"hall": "around -c rig.yaml"}, status=(0, 1), says="left|right"),
        "edge run --log-json": Run(here={"--log-json": "--log-json -c other.yaml"}, says='"level"', stopped_after_s=8),
        "edge bench --seconds 24": Run(here={"24": "4 -c other.yaml"}, says="depth"),
        "edge bench --cameras N": Run(here={"N": "2 --seconds 4 -c other.yaml"}, says="depth"),
        "edge bench --against model.onnx": Run(
            here={"model.onnx": "engines/depth/model.onnx --seconds 4 -c other.yaml"}, says="ours"
        ),
    },
    "of a camera to calibrate": {
        "edge calibrate hall -c config.yaml": Run(says="camera_height_m", status=(0, 1)),
        "edge calibrate hall -c config.yaml --take 4 --every-s 8": Run(
            here={"--every-s 8": "--every-s 0.2"}, says="camera_height_m", status=(0, 1)
        ),
        "edge calibrate hall -c config.yaml --sheet a4": Run(
            here={"-c config.yaml": "-c sheet.yaml"}, says="camera_height_m: 1.4[345]"
        ),
        "edge calibrate hall -c config.yaml --sheet a4 --corners 640,407:690,389:767,436:714,460": Run(
            here={
                "-c config.yaml": "-c sheet.yaml",
                "640,407:690,389:767,436:714,460": "739,620:813,598:876,667:795,694",
            },
            says="camera_height_m: 1.4[345]",
        ),
        "edge calibrate hall -c config.yaml --length 412,801:933,780=3.60": Run(says="camera_height_m", status=(0, 1)),
        "edge calibrate hall -c config.yaml --length 3.42=3.60": Run(says="camera_height_m", status=(0, 1)),
        "edge calibrate hall -c config.yaml --lens --take 12 --every-s 5": Run(
            here={"-c config.yaml": "-c lens.yaml", "--every-s 5": "--every-s 0.2"}, says="intrinsics", status=(0, 1)
        ),
    },
    "of make": {
        "make run": Run(says="serving until", stopped_after_s=2, status=(0, 2, -2)),
        "make run FOR=20": Run(says=r"^published: depth \d+, ", status=SERVED),
        "make run FOR=5": Run(says=r"^published: depth \d+, ", status=SERVED),
    },
    "of training": {
        "edge-train synthesize --out rooms --rooms 500 --sheet rooms.png": Run(
            here={"500": "30 --size 256x128 --samples 4 --views 0"}, writes=("rooms.png",)
        ),
        "edge-train skies --out skies": Run(here={"skies --out skies": "skies --out skies --count 3"}),
        "edge-train fit training/recipes/layout_edge.yaml --rooms rooms --out runs/layout --weights imagenet": Run(
            here={
                "--weights imagenet": "--weights engines/layout/weights.safetensors --steps 2 --batch-size 2"
                " --workers 0"
            },
            writes=("runs/layout/final.ckpt",),
        ),
        "edge-train evaluate runs/layout/final.ckpt --rooms rooms --json runs/layout/metrics.json"
        " --errors runs/layout/errors": Run(writes=("runs/layout/metrics.json",)),
        "edge-train export runs/layout/final.ckpt --rooms rooms --metrics runs/layout/metrics.json"
        " --out engines/layout": Run(
            here={"--out engines/layout": "--out engines/layout --even-if-worse"},
            writes=("engines/layout/model.onnx", "engines/layout/card.md"),
        ),
        "edge-train evaluate runs/layout/final.ckpt --rooms rooms": Run(says="iou|IoU"),
        "edge-train untrained training/recipes/fcrn_nyu.yaml --out DIR": Run(writes=("DIR/model.onnx",)),
    },
}
"""By what they need to run, in the order in which they are run."""

PARSED: dict[str, tuple[str, ...]] = {
    "needs root, systemd or dpkg; tests/test_systemd.py and `make deb-test` run the installer": (
        "sudo systemd/install.sh",
        "systemd/install.sh",
        "sudo systemd/install.sh --rollback",
        "sudo /opt/edge/current/install.sh --rollback",
        "sudo /opt/edge/current/install.sh --uninstall",
        "sudoedit /etc/edge/config.yaml",
        "sudo systemctl restart edge",
        "sudo systemctl stop edge",
        "sudo -u edge /opt/edge/venv/bin/edge record hall -c /etc/edge/config.yaml",
        "systemctl reload edge",
        "systemctl restart edge",
        "systemctl status edge",
        "systemd-analyze security edge",
        "sudo systemd-run --pty --uid=edge -p LoadCredential=mqtt-password:/etc/edge/credentials/mqtt-password"
        " /opt/edge/venv/bin/edge check --config /etc/edge/config.yaml",
        "journalctl -u edge",
        "journalctl -u edge -p warning",
        "sudo usermod -aG video edge",
        "apt purge",
        "apt remove",
        "dpkg --configure -a",
        "dpkg-reconfigure edge-reconstruction",
        "sudo apt install ./build/deb/edge-reconstruction_*.deb",
        ".ci/deb",
        "sudo make deb-test",
        "make container-test",
    ),
    "needs a Jetson, or a GPU": (
        "sudo apt install nvidia-jetpack python3-libnvinfer",
        "sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        " nvidia-l4t-gstreamer",
        "export PATH=/usr/local/cuda/bin:$PATH",
        "make run FOR=5 VENV_ARGS=--system-site-packages",
        "make test-gpu",
        "edge engines build NAME",
        "edge engines build NAME --force",
    ),
    "installs from the network, or asks it": (
        ".venv/bin/pip uninstall -y onnxruntime",
        ".venv/bin/pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ".venv/bin/pip install '.[tensorrt]'",
        ".venv/bin/pip install pycuda cuda-bindings",
        "pip install 'cuda-bindings<13'",
        "pip install -e '.[train]'",
        "pip install pre-commit && pre-commit install",
        "pip uninstall opencv-python-headless",
        "sudo apt-get install mosquitto mosquitto-clients",
        "make PYTHON=python3.12 …",
        "edge-train fetch polyhaven --out assets/hdri",
        "edge-train fetch polyhaven --out hdri",
    ),
    "is what runs these tests, removes what they run in, or is a run of other tests": (
        ".ci/run",
        "make check",
        "make check test",
        "make test",
        "make test-device",
        'make test-device PYTEST_ARGS="-k layout"',
        "make test-faults",
        "make wheels test-slow test-faults",
        "make coverage",
        "make clean",
        "make fuzz",
        "make soak",
        "make mutate",
        'make mutate MODULES="edge/geometry training/losses"',
        "make mutate MODULES=training/metrics SAMPLE=0",
        "pytest -s -m slow tests/integration/test_review_loop.py",
    ),
    "is run by a test of its own: test_record, test_review, test_train_demo, test_bundle, test_fleet,"
    " test_report, test_calibration_rooms, test_messages": (
        "edge record --delete all",
        "edge review review --add hall.jpg --camera-height 2.1",
        "make train-demo",
        "make page",
        "python -m tests.fleet_devices --devices 300",
        "chromium --headless --print-to-pdf=heat-loss.pdf heat-loss.html",
        "python -m tests.training.calibration_rooms render FOLDER --assets ASSETS",
        "python -m tests.documentation.examples",
    ),
    "needs an engine of objects, and none ships; tests/edge/daemon/test_objects.py makes one and asks": (
        "edge request objects camera=hall 'box=[0.2,0.4,0.45,0.9]' class=chair",
    ),
    "speaks to an EMQX or to a server of models, which is not here": (
        "emqx ctl conf load --check",
        "edge fleet --host broker --device 'north-*' request engine/install url=https://models.example/depth-2.tar"
        " sha256=...",
    ),
    "takes hours, or names what is the reader's own; tests/training runs the same functions on less": (
        "edge engines add NAME FILE.onnx",
        "edge bench --against DIR/model.onnx",
        "edge-train COMMAND --help",
        "edge-train average engines/NAME DIR/final.ckpt --out HALF.ckpt --share 0.5",
        "edge-train calibrate engines/NAME --rooms ROOMS",
        "edge-train calibrate engines/layout --rooms ROOMS --split train",
        "edge-train distill encoder --pictures DIR --weights NPZ --width 0.5 --out NPZ",
        "edge-train distill label --pictures DIR --segmenter NPZ --teacher CKPT --out pseudo",
        "edge-train distill objects --start runs/objects/final.ckpt --teacher seat=runs/seat/final.ckpt"
        " --pictures objects/wild --objects objects --out runs/one.ckpt",
        "edge-train evaluate engines/objects --objects objects",
        "edge-train evaluate runs/one.ckpt --objects objects --json metrics.json",
        "edge-train evaluate engines/depth --source walks=walks/held",
        "edge-train synthesize-walks --walks 24 --seed 31 --frames 20 --baseline 0.1 --samples 0 --assets assets",
        "edge-train export runs/one.ckpt --objects objects --metrics metrics.json --out engines/objects",
        "edge-train fit training/recipes/objects_edge.yaml --objects DIR",
        "edge-train fit training/recipes/objects_edge.yaml --objects objects --weights imagenet --out runs/objects",
        "edge-train selftrain runs/objects/final.ckpt --images objects/wild/seat/images --masks objects/wild/seat/masks"
        " --category seat --out runs/seat",
        "edge-train synthesize-objects --out objects --models assets/furniture --models assets/objects --made 100"
        " --hdri assets/hdri --sheet objects.png",
        "edge-train evaluate --real eval",
        "edge-train evaluate engines/depth/model.int8-cpu.onnx --real eval",
        "edge-train evaluate runs/home/final.ckpt --rooms rooms --json runs/home/metrics.json",
        "edge-train export --precisions fp32,fp16,int8",
        "edge-train export runs/home/final.ckpt --rooms rooms --metrics runs/home/metrics.json"
        " --out engines/depth_home",
        "edge-train export runs/layout/final.ckpt --rooms rooms --out engines/layout",
        "edge-train fit --devices N --nodes M",
        "edge-train fit --from engines/NAME --rooms ROOMS --out DIR",
        "edge-train fit --from engines/layout --rooms rooms --source horizonnet=review/labelled:0.3 --out runs/layout",
        "edge-train fit --max-minutes 60",
        "edge-train fit --pseudo pseudo",
        "edge-train fit --source hdri=skies",
        "edge-train fit RECIPE --out DIR",
        "edge-train fit training/recipes/depth_self.yaml --video FILM --weights engines/depth/weights.safetensors"
        " --out DIR",
        "edge-train fit training/recipes/depth_self.yaml --video film.mp4 --rooms rooms --out runs/home"
        " --weights engines/depth/weights.safetensors --max-minutes 60",
        "edge-train fit training/recipes/depth_self.yaml --video 20261201T101500Z-hall --rooms rooms --out runs/hall"
        " --weights engines/depth/weights.safetensors",
        "edge-train reference engines/depth --rooms rooms --split val --split test",
        "edge-train import onnx FILE --manifest JSON --out engines/NAME",
        "edge-train quantize engines/NAME --rooms ROOMS",
        "edge-train synthesize --out rooms --rooms 300",
        "edge-train synthesize --out rooms --rooms 40 --seed 99 --views 0 --workers 2 --assets ASSETS",
        "edge-train synthesize --out rooms --rooms 500",
        "edge-train synthesize --ray ADDRESS",
        "edge-train synthesize-walks --out walks",
        "edge-train tune RECIPE --storage URL --study NAME",
        "edge-train untrained RECIPE --out DIR",
        "torchrun --nproc-per-node N -m training fit …",
    ),
}
"""By the reason: commands that are not run, and are only held against the program's own parser, where it is ours."""
