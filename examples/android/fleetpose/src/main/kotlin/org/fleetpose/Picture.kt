package org.fleetpose

import java.nio.ByteBuffer

/** How a picture lies in memory, as fleetpose.h has it. */
enum class PixelFormat(val code: Int) { RGB(0), BGR(1), RGBA(2), BGRA(3), GREY(4), YUV420(5) }

/**
 * A picture in direct byte buffers, which are read from their beginning. To be used again for the next frame.
 *
 * Android's ARGB_8888 bitmaps are RGBA here: `bitmap.copyPixelsToBuffer(buffer)`.
 */
class Picture {
    internal val facts = IntArray(7)
    internal var first: ByteBuffer? = null
    internal var second: ByteBuffer? = null
    internal var third: ByteBuffer? = null

    /** Width of the upright picture, in whose pixels keypoints are. */
    val uprightWidth: Int get() = if (facts[TURNS] % 2 == 0) facts[WIDTH] else facts[HEIGHT]

    val uprightHeight: Int get() = if (facts[TURNS] % 2 == 0) facts[HEIGHT] else facts[WIDTH]

    /**
     * An interleaved or grey picture.
     *
     * @param rowBytes from row to row. @param degrees clockwise that make it upright: 0, 90, 180 or 270.
     */
    fun setPixels(format: PixelFormat, pixels: ByteBuffer, width: Int, height: Int, rowBytes: Int, degrees: Int = 0) {
        require(format != PixelFormat.YUV420) { "YUV420 has three planes: setPlanes" }
        setFacts(format, width, height, degrees, rowBytes, 0, 0)
        first = pixels
        second = null
        third = null
    }

    /**
     * A picture of a camera, YUV_420_888: full-range BT.601.
     *
     * @param rowBytes from row to row of Y. @param uvRowBytes of U and of V.
     * @param uvStep from sample to sample of a row of U and V: 1, or 2 where they are interleaved.
     */
    fun setPlanes(
        y: ByteBuffer, u: ByteBuffer, v: ByteBuffer,
        width: Int, height: Int, rowBytes: Int, uvRowBytes: Int, uvStep: Int, degrees: Int = 0
    ) {
        setFacts(PixelFormat.YUV420, width, height, degrees, rowBytes, uvRowBytes, uvStep)
        first = y
        second = u
        third = v
    }

    private fun setFacts(
        format: PixelFormat, width: Int, height: Int, degrees: Int, rowBytes: Int, uvRowBytes: Int, uvStep: Int
    ) {
        require(degrees % 90 == 0) { "pictures are turned by quarters, not by $degrees degrees" }
        facts[FORMAT] = format.code
        facts[WIDTH] = width
        facts[HEIGHT] = height
        facts[TURNS] = Math.floorMod(degrees / 90, 4)
        facts[ROW_BYTES] = rowBytes
        facts[UV_ROW_BYTES] = uvRowBytes
        facts[UV_STEP] = uvStep
    }

    /** Positions in [facts], as jni_image.h has them. */
    private companion object {
        const val FORMAT = 0
        const val WIDTH = 1
        const val HEIGHT = 2
        const val TURNS = 3
        const val ROW_BYTES = 4
        const val UV_ROW_BYTES = 5
        const val UV_STEP = 6
    }
}
