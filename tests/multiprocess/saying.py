"""How a child answers: one line of JSON at a time, for `Child.answer`."""

from __future__ import annotations

import json
import os


def answer(pipe: int, value: object) -> None:
    os.write(pipe, json.dumps(value).encode() + b"\n")
