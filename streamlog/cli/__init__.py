"""The command line: `streamlog COMMAND DIRECTORY ...`, for people and for scripts.

Parts

* `program`: `main()`: one command is run; what it prints, how it fails and how it ends;
* `commands`: the table of commands; `parser`: the arguments of the one that is asked for;
* `options`: what several commands take, each defined once; `arguments`, `moments`: the small words
  that arguments are made of; `opening`: how a directory is opened, which partitions are chosen;
* one module a command: `topics_list`, `topics_create`, `topics_describe`, `topics_alter`,
  `topics_delete`, `configs_describe`, `configs_alter`, `groups_list`, `groups_describe`,
  `groups_reset_offsets`, `groups_delete`, `produce`, `consume`, `offsets`,
  `delete_records`, `apply_retention`, `compact`, `dump`, `verify`, `backup`, `serve`, `completion`;
* `incoming` (lines), `incoming_json`, `incoming_csv`: text into records; `producing`: records into
  the log; `outgoing`: records into text;
* `walking` (batches of a segment, past damage), `decoding` (records of internal topics), `dumping`,
  `dump_text` and `dump_json` (how they are shown), `small_files` (the files beside segments):
  what `dump` is made of;
* `completing`: what may come next on a command line, which completion scripts ask for;
* `output`: lines, tables and JSON on stdout; `progress`: the bar on stderr.

Rules. Results go to stdout, everything else to stderr. Tables are for people; `--json` gives one
object a line, with bytes as text where they are UTF-8 and else in a field named `..._base64`.
An error is one line on stderr. The exit code is 0; 1 when it failed, or something was found; 2 when
the command line is wrong; 130 after Ctrl-C. Commands that look open nothing for writing. A command
is imported when it is asked for, and imports what it needs when it runs, so that all are quick.

What it is not: a library. What it can do, `streamlog.open()` can, too.
"""

from __future__ import annotations

from streamlog.cli.program import main

__all__ = ["main"]
