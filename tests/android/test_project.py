"""The Android project: what of it can be checked without Gradle and without a phone."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from codegen.building.android_archive import LEAST_API, opencl_libraries
from models.pose.skeleton import LIMBS, PARTS, TREE_LIMBS
from runtime import INCLUDE
from tests.android.kotlin import PROJECT, compile_jni, read_kotlin

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ANDROID = "{http://schemas.android.com/apk/res/android}"
HEADER = (INCLUDE / "fleetpose.h").read_text(encoding="utf-8")
JNI = PROJECT / "fleetpose/src/main/cpp"
#: what C has for Kotlin's types
TYPES = {
    "Long": "jlong", "Int": "jint", "Double": "jdouble", "String": "jstring", "ByteBuffer": "jobject",
    "IntArray": "jintArray", "FloatArray": "jfloatArray", "Array<String>": "jobjectArray", "": "void",
}  # fmt: skip


def constants_of(text: str, pattern: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(pattern, text)}


def test_xml_files_parse_and_name_what_is_there():
    for path in PROJECT.rglob("*.xml"):
        ElementTree.parse(path)
    app = PROJECT / "app/src/main"
    views = {element.tag for element in ElementTree.parse(app / "res/layout/activity_main.xml").iter()}
    activities = ElementTree.parse(app / "AndroidManifest.xml").iter("activity")
    classes = {name for name in views if name.startswith("org.fleetpose.sample.")}
    classes |= {"org.fleetpose.sample" + activity.attrib[f"{ANDROID}name"] for activity in activities}
    assert len(classes) == 2
    for name in classes:
        path = app / "kotlin" / Path(*name.split(".")).with_suffix(".kt")
        assert f"class {name.rpartition('.')[2]}" in path.read_text(encoding="utf-8")


def test_resources_that_the_sample_uses_are_there():
    app = PROJECT / "app/src/main"
    used = set(re.findall(r"\bR\.(\w+)\.(\w+)", read_kotlin(app / "kotlin")))
    layout = ElementTree.parse(app / "res/layout/activity_main.xml").getroot()
    ids = {element.attrib.get(f"{ANDROID}id", "").removeprefix("@+id/") for element in layout.iter()}
    strings = {element.attrib["name"] for element in ElementTree.parse(app / "res/values/strings.xml").iter("string")}
    there = {"layout": {"activity_main"}, "id": ids, "string": strings}
    assert used
    for kind, name in used:
        assert name in there[kind]


def test_manifest_of_the_library_names_the_libraries_of_opencl():
    manifest = ElementTree.parse(PROJECT / "fleetpose/src/main/AndroidManifest.xml")
    named = [library.attrib for library in manifest.iter("uses-native-library")]
    assert [attributes[f"{ANDROID}name"] for attributes in named] == opencl_libraries()
    assert {attributes[f"{ANDROID}required"] for attributes in named} == {"false"}


def test_gradle_files_use_what_the_catalogue_has():
    catalogue = tomllib.loads((PROJECT / "gradle/libs.versions.toml").read_text(encoding="utf-8"))
    for entry in [*catalogue["libraries"].values(), *catalogue["plugins"].values()]:
        assert entry["version"]["ref"] in catalogue["versions"]
    known = {name.replace("-", ".") for name in catalogue["libraries"]}
    known |= {"plugins." + name.replace("-", ".") for name in catalogue["plugins"]}
    scripts = {path: path.read_text(encoding="utf-8") for path in PROJECT.rglob("build.gradle.kts")}
    used = {name for text in scripts.values() for name in re.findall(r"\(libs\.([\w.]+)\)", text)}
    assert used == known
    modules = re.findall(r'":(\w+)"', (PROJECT / "settings.gradle.kts").read_text(encoding="utf-8"))
    assert {PROJECT / module / "build.gradle.kts" for module in ("", *modules)} == set(scripts)
    least = {int(number) for text in scripts.values() for number in re.findall(r"minSdk = (\d+)", text)}
    assert least == {LEAST_API}


def test_constants_of_kotlin_are_those_of_the_header():
    kotlin = read_kotlin(PROJECT / "fleetpose/src/main/kotlin")
    statuses = constants_of(HEADER, r"\bFP_([A-Z_]+) = (\d+)[,\s]*(?:/\*[^/]*\*/\s*)?(?=\n  FP_|\n} fp_status|,)")
    statuses = {name: code for name, code in statuses.items() if name != "OK"}
    assert constants_of(kotlin.partition("enum class Status")[2].partition("\n}")[0], r"\b([A-Z_]+)\((\d+)\)") == {
        name: code for name, code in statuses.items() if name in re.search(r"enum fp_status (\{.*?\})", HEADER, re.S)[1]
    }
    formats = constants_of(re.search(r"enum fp_format \{(.*?)\}", HEADER, re.S)[1], r"FP_(\w+) = (\d+)")
    assert constants_of(re.search(r"enum class PixelFormat.*", kotlin)[0], r"\b([A-Z0-9]+)\((\d+)\)") == formats
    flags = constants_of(HEADER, r"#define FP_FLAG_(\w+) (\d+)u")
    named = constants_of(kotlin, r"const val (NO_SELF_CHECK|RECORD|ANY_DEVICE) = (\d+)")
    assert named == {name: flags[name] for name in ("NO_SELF_CHECK", "RECORD", "ANY_DEVICE")}
    keypoints = constants_of(HEADER, r"#define FP_(KEYPOINTS) (\d+)")["KEYPOINTS"]
    assert f"const val PERSON_FLOATS = 3 * {keypoints} + 2" in kotlin


def test_joints_and_limbs_are_those_of_the_skeleton():
    people = (PROJECT / "fleetpose/src/main/kotlin/org/fleetpose/People.kt").read_text(encoding="utf-8")
    joints = re.findall(r"[A-Z_]+", re.search(r"enum class Joint \{(.*?)\}", people, re.S)[1])
    assert [joint.lower() for joint in joints] == list(PARTS)
    limbs = re.findall(r"Joint\.(\w+) to Joint\.(\w+)", people)
    assert {(joints.index(start), joints.index(end)) for start, end in limbs} == set(LIMBS[:TREE_LIMBS])


def test_facts_of_a_picture_have_one_order():
    positions = re.findall(r"PICTURE_(\w+),", (JNI / "jni_image.h").read_text(encoding="utf-8"))
    kotlin = (PROJECT / "fleetpose/src/main/kotlin/org/fleetpose/Picture.kt").read_text(encoding="utf-8")
    assert constants_of(kotlin, r"const val (\w+) = (\d+)") == {name: at for at, name in enumerate(positions)}
    assert f"IntArray({len(positions)})" in kotlin


def test_functions_of_c_are_those_that_kotlin_declares():
    kotlin = (PROJECT / "fleetpose/src/main/kotlin/org/fleetpose/Native.kt").read_text(encoding="utf-8")
    declared = {}
    for name, given, answer in re.findall(r"external fun (\w+)\((.*?)\)(?:: ([\w<>]+))?", kotlin, re.S):
        types = [argument.partition(":")[2].strip().rstrip("?") for argument in given.split(",")]
        declared[name] = [TYPES[answer], *(TYPES[kind] for kind in types)]
    source = (JNI / "fleetpose_jni.c").read_text(encoding="utf-8")
    defined = {}
    for answer, name, given in re.findall(
        r"JNIEXPORT (\w+) JNICALL Java_org_fleetpose_Native_(\w+)\(JNIEnv\* env, jclass type,(.*?)\) \{", source, re.S
    ):
        defined[name] = [answer, *(argument.split()[0] for argument in given.split(","))]
    assert defined == declared
    assert len(defined) == source.count("JNIEXPORT")


@pytest.mark.long
def test_c_compiles_without_a_warning_and_offers_what_kotlin_declares(tmp_path):
    compile_jni(tmp_path, [])
