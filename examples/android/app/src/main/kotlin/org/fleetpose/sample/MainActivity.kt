package org.fleetpose.sample

import android.Manifest
import android.content.pm.PackageManager
import android.os.Bundle
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.AspectRatio
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import org.fleetpose.Fleetpose
import org.fleetpose.FleetposeException
import java.util.concurrent.Executors

/** Draws skeletons over the camera's picture. */
class MainActivity : ComponentActivity() {
    /** The network is opened, used and closed on this one thread. */
    private val worker = Executors.newSingleThreadExecutor()
    private var network: Fleetpose? = null
    private lateinit var skeletons: SkeletonView
    private lateinit var state: TextView

    private val askForCamera = registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
        if (granted) openNetwork() else state.setText(R.string.no_camera)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        skeletons = findViewById(R.id.skeletons)
        state = findViewById(R.id.state)
        if (ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            openNetwork()
        } else {
            askForCamera.launch(Manifest.permission.CAMERA)
        }
    }

    override fun onDestroy() {
        worker.execute { network?.close() } // after the frame that is being analysed
        worker.shutdown()
        super.onDestroy()
    }

    /** The first start on a phone compiles the kernels, which takes a while; the cache folder keeps them. */
    private fun openNetwork() = worker.execute {
        try {
            val opened = Fleetpose(codeCacheDir)
            network = opened
            runOnUiThread { if (!isDestroyed) startCamera(opened) }
        } catch (error: FleetposeException) {
            showState(error.message.orEmpty())
        }
    }

    private fun startCamera(network: Fleetpose) {
        val device = network.device
        val analyzer = PoseAnalyzer(network, { people, width, height, milliseconds ->
            skeletons.show(people, width, height)
            showState(getString(R.string.state, people.count, milliseconds, device))
        }, ::showState)
        val provider = ProcessCameraProvider.getInstance(this)
        provider.addListener(Runnable { bind(provider.get(), analyzer) }, ContextCompat.getMainExecutor(this))
    }

    /** Preview and analysis have the same aspect ratio, so that skeletons lie on the people. */
    private fun bind(provider: ProcessCameraProvider, analyzer: PoseAnalyzer) {
        val ratio = ResolutionSelector.Builder()
            .setAspectRatioStrategy(AspectRatioStrategy(AspectRatio.RATIO_4_3, AspectRatioStrategy.FALLBACK_RULE_AUTO))
            .build()
        val preview = Preview.Builder().setResolutionSelector(ratio).build()
        preview.setSurfaceProvider(findViewById<PreviewView>(R.id.preview).surfaceProvider)
        val analysis = ImageAnalysis.Builder()
            .setResolutionSelector(ratio)
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_YUV_420_888)
            .build()
        analysis.setAnalyzer(worker, analyzer)
        provider.unbindAll()
        provider.bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, preview, analysis)
    }

    private fun showState(text: String) = runOnUiThread { state.text = text }
}
