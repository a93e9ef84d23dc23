/** What an app does with the library, as a program: people of a picture and of a video, and what is refused. */
package org.fleetpose.tests

import java.io.File
import java.nio.ByteBuffer
import org.fleetpose.Fleetpose
import org.fleetpose.FleetposeException
import org.fleetpose.Joint
import org.fleetpose.OpenOptions
import org.fleetpose.People
import org.fleetpose.Picture
import org.fleetpose.PixelFormat

/** Arguments: a cache folder, an .fpk, and the picture's width and height. */
fun main(arguments: Array<String>) {
    val (cache, file) = arguments
    val (width, height) = arguments.drop(2).map { it.toInt() }
    val network = Fleetpose(File(cache))
    println("device ${network.device}")
    println("sizes ${network.sizes} replaced ${network.replaced} manifest ${network.manifest}")
    val picture = Picture()
    picture.setPixels(PixelFormat.GREY, ByteBuffer.allocateDirect(width * height), width, height, width)
    for (person in network.people(picture)) {
        println("person ${person.score} " + person.keypoints.joinToString(" ") { "${it.x} ${it.y} ${it.score}" })
    }
    followFrames(network, cameraPicture(width, height))
    refuse("short") { network.people(greyPicture(ByteBuffer.allocateDirect(width * height - 1), width, height)) }
    refuse("heap") { network.people(greyPicture(ByteBuffer.allocate(width * height), width, height)) }
    refuse("empty") { network.people(greyPicture(ByteBuffer.allocateDirect(1), 0, height)) }
    network.close()
    network.close()
    refuse("closed") { network.people(picture) }
    Fleetpose(null, OpenOptions(packageFile = File(file), selfCheck = false)).use { println("file ${it.sizes}") }
    refuse("missing") { Fleetpose(null, OpenOptions(packageFile = File("/no/such.fpk"))) }
    refuse("opencl") { Fleetpose(null, OpenOptions(library = "/no/libOpenCL.so")) }
}

/** A camera's planes with padded rows and interleaved U and V; the last row ends with its last sample. */
private fun cameraPicture(width: Int, height: Int): Picture {
    val row = width + 64
    val y = ByteBuffer.allocateDirect((height - 1) * row + width)
    val uv = ByteBuffer.allocateDirect((height / 2 - 1) * row + width)
    val v = uv.duplicate().apply { position(1) }.slice()
    return Picture().apply { setPlanes(y, uv, v, width, height, row, row, 2, 90) }
}

private fun followFrames(network: Fleetpose, picture: Picture) {
    val people = People(3)
    println("upright ${picture.uprightWidth} ${picture.uprightHeight}")
    for (frame in 0 until 4) {
        network.follow(picture, frame / 30.0, people)
        val identities = (0 until people.count).map { people.identity(it) }
        println("frame ${people.count} $identities ${people.x(0, Joint.NECK)} ${people.score(0) > 0}")
    }
    network.restart()
    val copy = People(2)
    copy.copyFrom(people)
    println("copied ${copy.count} ${copy.toList() == people.toList().take(2)}")
}

private fun greyPicture(pixels: ByteBuffer, width: Int, height: Int): Picture =
    Picture().apply { setPixels(PixelFormat.GREY, pixels, width, height, width) }

private fun refuse(what: String, call: () -> Any) {
    try {
        call()
        println("$what taken")
    } catch (error: FleetposeException) {
        println("$what ${error.status} ${error.message}")
    } catch (error: IllegalStateException) {
        println("$what state ${error.message}")
    }
}
