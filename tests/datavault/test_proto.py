"""The committed messages are what the .proto says."""

import subprocess
import sys

import pytest

from .conftest import TOP

FOLDER = "sandbox/datavault/proto"


@pytest.mark.parametrize("name", ["datavault_pb2.py", "datavault_pb2.pyi", "datavault_pb2_grpc.py"])
def test_a_generated_file_is_what_the_command_in_the_docstring_makes(tmp_path, name: str):
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs]
    subprocess.run([*protoc, f"{FOLDER}/datavault.proto"], cwd=TOP, check=True)

    assert (tmp_path / FOLDER / name).read_text() == (TOP / FOLDER / name).read_text()
