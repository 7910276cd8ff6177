"""What streamlog's own tests use, shipped for yours.

Parts:

* `clock`: `ManualClock`, time that passes when a test says so.
* `memory_filesystem`: `MemoryFilesystem`, the filesystem door without a machine behind it: files,
  locks and maps in memory, several processes, disks that refuse; it can keep a journal.
  `memory_disk` is what these processes share.
* `journal`: what such a journal holds, and `Image`, a whole disk. `recorded_map` journals stores.
* `crash_states`, `crash_sampling`: from a journal, the states that a disk may be in after the
  power was cut at any point, all the telling ones or a sample.

Rules. Everything here replaces one door to the world (files, sockets, time) and is handed in where
the real one would be: nothing is patched. Nothing of the library imports this package.

What it is not: a stand-in for the library itself. `streamlog.open(":memory:")` is the real engine.
"""
