package org.fleetpose

import java.nio.ByteBuffer

/** The functions of fleetpose_jni.c. A handle is what [open] answered, until [close]. */
internal object Native {
    init {
        System.loadLibrary("fleetpose_jni")
    }

    @JvmStatic
    external fun open(
        packagePath: String?,
        cacheFolder: String?,
        library: String?,
        device: String?,
        flags: Int,
        capacity: Int
    ): Long

    @JvmStatic
    external fun close(handle: Long)

    @JvmStatic
    external fun people(
        handle: Long,
        facts: IntArray,
        first: ByteBuffer,
        second: ByteBuffer?,
        third: ByteBuffer?,
        secs: Double,
        results: FloatArray
    ): Int

    @JvmStatic
    external fun restart(handle: Long)

    @JvmStatic
    external fun device(handle: Long): String

    @JvmStatic
    external fun manifest(handle: Long): String

    @JvmStatic
    external fun sizes(handle: Long): IntArray

    @JvmStatic
    external fun replaced(handle: Long): Array<String>
}
