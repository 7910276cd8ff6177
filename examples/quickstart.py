"""A month of flights from New York: written by three processes, tailed live, asked, drawn.

    python examples/quickstart.py [--directory DIR] [--picture FLIGHTS.png]

One writer process an airport appends its flights as keyed events with their own timestamps; a
reader in another process follows them as they come. Half way one writer is killed with -9, and
another takes over where the log ends. Then the directory is opened again and asked.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import streamlog

DATA = Path(__file__).parent / "data"
AIRPORTS = ("EWR", "JFK", "LGA")  # one partition each: within an airport, events are in order
NEW_YORK = timezone(timedelta(hours=-5))  # in January
CHUNK = 500

Averages = dict[tuple[str, int], tuple[int, int]]  # (carrier, hour) -> minutes late, flights


def flights_from(airport: str) -> list[dict[str, str]]:
    """The month's scheduled departures of one airport, in order of their time."""
    with gzip.open(DATA / "flights-2013-01.csv.gz", "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == airport]
    return sorted(rows, key=scheduled_ms)


def scheduled_ms(flight: dict[str, str]) -> int:
    """When the flight was to leave, in milliseconds since the epoch."""
    hour = datetime.fromisoformat(flight["time_hour"])
    return int((hour + timedelta(minutes=int(flight["minute"]))).timestamp() * 1000)


# ------------------------------------------------------------------ the processes


def write(directory: str, airport: str, reports: Connection) -> None:
    """Append what the log does not have yet of one airport's flights; report every chunk.

    The partition's end says how many are there: whoever wrote them, and however it ended.
    """
    flights = flights_from(airport)
    partition = AIRPORTS.index(airport)
    with streamlog.open(directory) as log, log.producer(acks=1) as producer:
        with log.consumer("flights") as consumer:
            end = streamlog.TopicPartition("flights", partition)
            written = consumer.end_offsets([end])[end]
        while written < len(flights):
            chunk = flights[written : written + CHUNK]
            for flight in chunk:
                producer.send(
                    "flights",
                    json.dumps(flight).encode(),
                    key=flight["tailnum"].encode(),
                    partition=partition,
                    timestamp_ms=scheduled_ms(flight),
                )
            producer.flush()
            written += len(chunk)
            reports.send((airport, written))
            reports.recv()  # the main process says when to go on


def tail(directory: str, expected: int, reports: Connection) -> None:
    """Follow all flights as they are appended, until `expected` of them were seen."""
    with (
        streamlog.open(directory) as log,
        log.consumer("flights", auto_offset_reset="earliest") as consumer,
    ):
        reports.send("ready")
        for seen, _record in enumerate(consumer, 1):
            if seen == expected:
                break
    reports.send(time.monotonic())


def load(directory: str) -> None:
    """Run the writers and the reader; kill one writer half way and let another take over."""
    total = {airport: len(flights_from(airport)) for airport in AIRPORTS}
    everything = sum(total.values())
    spawn = multiprocessing.get_context("spawn")
    reader, reader_end = spawn.Pipe()
    reading = spawn.Process(target=tail, args=(directory, everything, reader_end), daemon=True)
    reading.start()
    reader.recv()

    writers: dict[Connection, Any] = {}

    def start_writer(airport: str) -> None:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=write, args=(directory, airport, theirs), daemon=True)
        writers[ours] = process
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    started = time.monotonic()
    for airport in AIRPORTS:
        start_writer(airport)
    killed = False
    while writers:
        for connection in wait(list(writers)):
            assert isinstance(connection, Connection)
            try:
                airport, written = connection.recv()
            except EOFError:
                process = writers.pop(connection)
                process.join()
                if process.exitcode:
                    raise SystemExit(f"a writer failed with exit code {process.exitcode}") from None
                continue
            if airport == "LGA" and not killed and written >= total[airport] // 2:
                process = writers.pop(connection)
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                killed = True
                print(f"  killed the writer of LGA (-9) after {written:,} acknowledged flights")
                start_writer(airport)
            else:
                connection.send("go on")
    finished = time.monotonic()
    last_seen = reader.recv()
    reading.join()
    print(f"  {everything:,} flights from {len(AIRPORTS)} processes in {finished - started:.2f} s")
    behind = (last_seen - finished) * 1000
    when = f"{behind:.0f} ms after" if behind > 0 else f"{-behind:.0f} ms before"
    print(f"  the reader, in a process of its own, saw the last one {when} the last writer ended")


# ------------------------------------------------------------------ the questions


def records(log: streamlog.StreamLog) -> Iterator[dict[str, Any]]:
    for record in log.read("flights"):
        yield json.loads(record.value)


