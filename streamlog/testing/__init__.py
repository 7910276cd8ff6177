"""What streamlog's own tests use, shipped for yours.

Parts:

* `clock`: `ManualClock`, time that passes when a test says so.

Rules. Everything here replaces one door to the world (files, sockets, time) and is handed in where
the real one would be: nothing is patched. Nothing of the library imports this package.

What it is not: a stand-in for the library itself. `streamlog.open(":memory:")` is the real engine.
"""
