"""Where speed is measured: never in the tests."""