def delays(log: streamlog.StreamLog) -> Averages:
    """Minutes late at departure and number of flights, by carrier and scheduled hour."""
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for flight in records(log):
        if flight["dep_delay"] != "NA":
            found = sums[flight["carrier"], int(flight["hour"])]
            found[0] += int(flight["dep_delay"])
            found[1] += 1
    return {key: (late, count) for key, (late, count) in sums.items()}


def average_by(averages: Averages, part: int) -> dict[Any, float]:
    """The average delay by carrier (`part` 0) or by hour (1)."""
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for key, (late, count) in averages.items():
        sums[key[part]][0] += late
        sums[key[part]][1] += count
    return {name: late / count for name, (late, count) in sums.items()}


def where_was(log: streamlog.StreamLog, plane: str, moment: datetime) -> dict[str, Any] | None:
    """The plane's last departure before `moment`: a seek by time, then one day of records."""
    end = int(moment.timestamp() * 1000)
    found: dict[str, Any] | None = None
    for partition in range(len(AIRPORTS)):
        day = log.read("flights", partition, start_time_ms=end - 86_400_000, end_time_ms=end)
        for record in day:
            if record.key == plane.encode():
                flight = json.loads(record.value) | {"at": record.timestamp}
                if found is None or flight["at"] > found["at"]:
                    found = flight
    return found


def names(table: str, key: str) -> dict[str, dict[str, str]]:
    with (DATA / f"{table}.csv").open(newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def ask(directory: str, picture: str) -> None:
    """Open the directory again and answer from it."""
    airlines = names("airlines", "carrier")
    airports = names("airports", "faa")
    planes = names("planes", "tailnum")
    with streamlog.open(directory) as log:
        started = time.perf_counter()
        count = sum(1 for _ in log.read("flights"))
        print(f"  read {count:,} records in {(time.perf_counter() - started) * 1000:.0f} ms")

        averages = delays(log)
        print("\nAverage delay at departure, by carrier (minutes):")
        by_carrier = average_by(averages, 0)
        for carrier in sorted(by_carrier, key=by_carrier.__getitem__, reverse=True):
            bar = "#" * max(0, round(by_carrier[carrier]))
            print(f"  {airlines[carrier]['name']:<28} {by_carrier[carrier]:6.1f} {bar}")

        by_hour = average_by(averages, 1)
        hours = ", ".join(f"{hour}h {by_hour[hour]:.0f}" for hour in sorted(by_hour))
        print(f"\nBy scheduled hour: {hours}")

        plane = "N328AA"
        noon = datetime(2013, 1, 15, 12, tzinfo=NEW_YORK)
        flight = where_was(log, plane, noon)
        print(f"\nWhere was {plane} ({planes[plane]['model']}) at noon on 15 January?")
        if flight is None:
            print("  it had not left New York in the day before")
        else:
            left = datetime.fromtimestamp(flight["at"] / 1000, NEW_YORK)
            to = airports[flight["dest"]]["name"]
            print(
                f"  it was to leave {flight['origin']} at {left:%H:%M} on {left:%d %B} for {to},"
                f" {flight['air_time']} minutes in the air"
            )
    draw(averages, {code: row["name"] for code, row in airlines.items()}, picture)
    print(f"\nDrawn: {picture}")


def draw(averages: Averages, airlines: dict[str, str], picture: str) -> None:
    """A heat map: carriers down, hours across, colour for the average delay."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    by_carrier = average_by(averages, 0)
    carriers = sorted(by_carrier, key=by_carrier.__getitem__)
    hours = sorted({hour for _, hour in averages})
    late = [
        [
            averages[carrier, hour][0] / averages[carrier, hour][1]
            if (carrier, hour) in averages
            else float("nan")
            for hour in hours
        ]
        for carrier in carriers
    ]
    figure, axes = plt.subplots(figsize=(9, 5.2), layout="constrained")
    image = axes.imshow(late, aspect="auto", cmap="YlOrRd", vmin=0, vmax=60)
    axes.set_xticks(range(len(hours)), [f"{hour}:00" for hour in hours], rotation=60)
    axes.set_yticks(range(len(carriers)), [airlines[carrier] for carrier in carriers])
    axes.set_title("Flights from New York, January 2013: average delay at departure")
    axes.set_xlabel("scheduled hour of departure")
    figure.colorbar(image, label="minutes", extend="both")
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--directory", help="keep the log here (default: a temporary directory)")
    parser.add_argument(
        "--picture", default="flights.png", help="where to draw (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamlog-") as temporary:
        directory = options.directory or os.path.join(temporary, "flights")
        print(f"Loading into {directory} ({streamlog.kernel} kernel)")
        with streamlog.open(directory) as log:
            if "flights" not in log.topics():
                log.create_topic("flights", partitions=len(AIRPORTS))
        load(directory)
        print("Opening it again")
        ask(directory, options.picture)


if __name__ == "__main__":
    main()
