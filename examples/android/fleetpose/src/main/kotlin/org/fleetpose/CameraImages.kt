package org.fleetpose

import android.media.Image

/**
 * The planes of a camera's image, YUV_420_888; nothing is copied, so the image has to stay open while they are read.
 *
 * @param degrees clockwise that make it upright: CameraX's `imageInfo.rotationDegrees`.
 */
fun Picture.setImage(image: Image, degrees: Int = 0) {
    val (y, u, v) = image.planes
    setPlanes(
        y.buffer, u.buffer, v.buffer, image.width, image.height, y.rowStride, u.rowStride, u.pixelStride, degrees
    )
}
