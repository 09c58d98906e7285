"""Fixtures that every room's tests share."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; for tests marked `realdata`."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real recordings: the folder shared/data beside the project is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Import a file of scripts/ as a module, so that a test can call its `main`."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
