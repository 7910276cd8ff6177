"""`main()`: run one command, and end as a command should."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from streamlog.cli.commands import Chosen, choose, verbs_after
from streamlog.cli.output import Output
from streamlog.errors import ConfigError, StreamlogError

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

COMPLETE = "__complete"  # what completion scripts call


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. `arguments` are those of the process by default."""
    output: Output | None = None
    name = ""
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        output = Output(sys.stdout)
        chosen = choose(words)
        name = f" {chosen.name}" if chosen.name else ""
        code = _run(chosen, output) if chosen.is_command else _without_command(chosen, output)
        output.flush()
    except SystemExit as done:  # argparse printed help, or what is wrong with the arguments
        return done.code if isinstance(done.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        _flush_or_discard(output)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads (`head`) has had enough, which is no error.
        _flush_or_discard(output)
        return EXIT_DONE
    except (StreamlogError, OSError) as error:
        _flush_or_discard(output)
        print(f"streamlog{name}: {describe(error)}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    return code


def _run(chosen: Chosen, output: Output) -> int:
    from streamlog.cli.parser import build_parser

    parser = build_parser(chosen.name)
    parsed = parser.parse_args(parser.joined(chosen.rest))
    code: int = parsed.run(parsed, output)
    return code


def _without_command(chosen: Chosen, output: Output) -> int:
    """Help, the version, what completes a command, or what is wrong."""
    from streamlog.cli.parser import overview

    first = chosen.rest[0] if chosen.rest else ""
    if first in ("--help", "-h"):
        output.write(overview(chosen.name).encode())
        return EXIT_DONE
    if first == "--version" and not chosen.name:
        from streamlog import __version__

        output.line(f"streamlog {__version__}")
        return EXIT_DONE
    if first == COMPLETE and not chosen.name:
        from streamlog.cli.completing import complete

        for word, meaning in complete(chosen.rest[1:]):
            output.line(f"{word}\t{meaning}" if meaning else word)
        return EXIT_DONE
    if not first and not chosen.name:
        print(overview(""), end="", file=sys.stderr)
        return EXIT_USAGE
    print(_unknown(chosen.name, first), file=sys.stderr)
    return EXIT_USAGE


def _unknown(group: str, word: str) -> str:
    from streamlog.config.settings import nearest

    program = f"streamlog {group}".rstrip()
    verbs = verbs_after(group)
    if not word:
        return f"{program}: one of {', '.join(verbs)} is expected (see {program} --help)"
    near = nearest(word, verbs)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{program}: there is no command {word!r}{hint} (see {program} --help)"


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
