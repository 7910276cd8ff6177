"""`streamlog serve`: let Kafka's clients use a directory until the process is told to end."""

from __future__ import annotations

import argparse
import signal

from streamlog.cli.arguments import mapping_of, natural, pair
from streamlog.cli.options import add_directory
from streamlog.cli.output import Output

DESCRIPTION = """\
Listen on loopback and speak Kafka's protocol, so that clients of every language use the topics of
a directory, which is created when there is none. Other processes may use it at the same time.
SIGTERM and Ctrl-C end it: connections are closed, and what was acknowledged is in the directory.
"""
EPILOG = """\
examples:
  streamlog serve events --port 9092
  streamlog serve events --config num.partitions=3 --config log.retention.ms=-1

Settings are those of Kafka's brokers that have a meaning here. Nobody is kept out: without TLS and
SASL this belongs on loopback.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("--host", default="127.0.0.1", help="an IPv4 address (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=natural, default=9092, help="a port, 0 for a free one (default: 9092)"
    )
    parser.add_argument(
        "--config",
        metavar="SETTING=VALUE",
        type=pair,
        action="append",
        default=[],
        help="a broker setting; may be given several times",
    )


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serve until a signal comes."""
    import streamlog
    from streamlog.config.listener_settings import parse_broker_settings

    given = mapping_of(arguments.config)
    directory_settings, listener_settings = parse_broker_settings(
        {name.replace(".", "_"): value for name, value in given.items()}
    )
    # Blocked in every thread made from here on: the signal waits until it is asked for.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with (
        streamlog.open(arguments.directory, **directory_settings) as log,
        log.listen(arguments.host, arguments.port, **listener_settings) as listener,
    ):
        output.line(f"{log.path}: bootstrap.servers={listener.bootstrap_servers}")
        output.flush()
        signal.sigwait(ends)
    return 0
