"""The command line: `streamlog VERB DIRECTORY ...`, for people and for scripts.

Parts

* `program`: `main()`: one verb is run; what it prints, how it fails and how it ends;
* `parser`: the arguments of all verbs; `arguments`: the small words that they are made of;
* `dump`, `verify`, `topics`, `produce`, `consume`: one file a verb;
* `walking` (batches of a segment, past damage), `decoding` (records of internal topics),
  `dump_text` and `dump_json` (how they are shown), `small_files` (the files beside segments):
  what `dump` is made of;
* `output`: lines, tables and JSON on stdout; `progress`: the bar on stderr.

Rules. Results go to stdout, everything else to stderr. Tables are for people; `--json` gives one
object a line, with bytes as text where they are UTF-8 and else in a field named `..._base64`.
An error is one line on stderr. The exit code is 0, 1 when damage was found, 2 when the command
could not be done, 130 after Ctrl-C. `dump`, `verify`, `consume` and the looking kinds of `topics`
open nothing for writing. A verb imports what it needs when it runs, so that `--help` is quick.

What it is not: a library. What it can do, `streamlog.open()` can, too.
"""

from __future__ import annotations

from streamlog.cli.program import main

__all__ = ["main"]
