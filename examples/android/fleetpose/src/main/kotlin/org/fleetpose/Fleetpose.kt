package org.fleetpose

import java.io.File

/**
 * How a network is opened.
 *
 * @property packageFile an .fpk; null: the one inside libpose.so.
 * @property library libOpenCL to open; null: where phones have it.
 * @property device PLATFORM[:DEVICE], each an index or part of a name; null: the first GPU.
 * @property selfCheck compare each kernel with what it should compute at the first start on a phone and driver.
 * @property record launch all kernels of an inference at once where the driver can.
 * @property anyDevice open it although it was built for another kind of GPU.
 * @property capacity the most people of a frame.
 */
data class OpenOptions(
    val packageFile: File? = null,
    val library: String? = null,
    val device: String? = null,
    val selfCheck: Boolean = true,
    val record: Boolean = false,
    val anyDevice: Boolean = false,
    val capacity: Int = 64
) {
    internal val flags: Int
        get() = (if (selfCheck) 0 else NO_SELF_CHECK) or (if (record) RECORD else 0) or (if (anyDevice) ANY_DEVICE else 0)

    private companion object {
        const val NO_SELF_CHECK = 2
        const val RECORD = 4
        const val ANY_DEVICE = 8
    }
}

/**
 * A pose network on the phone's GPU. Several threads may use it; calls wait for each other.
 *
 * Opening compiles the network's kernels at the first start, which takes seconds: do it off the main thread. They are
 * kept in [cacheFolder], an app's `context.codeCacheDir`, and later starts take them from there. Android empties that
 * folder where the app or the system is updated, so that nothing stays of a network or a driver that was before.
 *
 * Every function may throw a [FleetposeException].
 */
class Fleetpose(cacheFolder: File?, options: OpenOptions = OpenOptions()) : AutoCloseable {
    private val capacity = options.capacity
    private var handle = Native.open(
        options.packageFile?.path, cacheFolder?.path, options.library, options.device, options.flags, options.capacity
    )

    /** The GPU and its driver, in a line. */
    val device: String get() = withHandle { Native.device(it) }

    /** What the network says of itself, as JSON. */
    val manifest: String get() = withHandle { Native.manifest(it) }

    /** Height and width of each input size. */
    val sizes: List<Pair<Int, Int>>
        get() = withHandle { Native.sizes(it) }.let { sides -> List(sides.size / 2) { sides[2 * it] to sides[2 * it + 1] } }

    /** Layers that run by their second kernel, because the first computes wrongly on this phone. */
    val replaced: List<String> get() = withHandle { Native.replaced(it) }.toList()

    /** Find the people in a picture, the surest first. */
    fun find(picture: Picture, people: People) = fill(picture, -1.0, people)

    /**
     * Find the people in the next frame of a video, with identities and steadied keypoints.
     *
     * @param secs the frame's time, never going back: `timestamp * 1e-9` of a camera's image.
     */
    fun follow(picture: Picture, secs: Double, people: People) {
        require(secs >= 0) { "a frame's time is not negative" }
        fill(picture, secs, people)
    }

    /** The people in a picture as values; allocates, so meant for single pictures. */
    fun people(picture: Picture): List<Person> = People(capacity).also { find(picture, it) }.toList()

    /** Forget who was in the video so far. */
    fun restart() = withHandle { Native.restart(it) }

    /** Give the GPU's memory back. Closing again does nothing. */
    @Synchronized
    override fun close() {
        if (handle != 0L) Native.close(handle)
        handle = 0L
    }

    private fun fill(picture: Picture, secs: Double, people: People) {
        val first = requireNotNull(picture.first) { "the picture has no pixels" }
        people.count = 0
        people.count = withHandle {
            Native.people(it, picture.facts, first, picture.second, picture.third, secs, people.values)
        }
    }

    private inline fun <T> withHandle(call: (Long) -> T): T = synchronized(this) {
        check(handle != 0L) { "the network is closed" }
        call(handle)
    }
}
