"""People over time: identities from frame to frame, and smooth keypoints."""
