"""What the benchmarks share: fair comparisons, the peers, and one way of reporting.

Parts
    benchmark   options, scratch directory and output of one file; `Row` and `Table`
    measuring   interleaved repetitions, ratios of pairs, medians and percentiles
    values      what is written, and the checksum that every side has to reproduce
    ours        streamlog, used as its users use it
    confluent   confluent-kafka against the mock cluster that librdkafka carries, or a broker
    client      its calls, timed
    real_broker a real broker, started where `--broker start` asks for one
    listening   a listener of streamlog in another process, and a client of single requests
    embedded    SQLite in WAL mode and LMDB
    bare        loops of `os.pwrite`, `os.pread` and `os.fdatasync`
    processes   functions run in several processes at once, started together; their memory
    tracing     system calls, counted by strace

Rules
    * Every figure that is compared is a ratio within one run: the contenders take turns, and
      the ratio is taken for each turn.
    * Everybody writes the same values; who lost or changed one fails the benchmark.
    * Settings are the defaults of each side except `acks=1`, or what the file's docstring says.
    * Where a choice had to be made, it was made in favour of the peer.

What it is not: a test. A missed target is printed, and the exit status stays 0.
"""
