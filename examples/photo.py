"""Build a network for this machine, find the people in a photograph, draw them.

    python examples/photo.py PHOTOGRAPH [WEIGHTS]

If no weights are given they are random: the network runs at full speed and finds nobody.
"""

import sys
from pathlib import Path

import cv2

from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import find_people
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices import open_device
from models.pose.drawing.draw import draw_people
from models.preprocess import read_image

photograph = Path(sys.argv[1])
weights = Path(sys.argv[2]) if len(sys.argv) > 2 else None
model = "human_pose_0001" if weights else "lwop"

with open_device("host") as device:
    artifact = Path("build/example/pose.so")
    network = trace_network(model, weights, sizes=[(368, 368)])
    build(network, BuildTarget.of(device)).write(artifact, force=True)
    image = read_image(photograph)
    detection = find_people(Artifact(artifact, device), image)

for person in detection.people:
    print(f"{person.count} keypoints, confidence {person.confidence:.2f}, box {[round(edge) for edge in person.box]}")
cv2.imwrite("build/example/people.png", draw_people(image, detection.people))
