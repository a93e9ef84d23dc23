"""From a network's maps to people, and people onto a photograph. NumPy, SciPy and OpenCV only; knows no network.

skeleton (parts, limbs, channels), coco (17 of them) and person are what all stand on; maps checks what a network gives.
Maps -> people: peaks, limbs and paf; maxima, tags and embedding; maxima and regression; decoders has them by name.
People -> picture: draw, labels, shapes. People of a video: track (who is who), smooth.
"""
