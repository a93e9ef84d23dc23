package org.fleetpose.sample

import android.os.SystemClock
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import org.fleetpose.Fleetpose
import org.fleetpose.FleetposeException
import org.fleetpose.People
import org.fleetpose.Picture

/**
 * Follows people through a camera's images.
 *
 * Everything that a frame needs is made once. CameraX calls [analyze] on one thread, and with STRATEGY_KEEP_ONLY_LATEST
 * gives the newest image each time, so that a network slower than the camera skips frames and does not fall behind.
 *
 * @param show is called on that thread with the people, the width and height of the upright picture, and the
 *   milliseconds that the frame took.
 * @param fail is called with an error's text.
 */
class PoseAnalyzer(
    private val network: Fleetpose,
    private val show: (People, Int, Int, Long) -> Unit,
    private val fail: (String) -> Unit
) : ImageAnalysis.Analyzer {
    private val picture = Picture()
    private val people = People()

    override fun analyze(image: ImageProxy) {
        val start = SystemClock.elapsedRealtime()
        try {
            val (y, u, v) = image.planes
            picture.setPlanes(
                y.buffer, u.buffer, v.buffer, image.width, image.height,
                y.rowStride, u.rowStride, u.pixelStride, image.imageInfo.rotationDegrees
            )
            network.follow(picture, image.imageInfo.timestamp * 1e-9, people)
        } catch (error: FleetposeException) {
            fail(error.message.orEmpty())
            return
        } finally {
            image.close()
        }
        show(people, picture.uprightWidth, picture.uprightHeight, SystemClock.elapsedRealtime() - start)
    }
}
