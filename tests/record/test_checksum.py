from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import crc32c as published

from streamlog.record.checksum import crc32c

ROOT = Path(__file__).parents[2]


def test_the_check_value_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283 == published.crc32c(b"123456789")
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


def test_the_slow_package_is_not_imported():
    # Without the top of the package, whose other parts may have reasons of their own.
    code = """
import sys
top = sys.modules["streamlog"] = type(sys)("streamlog")
top.__path__ = ["streamlog"]
import streamlog.record.checksum as checksum
print("crc32c" in sys.modules)
import crc32c
print(crc32c.crc32c(b"abc") == checksum.crc32c(b"abc"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.stdout.split() == [b"False", b"True"], done.stderr.decode()
