"""`main()`: run one verb, and end as a command should."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from streamlog.cli.output import Output
from streamlog.errors import StreamlogError

EXIT_DAMAGE = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. `arguments` are those of the process by default."""
    output: Output | None = None
    try:
        from streamlog.cli.parser import build_parser

        parser = build_parser()
        if not (sys.argv[1:] if arguments is None else arguments):
            parser.print_help(sys.stderr)
            return EXIT_ERROR
        parsed = parser.parse_args(arguments)
        output = Output(sys.stdout)
        code: int = parsed.run(parsed, output)
        output.flush()
    except SystemExit as done:  # argparse printed help, or what is wrong with the arguments
        return done.code if isinstance(done.code, int) else EXIT_ERROR
    except KeyboardInterrupt:
        _flush_or_discard(output)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads (`head`) has had enough, which is no error.
        _flush_or_discard(output)
        return 0
    except (StreamlogError, OSError) as error:
        _flush_or_discard(output)
        print(f"streamlog: {describe(error)}", file=sys.stderr)
        return EXIT_ERROR
    return code


def describe(error: Exception) -> str:
    """An error as one line."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, StreamlogError) and error.strerror:
        text = error.strerror
        if error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {text}"
    return " ".join([text, *getattr(error, "__notes__", ())]).replace("\n", " ")


def _flush_or_discard(output: Output | None) -> None:
    """Write what is left for stdout; where nobody takes it, keep the interpreter from trying."""
    try:
        if output is not None:
            output.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
