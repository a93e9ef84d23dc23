"""From a network's maps to people, and people onto a photograph. NumPy, SciPy and OpenCV only; knows no network.

skeleton (parts, limbs, channels), person and joints (other sets of them) are what all stand on; maps checks what a
network gives. Maps -> people: peaks, limbs and paf; maxima, tags and embedding; regression, personlab, centres, boxes;
one_person; decoders has them by name.
People -> picture: draw, labels, shapes. People of a video: track (who is who), smooth.
"""
