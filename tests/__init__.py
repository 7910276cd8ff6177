"""The tests, in folders.

* beside each package's shape (`tests/record`, `tests/storage`, ...): what one part does;
* `properties`: hypothesis drives the whole against a list as model;
* `crash`: every legal state after a power cut, and processes that are killed;
* `multiprocess`: many processes on one directory;
* `faults`, `places`: what machines refuse, where directories lie, what befalls them there;
* `compatibility`: directories of every number that the format had;
* `interop`: Kafka's own tools and broker on the same files (marked `interop`);
* `test_tidy.py`: the tree itself, its sizes, names, layers and documents.

Rules: a test proves behaviour against something that can disagree. It never sleeps; it waits for
an event, with a bound. What needs root, strace or a file system of its own is marked `system`, what
runs for many minutes `soak`. In CI nothing is skipped: a skip is a failure.
"""
