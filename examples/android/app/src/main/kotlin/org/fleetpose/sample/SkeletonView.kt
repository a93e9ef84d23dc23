package org.fleetpose.sample

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import org.fleetpose.Joint
import org.fleetpose.LIMBS
import org.fleetpose.People

/** Skeletons over a preview that fills the same area, as PreviewView does by default: centred, and cut off. */
class SkeletonView @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    View(context, attributes) {
    private val people = People()
    private var pictureWidth = 0
    private var pictureHeight = 0
    private val limbs = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        strokeWidth = 4 * resources.displayMetrics.density
        strokeCap = Paint.Cap.ROUND
    }
    private val labels = Paint(Paint.ANTI_ALIAS_FLAG).apply { textSize = 18 * resources.displayMetrics.density }

    /** Draw these people of a picture of this size from now on. May be called on any thread. */
    fun show(found: People, width: Int, height: Int) {
        synchronized(people) {
            people.copyFrom(found)
            pictureWidth = width
            pictureHeight = height
        }
        postInvalidateOnAnimation()
    }

    override fun onDraw(canvas: Canvas) {
        synchronized(people) {
            if (pictureWidth == 0 || pictureHeight == 0) return
            val scale = maxOf(width.toFloat() / pictureWidth, height.toFloat() / pictureHeight)
            canvas.translate((width - scale * pictureWidth) / 2, (height - scale * pictureHeight) / 2)
            for (person in 0 until people.count) drawPerson(canvas, person, scale)
        }
    }

    private fun drawPerson(canvas: Canvas, person: Int, scale: Float) {
        val identity = people.identity(person)
        limbs.color = colourOf(identity)
        labels.color = limbs.color
        for ((from, to) in LIMBS) {
            if (people.score(person, from) <= 0f || people.score(person, to) <= 0f) continue
            // keypoints are centres of pixels
            canvas.drawLine(
                scale * (people.x(person, from) + 0.5f), scale * (people.y(person, from) + 0.5f),
                scale * (people.x(person, to) + 0.5f), scale * (people.y(person, to) + 0.5f), limbs
            )
        }
        if (identity > 0 && people.score(person, Joint.NECK) > 0f) {
            val x = scale * people.x(person, Joint.NECK)
            canvas.drawText(identity.toString(), x, scale * people.y(person, Joint.NECK), labels)
        }
    }

    /** Neighbouring identities get hues far apart; people without one are white. */
    private fun colourOf(identity: Int): Int =
        if (identity == 0) Color.WHITE else Color.HSVToColor(floatArrayOf(identity * 137.5f % 360f, 0.7f, 1f))
}
