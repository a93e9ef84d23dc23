"""The OpenCL libraries of pip's packages, found by their places in an environment."""

import sys

from runtime.pip_opencl import pip_libraries


def test_intels_library_is_found_in_the_environments_lib(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    before = pip_libraries()
    assert not any("intelocl" in path for path, *_ in before)
    library = tmp_path / "lib" / "libintelocl.so"
    library.parent.mkdir()
    library.touch()
    # its .icd file is not read: it names a path of the machine that built the wheel
    assert pip_libraries() == [(str(library), "", ""), *before]


def test_pyopencls_loader_is_found_in_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    package = tmp_path / "pyopencl"
    (package / ".libs").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pip_libraries() == []
    loader = package / ".libs" / "libOpenCL-1234.so.1.0.0"
    loader.touch()
    assert pip_libraries() == [(str(loader), str(package), "")]
    driver = package / ".libs" / "libpocl-5678.so.2"
    driver.touch()
    assert pip_libraries() == [(str(loader), str(package), str(driver))]
