"""CMake installs the extension, and what it installed works where only it is on the path.

Slicer's own build macro is used where SLICER_SOURCE_DIR names a source checkout, a stand-in of the same rules
elsewhere; CTK's compile step, which copies files, is a stand-in always.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .update_cmake_lists import FOLDERS, REPOSITORY, present

OLDEST_CMAKE = (3, 28)
SCRIPTED_MODULES = Path("lib/Slicer-5.13/qt-scripted-modules")

# Slicer's macro checks that each listed file exists, then hands all to CTK, which keeps relative folders.
OUR_MACRO = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "nonexistent file ${file}")
    endif()
  endforeach()
  set(_subdir "")
  if(MY_WITH_SUBDIR)
    get_filename_component(_subdir ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(_subdir "/${_subdir}")
  endif()
  ctkMacroCompilePythonScript(TARGET_NAME ${MY_NAME} SCRIPTS "${MY_SCRIPTS}" RESOURCES "${MY_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}${_subdir}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR})
endmacro()
"""

SLICER_CONFIG = """
set(Slicer_USE_PYTHONQT ON)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR {folder})
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR {folder})
set(Slicer_USE_FILE "${{CMAKE_CURRENT_LIST_DIR}}/use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${{CMAKE_CURRENT_LIST_DIR}}/nothing.cmake")
set(Slicer_EXTENSION_CPACK "${{CMAKE_CURRENT_LIST_DIR}}/nothing.cmake")
"""

CTK_COPY = """
function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR" "TARGET_NAME;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  file(RELATIVE_PATH _inside ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR} ${MY_DESTINATION_DIR})
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    get_filename_component(_folder ${file} DIRECTORY)
    install(FILES ${file} DESTINATION ${MY_INSTALL_DIR}/${_inside}/${_folder})
  endforeach()
endfunction()
"""


@pytest.fixture(scope="module")
def cmake() -> str:
    program = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("NOT TESTED: installing the extension needs cmake >= 3.28 (pip install cmake)")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in re.search(r"(\d+)\.(\d+)", told).groups())
    if version < OLDEST_CMAKE:
        pytest.skip(f"NOT TESTED: installing the extension needs cmake >= 3.28, this is {told.splitlines()[0]}")
    return program


@pytest.fixture(scope="module")
def installed(cmake, tmp_path_factory) -> Path:
    """The folder that Slicer would load scripted modules from, after an installation."""
    work = tmp_path_factory.mktemp("build with a space")
    slicer = work / "slicer"
    slicer.mkdir()
    sources = os.environ.get("SLICER_SOURCE_DIR")
    macro = f'include("{sources}/CMake/SlicerMacroBuildScriptedModule.cmake")' if sources else OUR_MACRO
    (slicer / "SlicerConfig.cmake").write_text(SLICER_CONFIG.format(folder=SCRIPTED_MODULES.as_posix()))
    (slicer / "use.cmake").write_text(CTK_COPY + macro)
    (slicer / "nothing.cmake").touch()
    configure = ["-S", str(REPOSITORY), "-B", str(work / "build"), f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=OFF"]
    # project() asks for compilers, though nothing is compiled: any program will do for one.
    for language in ("C", "CXX"):
        configure += [f"-DCMAKE_{language}_COMPILER={sys.executable}", f"-DCMAKE_{language}_COMPILER_FORCED=1"]
    for arguments in (
        [*configure, "-G", "Unix Makefiles"],
        ["--install", str(work / "build"), "--prefix", str(work / "installed")],
    ):
        done = subprocess.run([cmake, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return work / "installed" / SCRIPTED_MODULES


def test_every_file_is_where_slicer_looks(installed):
    expected = set(present(FOLDERS[0], "SCRIPTS")) | set(present(FOLDERS[0], "RESOURCES"))
    expected |= {f"SegAutoPlanLib/{name}" for name in present(FOLDERS[1], "SCRIPTS") + present(FOLDERS[1], "RESOURCES")}
    assert {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()} == expected


def test_the_installed_engine_answers_on_the_command_line(installed):
    done = subprocess.run(
        [sys.executable, "-m", "SegAutoPlanLib", "predict", "--help"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--model" in done.stdout


def test_the_installed_module_loads_with_the_engine_beside_it(installed):
    pytest.importorskip("PySide6", reason="NOT TESTED: loading the module file needs the headless host")
    code = (
        "import sys\n"
        f"sys.path.append({str(REPOSITORY)!r})\n"
        "from Testing.Host import start_application\n"
        "host = start_application()\n"
        f"sys.path.remove({str(REPOSITORY)!r})\n"
        "import pathlib\n"
        f"widget = host.load_module(pathlib.Path({str(installed)!r}) / 'SegAutoPlan.py')\n"
        "import SegAutoPlanLib\n"
        "print(SegAutoPlanLib.__file__)\n"
        "print(widget.panels[0].ui.segmentButton.text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed.parent,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[-3:-1] == [str(installed / "SegAutoPlanLib" / "__init__.py"), "Segment"]
