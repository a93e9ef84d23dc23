package org.fleetpose

/** What went wrong, as fleetpose.h has it. */
enum class Status(val code: Int) {
    /** The caller's mistake: a picture without pixels, or a buffer that is too short. */
    BAD_ARGUMENT(1),

    /** The package is damaged, of another version, or contradicts itself. */
    BAD_PACKAGE(2),

    /** The phone has no usable OpenCL, or the manifest does not name its library. */
    NO_OPENCL(3),

    /** The GPU lacks what the network needs: half precision, images, memory; or is of another kind. */
    WRONG_DEVICE(4),

    /** The driver refused or failed; the text has its code. */
    DEVICE_ERROR(5),
    NO_MEMORY(6),
    FILE_ERROR(7),

    /** The network's outputs are no people's. */
    NOT_A_POSE_NETWORK(8),

    /** A kernel computes what it should not on this phone, and the package has no other for it. */
    WRONG_RESULT(9)
}

/** A failure of the runtime; [message] says it in one line. */
class FleetposeException(code: Int, message: String) : RuntimeException(message) {
    val status: Status = Status.values().first { it.code == code }
}
