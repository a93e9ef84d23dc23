"""From a network's maps to people, and people onto a photograph. NumPy and OpenCV only; knows no network.

skeleton (parts, limbs, channels) <- person (a found person) <- peaks (heatmaps -> peaks) <- paf (peaks -> people) <- draw.
"""
