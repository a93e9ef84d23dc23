// The network: pose.aar, which `python -m codegen.build --format aar` writes. A module of its own, because a library
// module may not depend on the file of an .aar.
configurations.maybeCreate("default")
artifacts.add("default", file("pose.aar"))
