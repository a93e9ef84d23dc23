"""From a network's maps to people, and people onto a photograph. NumPy and OpenCV only; knows no network.

skeleton (parts, limbs, channels) <- person <- peaks, limbs <- paf (maps -> people); draw, labels, shapes
(people -> picture); track, smooth (people of a video: who is who, and steadied).
"""
