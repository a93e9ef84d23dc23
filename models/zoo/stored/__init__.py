"""Files from elsewhere, looked through before a loader that is not ours sees them."""
