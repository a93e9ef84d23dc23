package org.fleetpose

/** The joints in the order of a person's keypoints. */
enum class Joint {
    NOSE, NECK, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, RIGHT_HIP,
    RIGHT_KNEE, RIGHT_ANKLE, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR
}

/** The limbs of a skeleton, for drawing: each from one joint to another. */
val LIMBS: List<Pair<Joint, Joint>> = listOf(
    Joint.NECK to Joint.RIGHT_SHOULDER, Joint.NECK to Joint.LEFT_SHOULDER,
    Joint.RIGHT_SHOULDER to Joint.RIGHT_ELBOW, Joint.RIGHT_ELBOW to Joint.RIGHT_WRIST,
    Joint.LEFT_SHOULDER to Joint.LEFT_ELBOW, Joint.LEFT_ELBOW to Joint.LEFT_WRIST,
    Joint.NECK to Joint.RIGHT_HIP, Joint.RIGHT_HIP to Joint.RIGHT_KNEE, Joint.RIGHT_KNEE to Joint.RIGHT_ANKLE,
    Joint.NECK to Joint.LEFT_HIP, Joint.LEFT_HIP to Joint.LEFT_KNEE, Joint.LEFT_KNEE to Joint.LEFT_ANKLE,
    Joint.NECK to Joint.NOSE, Joint.NOSE to Joint.RIGHT_EYE, Joint.RIGHT_EYE to Joint.RIGHT_EAR,
    Joint.NOSE to Joint.LEFT_EYE, Joint.LEFT_EYE to Joint.LEFT_EAR
)

/** A joint in a picture: pixels of the upright picture; x and y are NaN and the score is 0 where it was not found. */
data class Keypoint(val x: Float, val y: Float, val score: Float) {
    val isFound: Boolean get() = score > 0f
}

/**
 * A person in a picture.
 *
 * @property keypoints by [Joint.ordinal].
 * @property score larger for a surer person.
 * @property identity from 1, the same for the same person in all frames; 0: none yet, or no video.
 */
data class Person(val keypoints: List<Keypoint>, val score: Float, val identity: Int) {
    operator fun get(joint: Joint): Keypoint = keypoints[joint.ordinal]
}

/**
 * Room for the people of a frame, to be used again for the next: filling it allocates nothing.
 *
 * @property capacity the most people that it takes; of more, the surest are kept.
 */
class People(val capacity: Int = 16) {
    internal val values = FloatArray(capacity * PERSON_FLOATS)

    /** How many people there are. */
    var count: Int = 0
        internal set

    fun x(person: Int, joint: Joint): Float = values[at(person) + 3 * joint.ordinal]

    fun y(person: Int, joint: Joint): Float = values[at(person) + 3 * joint.ordinal + 1]

    fun score(person: Int, joint: Joint): Float = values[at(person) + 3 * joint.ordinal + 2]

    fun score(person: Int): Float = values[at(person) + PERSON_FLOATS - 2]

    fun identity(person: Int): Int = values[at(person) + PERSON_FLOATS - 1].toInt()

    /** Take over what another one has, as far as there is room. */
    fun copyFrom(other: People) {
        count = minOf(other.count, capacity)
        System.arraycopy(other.values, 0, values, 0, count * PERSON_FLOATS)
    }

    /** The people as values of their own. */
    fun toList(): List<Person> = List(count) { person ->
        val keypoints = Joint.values().map { Keypoint(x(person, it), y(person, it), score(person, it)) }
        Person(keypoints, score(person), identity(person))
    }

    private fun at(person: Int): Int {
        if (person !in 0 until count) throw IndexOutOfBoundsException("person $person of $count")
        return person * PERSON_FLOATS
    }

    internal companion object {
        /** x, y, score of each keypoint, the person's score, the identity. */
        const val PERSON_FLOATS = 3 * 18 + 2
    }
}
